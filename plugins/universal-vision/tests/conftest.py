"""Tiny models that several tests share."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest


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
