"""What a run is told: the same rounds, threads and device for everybody, and the numbers of each measurement."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args, get_type_hints

import psutil

FOLDER = Path("~/.cache/universal-bench").expanduser()
"""Where models and other servers are kept between runs."""

Sizes = TypeVar("Sizes", bound=NamedTuple)


class Setting(NamedTuple):
    """The arguments of ``python -m bench`` that every measurement has; ``changes`` are those of ``--set``."""

    folder: Path
    rounds: int
    threads: int
    device: str = "cpu"
    quick: bool = False
    peers: tuple[str, ...] | None = None
    changes: Mapping[str, str] = {}

    def sizes(self, usual: Sizes, quick: Sizes) -> Sizes:
        """Return the numbers of a measurement: its own, those for a quick run, with the changes that it knows."""
        chosen = quick if self.quick else usual
        hints = get_type_hints(type(chosen))
        known = {name: _read(text, hints[name]) for name, text in self.changes.items() if name in hints}
        return chosen._replace(**known)

    def wants(self, peer: str) -> bool:
        """Whether a peer is to be compared with."""
        return self.peers is None or peer in self.peers


def cores() -> int:
    """Return how many physical cores this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


def _read(text: str, kind: object) -> object:
    """Return what a text on the command line stands for; several values have commas between them."""
    if inner := get_args(kind):
        return tuple(_read(part, inner[0]) for part in text.split(",") if part)
    assert isinstance(kind, type)
    return kind(text)
