"""Tiny models that several tests share."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tiny import causal
from tiny.answers import Answers, gather
from tiny.architectures import ARCHITECTURES, make_architecture
from tiny.folder import info_of
from universal_core import ChatRequest, CompletionRequest
from universal_text.causal.model import CausalModel
from universal_text.options import CausalOptions

Open = Callable[..., CausalModel]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes the model of an architecture once and returns its path."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            path = tmp_path_factory.mktemp(name)
            known = name in ARCHITECTURES
            made[name] = make_architecture(path, name) if known else getattr(causal, f"make_{name}")(path)
        return made[name]

    return make


@pytest.fixture
def open_model() -> Iterator[Open]:
    """Return a function that loads a model from its folder; all are closed at the end."""
    with ExitStack() as stack:

        def load(path: Path, **options: Any) -> CausalModel:
            chosen = CausalOptions(**{"device": "cpu", "dtype": "float32", **options})
            return stack.enter_context(closing(CausalModel(info_of(path), chosen)))

        yield load


@pytest.fixture
def llama(folder: Callable[[str], Path], open_model: Open) -> CausalModel:
    """Return a loaded random Llama."""
    return open_model(folder("llama"))


def answers(model: CausalModel, *requests: ChatRequest | CompletionRequest) -> list[Answers]:
    """Run the requests at the same time and return what each was answered."""

    async def run() -> list[Answers]:
        streams = [model.chat(r) if isinstance(r, ChatRequest) else model.complete(r) for r in requests]
        return await asyncio.gather(*map(gather, streams))

    return asyncio.run(run())


@pytest.fixture
def ask() -> Callable[..., list[Answers]]:
    """Return the function that runs requests against a model at the same time."""
    return answers
