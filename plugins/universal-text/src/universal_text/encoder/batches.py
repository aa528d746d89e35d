"""How inputs of different lengths are put together so that little of the work is padding."""

from collections.abc import Iterator, Sequence


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
