"""What models really took, kept in a file for the next time that they are to be loaded."""

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import msgspec

from universal_core.entry import Plan
from universal_core.models import MemoryEstimate
from universal_core.placement import MACHINE

log = logging.getLogger(__name__)

KEPT = 1000
"""Models that are remembered; those that were measured longest ago make room."""


class Measured(msgspec.Struct, frozen=True):
    """The most that a model has taken once it had worked, in bytes: of the machine's memory, and on accelerators."""

    system: int
    device: int


class Measurements:
    """Remembers what models took, each as it was configured and on each kind of device."""

    def __init__(self, path: str = "") -> None:
        """``path`` is the file; without one they are kept for this process alone."""
        self._path = Path(path).expanduser() if path else None
        self._found: dict[str, Measured] | None = None

    def note(self, plan: Plan, device: str, measured: Measured) -> None:
        """Remember what a model has taken that has worked; what it took before counts where that was more."""
        found, key = self._all(), _key(plan, device)
        before = found.pop(key, Measured(0, 0))
        most = Measured(max(before.system, measured.system), max(before.device, measured.device))
        found[key] = most
        if most != before:
            while len(found) > KEPT:
                del found[next(iter(found))]
            self._write(found)

    def corrected(self, plan: Plan, estimate: MemoryEstimate, device: str) -> MemoryEstimate:
        """Return an estimate that knows what the model took before, or as it is for one that was never measured."""
        measured = self._all().get(_key(plan, device))
        return estimate if measured is None else correct(estimate, device, measured)

    def _all(self) -> dict[str, Measured]:
        if self._found is None:
            self._found = self._read()
        return self._found

    def _read(self) -> dict[str, Measured]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Measured]) if self._path else {}
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("what models took cannot be read from %s and is measured again: %s", self._path, error)
            return {}

    def _write(self, found: dict[str, Measured]) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            part.write_bytes(msgspec.json.encode(found))
            part.replace(self._path)
        except OSError as error:
            log.warning("what models took cannot be kept in %s: %s", self._path, error)


def correct(estimate: MemoryEstimate, device: str, measured: Measured) -> MemoryEstimate:
    """Return an estimate with what a model really took in the place of what its weights were thought to take.

    What it took beyond its weights is part of what it needs beside them, which may not all have been needed yet.
    """
    if device == MACHINE:
        beside = estimate.total - estimate.weights
        return _with_weights(estimate, max(measured.system, min(measured.system, estimate.weights) + beside) - beside)
    beside = estimate.working + estimate.cache
    weights = max(measured.device, min(measured.device, estimate.weights) + beside) - beside
    return msgspec.structs.replace(_with_weights(estimate, weights), host=measured.system)


def _with_weights(estimate: MemoryEstimate, weights: int) -> MemoryEstimate:
    return msgspec.structs.replace(estimate, weights=weights)


def _key(plan: Plan, device: str) -> str:
    """Return what makes two loads take the same: the files, the backend with its options, and the kind of device."""
    files = sorted((file.name, file.size) for file in plan.info.matching(*plan.claim.files))
    facts: list[Any] = [files, plan.claim.backend, plan.claim.slots, plan.options, device.partition(":")[0]]
    told = hashlib.sha256(msgspec.json.encode(facts, order="sorted", enc_hook=str)).hexdigest()
    return f"{plan.info.ref.name} {told[:16]}"
