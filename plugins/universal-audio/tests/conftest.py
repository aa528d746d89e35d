"""Tiny speech models that several tests share, and one thread for all of them."""

import os
from pathlib import Path

# Read by libraries when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch

from tiny.vits import make_vits


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute with one thread: more of them only wait for one another on models this small."""
    torch.set_num_threads(1)


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
