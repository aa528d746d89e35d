"""How inputs of different lengths are put together so that little of the work is padding."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from universal_core import UniversalError

Request = TypeVar("Request")
Row = TypeVar("Row")
Result = TypeVar("Result")

WAITING_TOKENS = 16384
"""What requests that are answered together may have in tokens: a few batches, so that sorting finds texts alike."""

# What a batch may have in padding: about what it costs to start another one. On a GPU that is thousands of tokens.
_PADDING_ON_CPU = 128


def allowance_on(device: torch.device, budget: int) -> int:
    """Return how many tokens of padding a batch of ``budget`` tokens may have on a device."""
    return _PADDING_ON_CPU if device.type == "cpu" else budget


def cut_batches(lengths: Sequence[int], budget: int, allowance: int) -> Iterator[list[int]]:
    """Yield the positions of the inputs, longest first, in batches that are to run together.

    ``lengths`` are tokens per input. A batch padded to its longest input has at most ``budget`` tokens, unless a
    single input has more, and at most ``allowance`` of them are padding: more would cost more than another run.
    """
    batch: list[int] = []
    longest = padding = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        added = longest - lengths[position]
        if batch and (longest * (len(batch) + 1) > budget or padding + added > allowance):
            yield batch
            batch, padding = [], 0
        if not batch:
            longest, added = lengths[position], 0
        batch.append(position)
        padding += added
    if batch:
        yield batch


def fill_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield the positions of the inputs, longest first, in batches that run without padding.

    A batch has at most ``budget`` tokens, unless a single input has more.
    """
    batch: list[int] = []
    spent = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if batch and spent + lengths[position] > budget:
            yield batch
            batch, spent = [], 0
        batch.append(position)
        spent += lengths[position]
    if batch:
        yield batch


def padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    """Return rows of token ids or the like as (rows, longest), each followed by ``filler``.

    Padding is on the right, whatever side the tokenizer was saved with: causal attention never looks there, and
    positions need no correction.
    """
    found = torch.full((len(rows), max(map(len, rows))), filler)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.tensor(row)
    return found


def mask_of(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return (rows, longest): 1 where ``padded`` has a token and 0 where it has padding."""
    return padded([[1] * len(row) for row in rows], 0)


class Read(NamedTuple, Generic[Request, Row]):
    """A request, and the rows of tokens that it was read as."""

    request: Request
    rows: list[Row]


def read_together(
    requests: Sequence[Request], rows: Sequence[list[Row] | UniversalError]
) -> list[Read[Request, Row] | UniversalError]:
    """Return each request with its rows, or what was found wrong about it."""
    pairs = zip(requests, rows, strict=True)
    return [found if isinstance(found, UniversalError) else Read(request, found) for request, found in pairs]


def answer_together(
    read: Sequence[Read[Request, Row]],
    run: Callable[[list[Row]], Any],
    answer: Callable[[Request, list[Row], Any], Result],
) -> list[Result]:
    """Run the rows of all requests together and return what each request is answered.

    ``run`` returns something for each row, in their order, that can be sliced.
    """
    results = run([row for one in read for row in one.rows])
    answers: list[Result] = []
    for request, rows in read:
        answers.append(answer(request, rows, results[: len(rows)]))
        results = results[len(rows) :]
    return answers
