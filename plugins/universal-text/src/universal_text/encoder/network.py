"""What an engine of the embedding model is: rows of token ids in, a vector for each of them out."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from universal_text.batches import allowance_on, cut_batches, fill_batches, mask_of, padded
from universal_text.encoder.options import PoolingMode
from universal_text.encoder.pooling import pool
from universal_text.packing import PackedForward


class Row(NamedTuple):
    """One input: its token ids, and how many of them at its start are a prompt's that must not be pooled."""

    ids: list[int]
    skipped: int = 0


class Network(Protocol):
    """An engine with its model, ready to run."""

    def vectors(self, rows: Sequence[Row]) -> Tensor:
        """Return (rows, size) in float32 on the CPU, in the order of the rows, before the last normalizing."""


class Head:
    """What follows a transformer: the pooling, and the layers behind it."""

    def __init__(self, modes: Sequence[PoolingMode], steps: nn.Module) -> None:
        """``steps`` turn (rows, modes * size) into the vectors, on the device of the hidden states."""
        self._modes = modes
        self._steps = steps

    def of_texts(self, hidden: Tensor, rows: Sequence[Row]) -> Tensor:
        """Return the vectors of (tokens, size): rows that stand one behind the other, without padding."""
        pooled = pool(hidden, [len(row.ids) for row in rows], self._modes, [row.skipped for row in rows])
        vectors: Tensor = self._steps(pooled)
        return vectors

    def of_padded(self, hidden: Tensor, mask: Tensor, rows: Sequence[Row]) -> Tensor:
        """Return the vectors of (rows, tokens, size); ``mask`` is (rows, tokens), 1 where a row has a token."""
        return self.of_texts(hidden[mask.bool()], rows)


class PaddedNetwork:
    """Runs rows of about the same length together, padded to the longest of them: what every model can do."""

    def __init__(
        self,
        forward: Callable[[Tensor, Tensor], Tensor],
        head: Head,
        *,
        filler: int,
        budget: int,
        device: torch.device,
    ) -> None:
        """``forward`` turns ids and mask, both (rows, tokens) on ``device``, into hidden states.

        These are (rows, tokens, size), and the mask is 1 where there is a token. ``filler`` is the id of the padding,
        ``budget`` the most tokens that run at once.
        """
        self._forward = forward
        self._head = head
        self._filler = filler
        self._budget = budget
        self._allowance = allowance_on(device, budget)
        self._device = device

    @torch.inference_mode()
    def vectors(self, rows: Sequence[Row]) -> Tensor:
        """Return (rows, size) in float32 on the CPU, in the order of the rows, before the last normalizing."""
        batches = cut_batches([len(row.ids) for row in rows], self._budget, self._allowance)
        return _in_batches(rows, batches, self._run)

    def _run(self, rows: Sequence[Row]) -> Tensor:
        ids = padded([row.ids for row in rows], self._filler).to(self._device)
        mask = mask_of([row.ids for row in rows]).to(self._device)
        return self._head.of_padded(self._forward(ids, mask), mask, rows)


class PackedNetwork:
    """Runs rows one behind the other, without padding, where each attends to itself alone."""

    def __init__(self, forward: PackedForward, head: Head, *, budget: int) -> None:
        """``budget`` is the most tokens that run at once."""
        self._forward = forward
        self._head = head
        self._budget = budget

    @torch.inference_mode()
    def vectors(self, rows: Sequence[Row]) -> Tensor:
        """Return (rows, size) in float32 on the CPU, in the order of the rows, before the last normalizing."""
        return _in_batches(rows, fill_batches([len(row.ids) for row in rows], self._budget), self._run)

    def _run(self, rows: Sequence[Row]) -> Tensor:
        ids = torch.tensor([token for row in rows for token in row.ids])
        return self._head.of_texts(self._forward(ids, [len(row.ids) for row in rows]), rows)


def _in_batches(rows: Sequence[Row], batches: Iterable[list[int]], run: Callable[[list[Row]], Tensor]) -> Tensor:
    """Run rows in batches of their places; return (rows, size) on the CPU, in the order of the rows."""
    found: dict[int, Tensor] = {}
    for places in batches:
        found.update(zip(places, run([rows[place] for place in places]).cpu(), strict=True))
    return torch.stack([found[place] for place in range(len(rows))]) if rows else torch.empty(0, 0)
