"""How many threads a model computes with: as many as there are cores for at each step, or what was asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from tiny import embedding
from tiny.answers import completion
from tiny.classifiers import make_classifier
from tiny.classifying import load_texts, result
from tiny.encoders import make_bert
from universal_core import ClassifyRequest, pytorch


class Cores:
    """A processor with eight cores, some of which are free, and with how many threads models computed on it."""

    def __init__(self) -> None:
        self.free = 8
        self._seen: list[int] = []

    def note(self, *_: object) -> None:
        """Note how many threads the calling thread computes with."""
        self._seen.append(torch.get_num_threads())

    def seen(self) -> set[int]:
        """Return the numbers since the last time."""
        found, self._seen = set(self._seen), []
        return found


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cores]:
    before, cores = torch.get_num_threads(), Cores()
    monkeypatch.setattr(pytorch, "_USUAL_THREADS", 8)
    monkeypatch.setattr(pytorch, "free_cores", lambda: cores.free)
    # Called before every layer, in the thread that computes it.
    with register_module_forward_pre_hook(cores.note):
        yield cores
    torch.set_num_threads(before)


def follow(cores: Cores, compute: Callable[[], object], free: tuple[int, ...]) -> list[set[int]]:
    """Compute with so many cores free, one number after another; return the threads that each was computed with."""
    cores.seen()
    found = []
    for cores.free in free:
        compute()
        found.append(cores.seen())
    return found


@pytest.mark.parametrize("architecture", ["llama", "mamba"], ids=["together", "one by one"])
def test_the_engine_of_a_model_that_writes_follows_the_cores(
    architecture: str, folder: Callable[[str], Path], open_model: Any, ask: Any, cores: Cores
) -> None:
    model = open_model(folder(architecture), threads=None)
    assert follow(cores, lambda: ask(model, completion("hello", max_tokens=3)), (8, 2, 1, 4)) == [{8}, {2}, {1}, {4}]


@pytest.mark.parametrize("architecture", ["llama", "mamba"], ids=["together", "one by one"])
def test_a_number_that_was_asked_for_stays(
    architecture: str, folder: Callable[[str], Path], open_model: Any, ask: Any, cores: Cores
) -> None:
    model = open_model(folder(architecture), threads=3)
    assert follow(cores, lambda: ask(model, completion("hello", max_tokens=3)), (8, 1)) == [{3}, {3}]


@pytest.mark.parametrize(("threads", "expected"), [(None, [{8}, {2}]), (3, [{3}, {3}])], ids=["free", "fixed"])
def test_embeddings_do_so_too(threads: int | None, expected: list[set[int]], tmp_path: Path, cores: Cores) -> None:
    model = embedding.load(make_bert(tmp_path), threads=threads)
    assert follow(cores, lambda: embedding.ask(model, "hello world"), (8, 2)) == expected


@pytest.mark.parametrize(("threads", "expected"), [(None, [{8}, {2}]), (3, [{3}, {3}])], ids=["free", "fixed"])
def test_classifiers_do_so_too(threads: int | None, expected: list[set[int]], tmp_path: Path, cores: Cores) -> None:
    model = load_texts(make_classifier(tmp_path), threads=threads)
    request = ClassifyRequest(input=("hello world",))
    assert follow(cores, lambda: result(model.classify([request])), (8, 2)) == expected


def test_a_step_that_changes_nothing_sets_nothing(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pytorch.use_threads(None) == 8
    with monkeypatch.context() as patch:
        patch.setattr(torch, "set_num_threads", lambda count: pytest.fail(f"set to {count}"))
        assert pytorch.use_threads(None) == 8


def test_the_usual_number_of_threads_is_never_exceeded(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "_USUAL_THREADS", 2)
    assert (pytorch.use_threads(None), pytorch.use_threads(4)) == (2, 4)
