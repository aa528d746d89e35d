"""Where keys and values stand: whatever grows, moves and goes, every sequence finds its own."""

import random

import pytest
import torch

from universal_text.causal.batching.regions import Regions
from universal_text.causal.batching.store import Store


def numbers_of(sequence: int, length: int) -> torch.Tensor:
    """Return what is kept of a sequence here: a number for each of its tokens."""
    return (sequence * 1000 + torch.arange(length)).float()


def cells_of(store: Store, sequence: int, start: int, end: int) -> torch.Tensor:
    return torch.arange(store.start(sequence) + start, store.start(sequence) + end)


def write(store: Store, sequence: int, start: int, end: int, number: int) -> None:
    """Let a sequence grow up to ``end``."""
    store.fit(sequence, end)
    found = numbers_of(number, end)[start:].view(1, -1, 1)
    store.write(0, found, -found.expand(2, -1, 3), cells_of(store, sequence, start, end))


def read(store: Store, sequence: int, length: int) -> list[float]:
    start = store.start(sequence)
    kept = store._layers[0]
    assert torch.equal(kept.values[1, start : start + length, 2], -kept.keys[0, start : start + length, 0])
    return kept.keys[0, start : start + length, 0].tolist()


@pytest.mark.parametrize("seed", range(20))
def test_every_sequence_keeps_what_it_wrote(seed: int) -> None:
    dice = random.Random(seed)
    size = dice.choice([40, 300, 2000])
    store = Store(size)
    lengths: dict[int, int] = {}
    written: dict[int, int] = {}
    for turn in range(300):
        free = size - sum(lengths.values())
        sequence = dice.randrange(6)
        match dice.choice(("grow", "grow", "grow", "begin", "cut", "end", "copy")):
            case "grow" | "begin" if free and (sequence in lengths or free):
                before = lengths.get(sequence, 0)
                number = written.setdefault(sequence, turn)
                after = before + dice.choice([1, 1, 1, dice.randint(1, free)])
                if after <= before + free:
                    write(store, sequence, before, after, number)
                    lengths[sequence] = after
            case "cut" if lengths.get(sequence, 0) > 1:
                lengths[sequence] = dice.randint(1, lengths[sequence])
                assert store.cut(sequence, lengths[sequence])
            case "end" if sequence in lengths:
                store.cut(sequence)
                del lengths[sequence], written[sequence]
            case "copy" if sequence in lengths:
                target = next((number for number in range(6) if number not in lengths), None)
                count = dice.randint(1, lengths[sequence])
                if target is not None and count <= free:
                    store.copy(sequence, target, -1 if count == lengths[sequence] else count)
                    lengths[target], written[target] = count, written[sequence]
        for one, length in lengths.items():
            assert read(store, one, length) == numbers_of(written[one], length).tolist()


def test_cells_that_are_not_there_are_refused() -> None:
    regions = Regions(10)
    assert regions.fit(1, 6) == []
    with pytest.raises(ValueError, match="1 cells too few"):
        regions.fit(2, 5)


def test_a_sequence_that_grows_by_a_token_seldom_moves() -> None:
    regions = Regions(4000)
    moves = sum(len(regions.fit(number, length)) for length in range(1, 400) for number in range(8))
    assert moves < 40


def test_near_the_end_not_every_token_moves_all() -> None:
    regions = Regions(1000)
    for number in range(4):
        regions.fit(number, 100)
    steps = sum(bool(regions.fit(number, length)) for length in range(101, 190) for number in range(4))
    assert steps < 40


def test_a_token_takes_what_all_layers_keep_of_it() -> None:
    store = Store(10)
    store.fit(0, 1)
    for layer in range(3):
        store.write(layer, torch.zeros(2, 1, 8), torch.zeros(2, 1, 4, dtype=torch.bfloat16), torch.tensor([0]))
    assert store.layers == {0, 1, 2}
    assert store.bytes_per_token == 3 * (2 * 8 * 4 + 2 * 4 * 2)
