"""What a run of the measurements is told: the same model, threads and slots for everybody."""

import os
from pathlib import Path
from typing import NamedTuple

import psutil


class Setting(NamedTuple):
    """The arguments of ``python bench/llama``; ``context`` is in tokens and shared by all slots."""

    folder: Path
    llama_server: str | None
    peers: tuple[str, ...]
    files: tuple[str, ...]
    shape: str
    clients: tuple[int, ...]
    rounds: int
    requests: int
    prompt: int
    tokens: int
    long_prompt: int
    turn_prompt: int
    documents: int
    threads: int
    slots: int
    context: int


def cores() -> int:
    """Return how many physical cores this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)
