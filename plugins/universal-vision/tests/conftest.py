"""Tiny models that several tests share, and one thread for all of them."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute with one thread: more of them only wait for one another on models this small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a model of ``tiny`` once, by ``module.name`` such as ``vision.clip``."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            module, _, kind = name.partition(".")
            made[name] = getattr(import_module(f"tiny.{module}"), f"make_{kind}")(tmp_path_factory.mktemp(kind))
        return made[name]

    return make
