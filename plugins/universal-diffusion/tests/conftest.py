"""Tiny pipelines that several tests share, and no bars between the dots."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from tiny import diffusion
from tiny.drawings import events_of, pixels_of
from tiny.folder import info_of
from universal_core import Event, ImageRequest
from universal_core.pictures import Pixels
from universal_diffusion import engine
from universal_diffusion.model import DiffusionModel
from universal_diffusion.options import DiffusionOptions

Folder = Callable[[str], Path]
Open = Callable[..., DiffusionModel]
Ask = Callable[..., list[list[Event]]]
Paint = Callable[[DiffusionModel, ImageRequest], list[Pixels]]


@pytest.fixture(autouse=True, scope="session")
def quiet() -> None:
    """Keep the libraries' progress bars and remarks out of the tests' output."""
    diffusers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


@pytest.fixture(autouse=True)
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell of each step, however fast they follow one another."""
    monkeypatch.setattr(engine, "STEP_INTERVAL", 0.0)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a function that makes the pipeline of a family once and returns its path."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = getattr(diffusion, f"make_{name}")(tmp_path_factory.mktemp(name))
        return made[name]

    return make


@pytest.fixture(scope="session")
def open_model(folder: Folder) -> Iterator[Open]:
    """Return a function that loads the model of a family once for each set of options; all are closed at the end."""
    loaded: dict[str, DiffusionModel] = {}

    def load(name: str, **options: Any) -> DiffusionModel:
        key = f"{name} {sorted(options.items())}"
        if key not in loaded:
            chosen = DiffusionOptions(**{"device": "cpu", "dtype": "float32", **options})
            loaded[key] = DiffusionModel(info_of(folder(name)), chosen, lambda _: None)
        return loaded[key]

    yield load
    for model in loaded.values():
        model.close()


def answers(model: DiffusionModel, *requests: ImageRequest) -> list[list[Event]]:
    """Run the requests at the same time and return the events of each."""

    async def gather() -> list[list[Event]]:
        return await asyncio.gather(*(events_of(model, request) for request in requests))

    return asyncio.run(gather())


@pytest.fixture
def ask() -> Ask:
    """Return the function that runs requests at the same time and returns the events of each."""
    return answers


@pytest.fixture
def paint() -> Paint:
    """Return a function that runs one request and returns the pixels of its pictures."""
    return lambda model, request: pixels_of(answers(model, request)[0])
