"""What is measured: a model that is written when its turn comes, and the largest requests that are usual for it."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from universal_core import Request

FAMILIES = {
    "text": "bench.memory.text:cases",
    "encoders": "bench.memory.encoders:cases",
    "classifiers": "bench.memory.classifiers:cases",
    "vision": "bench.memory.vision:cases",
    "gguf": "bench.memory.gguf:cases",
    "diffusion": "bench.memory.diffusion:cases",
    "audio": "bench.memory.audio:cases",
}
"""Where the cases of each family are: a function without arguments that returns them."""


class Work(NamedTuple):
    """Requests of one task that are sent at once; the next ones follow when all are answered."""

    task: str
    requests: Sequence[Request]


class Case(NamedTuple):
    """A model, how it is run, and what it is asked.

    ``write`` writes the model into an empty folder and returns what is served: the folder, or a file in it.
    ``settings`` are further fields of the model's configuration, such as its backend. ``threads`` is what its backend
    calls the option for them.
    """

    name: str
    write: Callable[[Path], Path]
    work: Callable[[], Iterable[Work]]
    options: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    threads: str = "threads"


def cases_of(families: Iterable[str], names: Iterable[str] = ()) -> list[Case]:
    """Return the cases of some families, or those of them that have one of these parts in their names."""
    found: list[Case] = []
    for family in families:
        module, _, function = FAMILIES[family].partition(":")
        found += getattr(importlib.import_module(module), function)()
    wanted = tuple(names)
    return [case for case in found if not wanted or any(part in case.name for part in wanted)]
