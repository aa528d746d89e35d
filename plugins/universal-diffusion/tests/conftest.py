"""Tiny pipelines that several tests share, one thread for all of them, and no bars between the dots."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from tiny import diffusion

Folder = Callable[[str], Path]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute with one thread: more of them only wait for one another on models this small."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def quiet() -> None:
    """Keep the libraries' progress bars and remarks out of the tests' output."""
    diffusers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a function that makes the pipeline of a family once and returns its path."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = getattr(diffusion, f"make_{name}")(tmp_path_factory.mktemp(name))
        return made[name]

    return make
