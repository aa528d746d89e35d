"""The cache: what is shared, what is given up, and that no cell is ever lost."""

import random
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import numpy
import pytest

from universal_core.continuous_batching import Cache, Held
from universal_gguf.generation.contexts import generation_parameters
from universal_gguf.generation.decoder import Decoder, Outcome, Piece
from universal_gguf.library import Weights
from universal_gguf.options import GenerationOptions


class Book:
    """A memory that only notes what it is told: how many tokens each sequence has."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.short: set[int] = set()

    def copy(self, source: int, target: int, length: int = -1) -> None:
        self.calls.append(("copy", source, target, length))

    def cut(self, sequence: int, length: int = 0) -> bool:
        self.calls.append(("cut", sequence, length))
        return True

    def reaches(self, sequence: int, length: int) -> bool:
        return sequence not in self.short


def make(cells: int = 100, sequences: int = 4, **options: Any) -> tuple[Cache, Book]:
    book = Book()
    return Cache(book, cells, sequences, **options), book


def read(cache: Cache, *tokens: int) -> Held:
    """Begin a sequence and read all of its tokens."""
    held = cache.begin(tokens)
    assert cache.make_room(len(tokens) - len(held.tokens))
    cache.extend(held, tokens[len(held.tokens) :])
    return held


def forget(cache: Cache, held: Held) -> None:
    """End a sequence of which nothing is kept."""
    held.broken = True
    cache.keep(held)


def free(cache: Cache) -> int:
    return len(cache._cells.free)


def test_a_sequence_begins_with_the_longest_prefix_of_running_and_kept_ones() -> None:
    cache, book = make()
    kept, running = read(cache, 1, 2, 3, 9), read(cache, 1, 2, 3, 4, 5)
    cache.keep(kept)
    third = cache.begin([1, 2, 3, 4, 6, 7])
    assert third.tokens.tolist() == [1, 2, 3, 4]
    assert book.calls[-1] == ("copy", running.number, third.number, 4)
    forget(cache, third)
    forget(cache, running)
    assert cache.begin([1, 2, 3, 4, 6, 7]).tokens.tolist() == [1, 2, 3]


def test_the_last_token_is_never_taken_since_only_reading_gives_logits() -> None:
    cache, _ = make()
    cache.keep(read(cache, 1, 2, 3))
    assert cache.begin([1, 2, 3]).tokens.tolist() == [1, 2]
    assert cache.begin([1, 2]).tokens.tolist() == [1]
    assert cache.begin([1]).tokens.tolist() == []


def test_the_next_turn_goes_on_in_the_kept_sequence_itself() -> None:
    cache, book = make()
    first = read(cache, 1, 2, 3)
    cache.keep(first)
    before = list(book.calls)
    assert cache.begin([1, 2, 3, 4]) is first
    assert book.calls == before, "nothing is copied"


def test_what_is_shared_takes_its_cells_once() -> None:
    cache, _ = make(cells=10)
    one = read(cache, 1, 2, 3, 4, 5)
    two = read(cache, 1, 2, 3, 4, 6)
    fork = cache.fork(two)
    assert fork is not None
    assert fork.tokens == two.tokens
    assert (free(cache), cache.available) == (4, 4)
    forget(cache, one)
    assert free(cache) == 5, "only the cell that nobody else has is free"
    forget(cache, two)
    assert free(cache) == 5
    forget(cache, fork)
    assert free(cache) == 10


def test_what_a_sequence_needs_counts_kept_prefixes_but_not_running_ones() -> None:
    cache, _ = make(cells=20)
    kept = read(cache, 1, 2, 3, 4)
    assert cache.needed([1, 2, 3, 4, 5]) == 1
    cache.keep(kept)
    assert cache.available == 20
    assert cache.needed([1, 2, 3, 4, 5]) == 5, "the cells of a prefix that is only kept are available until it runs"
    read(cache, 1, 2)
    assert cache.needed([1, 2, 3, 4, 5]) == 4, "the first token is read by one that runs"
    assert cache.needed([7]) == 1


def test_room_is_made_from_the_least_recently_used_prefixes() -> None:
    cache, _ = make(cells=12, sequences=6)
    for first in (10, 20, 30, 40):
        cache.keep(read(cache, first, first + 1, first + 2))
    assert cache.make_room(1)
    assert cache.begin([10, 11, 12, 13]).tokens.tolist() == [], "the first was given up"
    assert cache.begin([20, 21, 5]).tokens.tolist() == [20, 21], "this one was used now"
    assert cache.make_room(6)
    assert cache.needed([30, 31, 32, 1]) == 4
    assert cache.needed([20, 21, 22, 1]) == 2


def test_a_prefix_that_was_copied_counts_as_used() -> None:
    cache, _ = make(cells=9, sequences=6)
    for first in (10, 20, 30):
        cache.keep(read(cache, first, first + 1, first + 2))
    forget(cache, cache.begin([10, 11, 99]))
    assert cache.make_room(3)
    assert cache.begin([20, 21, 22, 23]).tokens.tolist() == []
    assert cache.begin([10, 11, 12, 13]).tokens.tolist() == [10, 11, 12]


def test_room_that_running_sequences_have_is_not_made() -> None:
    cache, _ = make(cells=6)
    running = read(cache, 1, 2, 3, 4)
    cache.keep(read(cache, 5))
    assert not cache.make_room(3)
    assert cache.make_room(2)
    assert running.tokens.tolist() == [1, 2, 3, 4]


def test_cutting_gives_cells_back() -> None:
    cache, book = make(cells=10)
    held = read(cache, 1, 2, 3, 4, 5)
    cache.cut(held, 2)
    assert held.tokens.tolist() == [1, 2]
    assert book.calls[-1] == ("cut", held.number, 2)
    assert free(cache) == 8


def test_a_recurrent_state_is_used_as_a_whole_and_once() -> None:
    cache, _ = make(divisible=False)
    held = read(cache, 1, 2, 3)
    assert cache.begin([1, 2, 3, 4]).tokens.tolist() == [], "it is still being written"
    cache.keep(held)
    assert cache.begin([1, 2, 9]).tokens.tolist() == [], "it cannot go back"
    assert cache.begin([1, 2, 3]).tokens.tolist() == []
    assert cache.begin([1, 2, 3, 4]) is held


def test_a_sequence_whose_window_has_moved_on_is_left_alone() -> None:
    cache, book = make()
    held = read(cache, 1, 2, 3, 4)
    book.short.add(held.number)
    assert cache.begin([1, 2, 9]).tokens.tolist() == []


def test_when_numbers_run_out_kept_ones_give_theirs() -> None:
    cache, _ = make(sequences=2)
    first = read(cache, 1, 2)
    cache.keep(first)
    read(cache, 5)
    assert cache.has_number
    assert cache.begin([7, 8]).tokens.tolist() == []
    assert not cache.has_number


def test_a_prefix_whose_own_number_is_needed_is_cut_to_what_is_of_use() -> None:
    cache, _ = make(cells=10, sequences=2)
    running = read(cache, 5)
    cache.keep(kept := read(cache, 1, 2, 3))
    held = cache.begin([1, 2, 9])
    assert held is kept
    assert held.tokens.tolist() == [1, 2]
    forget(cache, held)
    forget(cache, running)
    assert free(cache) == 10


def test_without_a_number_there_is_no_fork() -> None:
    cache, _ = make(sequences=2)
    held = read(cache, 1, 2)
    assert cache.fork(held) is not None
    assert cache.fork(held) is None


@pytest.mark.parametrize("empty", [True, False])
def test_what_is_broken_or_empty_is_not_kept(empty: bool) -> None:
    cache, _ = make(cells=10)
    held = cache.begin([1, 2]) if empty else read(cache, 1, 2)
    held.broken = not empty
    cache.keep(held)
    assert free(cache) == 10
    assert cache.begin([1, 2, 3]).tokens.tolist() == []


class Naive:
    """The cells of sequences as sets of what each cell is: a place in a text that some sequence has read."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.running: list[Held] = []

    def check(self) -> None:
        cache = self.cache
        held = [*cache._running, *cache._kept]
        used = [set(one.cells) for one in held]
        everywhere = set().union(*used)
        free = cache._cells.free
        assert len(free) == len(set(free)), "no cell is free twice"
        assert everywhere.isdisjoint(free)
        assert len(everywhere) + len(free) == cache.size, "no cell is lost"
        users = numpy.bincount([cell for cells in used for cell in cells], minlength=cache.size)
        assert (cache._cells._users == users).all()
        assert all(len(one.cells) == len(one.tokens) == len(set(one.cells)) for one in held)
        numbers = [one.number for one in held] + cache._numbers
        assert sorted(numbers) == list(range(cache.sequences)), "no number is lost"
        assert cache.available == cache.size - len(set().union(*(set(one.cells) for one in cache._running)))


@pytest.mark.parametrize("divisible", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_in_a_random_walk_no_cell_and_no_number_is_lost(seed: int, divisible: bool) -> None:
    dice = random.Random(seed)
    cache, _ = make(cells=60, sequences=6, divisible=divisible)
    walk = Naive(cache)
    for _ in range(400):
        step = dice.choice(("begin", "begin", "extend", "extend", "extend", "cut", "fork", "keep", "keep", "drop"))
        running = walk.running
        if step == "begin" and cache.has_number:
            tokens = [dice.randrange(2) for _ in range(dice.randint(1, 25))]
            needed, available = cache.needed(tokens), cache.available
            held = cache.begin(tokens)
            assert held.tokens.tolist() == tokens[: len(held.tokens)]
            assert len(held.tokens) < len(tokens)
            assert cache.available - (len(tokens) - len(held.tokens)) >= available - needed
            running.append(held)
        elif running and step != "begin":
            held = running[dice.randrange(len(running))]
            if step == "extend" and cache.make_room(count := dice.randint(1, 6)):
                cache.extend(held, [dice.randrange(2) for _ in range(count)])
            elif step == "cut" and divisible:
                cache.cut(held, dice.randint(0, len(held.tokens)))
            elif step == "fork" and (fork := cache.fork(held)) is not None:
                running.append(fork)
            elif step in ("keep", "drop"):
                running.remove(held)
                held.broken = step == "drop" or dice.random() < 0.1
                cache.keep(held)
        walk.check()
    for held in running:
        forget(cache, held)
    assert cache.make_room(60)


@pytest.fixture(scope="module")
def weights(gguf_file: Any) -> Iterator[Weights]:
    with closing(Weights([str(gguf_file("llama"))], GenerationOptions(device="cpu"), 0, print)) as found:
        yield found


@pytest.fixture
def decoder(weights: Weights) -> Iterator[Decoder]:
    options = GenerationOptions(device="cpu", slots=2, cache_type_k="f32", cache_type_v="f32", flash_attn="off")
    with closing(Decoder(weights, generation_parameters(options, 256))) as found:
        found.use_threads(1, 1)
        yield found


def step(decoder: Decoder, cache: Cache, held: Held, tokens: list[int]) -> Any:
    assert cache.make_room(len(tokens))
    position = len(held.tokens)
    cache.extend(held, tokens)
    assert decoder.step([Piece(held.number, position, tokens, 1)]) == Outcome.DONE
    return decoder.logits(1)[0].copy()


def test_in_a_real_context_a_shared_beginning_gives_the_logits_of_a_new_one(decoder: Decoder) -> None:
    cache = Cache(decoder, decoder.cells, 4)
    text = [50 + (7 * place) % 300 for place in range(40)]
    expected = step(decoder, cache, first := cache.begin(text), text)
    cache.keep(first)
    second = cache.begin([*text[:30], 9, 8])
    assert len(second.tokens) == 30
    step(decoder, cache, second, [9, 8])
    cache.cut(second, 30)
    again = step(decoder, cache, second, text[30:])
    assert numpy.abs(again - expected).max() < 1e-4


def test_in_a_real_context_every_counted_cell_can_be_filled(decoder: Decoder) -> None:
    dice, cache = random.Random(1), Cache(decoder, decoder.cells, 4)
    for _ in range(60):
        tokens = [60 + dice.randrange(3) for _ in range(dice.randint(20, 250))]
        held = cache.begin(tokens)
        step(decoder, cache, held, tokens[len(held.tokens) :])
        (cache.keep if dice.random() < 0.8 else partial(forget, cache))(held)
