"""The hub's settings reach huggingface_hub through the environment."""

import os
from pathlib import Path

import pytest

from universal_core.config import HubConfig, apply_hub


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "TRANSFORMERS_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_cache")
def test_the_cache_is_the_configured_one_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFORMERS_CACHE", "/old")
    monkeypatch.setenv("HF_HUB_CACHE", "/usual")
    apply_hub(HubConfig(cache="~/mine"))
    assert os.environ["HF_HUB_CACHE"] == str(tmp_path / "mine")


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"TRANSFORMERS_CACHE": "/old"}, "/old"),
        ({"TRANSFORMERS_CACHE": "/old", "HF_HOME": "/home"}, None),
        ({"TRANSFORMERS_CACHE": "/old", "HF_HUB_CACHE": "/usual"}, "/usual"),
    ],
)
def test_the_old_variable_for_the_cache_counts_where_no_newer_one_is_set(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "")
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    apply_hub(HubConfig())
    assert os.environ.get("HF_HUB_CACHE") == expected


@pytest.mark.parametrize("offline", [True, False])
def test_the_hub_is_left_alone_where_the_configuration_says_so(monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    apply_hub(HubConfig(offline=offline))
    assert os.environ["HF_HUB_OFFLINE"] == ("1" if offline else "0")
