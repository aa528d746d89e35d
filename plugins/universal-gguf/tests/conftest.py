"""Tiny models that write text, made once, and the ways to ask them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tiny import gguf
from tiny.answers import Answers
from tiny.writing import answers, load
from universal_gguf.generation.model import GenerationModel

File = Callable[[str], Path]
LoadModel = Callable[..., GenerationModel]

SCRIPT = ("Hello", ", wor", "ld", "! S", "ee", " you.")


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> File:
    """Return a function that makes a model once and returns its file, which has a folder of its own."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = _make(name, folder, make)
        return made[name]

    return make


def _make(name: str, folder: Path, make: File) -> Path:
    if name in ("Q8_0", "Q4_K_M", "F16"):
        return gguf.quantize(make("llama"), folder / f"llama-{name}.gguf", name)
    if name == "split":
        return gguf.split(make("llama"), folder, 3)[0]
    if name == "scripted":
        return gguf.make_gguf_scripted(folder / "scripted.gguf", SCRIPT)
    if name == "qwen3":
        from tiny.causal import make_qwen3

        source = make_qwen3(folder / "source")
        return gguf.make_gguf_from_transformers(folder / "gguf" / "qwen3.gguf", source)
    return Path(getattr(gguf, f"make_gguf_{name}")(folder / f"{name}.gguf"))


@pytest.fixture(scope="session")
def shared_model(gguf_file: File) -> Iterator[LoadModel]:
    """Return a function that loads a model once for each set of options; all are closed at the end."""
    opened: dict[str, GenerationModel] = {}
    with ExitStack() as stack:

        def find(name: str, **options: Any) -> GenerationModel:
            key = f"{name} {sorted(options.items())}"
            if key not in opened:
                opened[key] = stack.enter_context(closing(load(gguf_file(name), **options)))
            return opened[key]

        yield find


@pytest.fixture
def new_model(gguf_file: File) -> Iterator[LoadModel]:
    """Return a function that loads a model afresh, by its name or its file; all are closed after the test."""
    with ExitStack() as stack:

        def make(name: str | Path, **options: Any) -> GenerationModel:
            file = name if isinstance(name, Path) else gguf_file(name)
            return stack.enter_context(closing(load(file, **options)))

        yield make


@pytest.fixture
def ask_writer() -> Callable[..., list[Answers]]:
    """Return the function that runs requests against a model at the same time."""
    return answers
