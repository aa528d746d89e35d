"""Rows of logits where they are computed, and numbers on their way there."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

FEW = 2


def sent(numbers: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array on a device, without waiting for what CUDA is doing: only what comes back is waited for."""
    return torch.from_numpy(numbers).to(device, non_blocking=device.type == "cuda")


def parts_of(logits: Tensor) -> Iterator[slice]:
    """Yield which rows to work through at a time where that takes memory of their size.

    On a CPU few: fresh memory costs ten times what is computed in it, and that of a few rows is used again.
    """
    few = FEW if logits.device.type == "cpu" else len(logits)
    return (slice(at, at + few) for at in range(0, len(logits), few))


def runs_of(rows: Sequence[int], device: torch.device, most: int) -> Iterator[list[int]]:
    """Yield rows that are worked through together: on a CPU those that follow one another, which need not be copied."""
    run: list[int] = []
    for row in rows:
        if device.type == "cpu" and run and (row != run[-1] + 1 or len(run) == most):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def rows_of(values: Tensor, rows: Sequence[int]) -> Tensor:
    """Return the rows of a tensor; as a view where they follow one another."""
    if [*rows] == [*range(rows[0], rows[0] + len(rows))]:
        return values[rows[0] : rows[0] + len(rows)]
    return values[sent(numpy.array(rows), values.device)]


def exact(device: torch.device) -> torch.dtype:
    """Return the floating point numbers with the most digits that a device has: those of Apple are fp32 at most."""
    return torch.float32 if device.type == "mps" else torch.float64
