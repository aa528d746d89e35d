"""Tiny speech models that several tests share."""

from pathlib import Path

import pytest

from tiny.vits import make_vits


@pytest.fixture(scope="session")
def kokoro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Kokoro model with random weights, where the library has a release for this Python."""
    pytest.importorskip("kokoro")
    from tiny.kokoro import make_kokoro

    return make_kokoro(tmp_path_factory.mktemp("kokoro") / "model")


@pytest.fixture(scope="session")
def vits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a VITS model with random weights and two speakers."""
    return make_vits(tmp_path_factory.mktemp("vits") / "model", speakers=2)
