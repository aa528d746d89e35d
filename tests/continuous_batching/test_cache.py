"""The cache: what is shared, what is given up, and that no cell is ever lost."""

import random
from typing import Any

import numpy
import pytest

from universal_core.continuous_batching import Cache, Held


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


def test_the_beginning_of_all_texts_keeps_no_prefix_from_being_given_up() -> None:
    cache, _ = make(cells=9, sequences=6)
    for second in (10, 20, 30):
        cache.keep(read(cache, 1, second, second + 1))
    forget(cache, cache.begin([1, 99]))
    assert cache.make_room(4)
    assert cache.begin([1, 10, 11, 12]).tokens.tolist() == [1], "the first was used long ago, though it begins alike"
    assert cache.begin([1, 30, 31, 32]).tokens.tolist() == [1, 30, 31]


def test_what_can_go_on_itself_is_not_copied() -> None:
    cache, book = make()
    kept = read(cache, 1, 2, 3)
    read(cache, 1, 2, 3, 9)
    cache.keep(kept)
    before = list(book.calls)
    assert cache.begin([1, 2, 3, 4]) is kept
    assert book.calls == before


def test_a_copy_has_cells_of_its_own_where_memory_is_not_shared() -> None:
    cache, book = make(cells=12, shares=False)
    one = read(cache, 1, 2, 3, 4)
    two = read(cache, 1, 2, 3, 5)
    assert book.calls[-1] == ("copy", one.number, two.number, 3)
    assert (free(cache), cache.available) == (4, 4)
    assert cache.needed([1, 2, 3, 6]) == 4
    forget(cache, one)
    assert free(cache) == 8


def test_a_copy_takes_the_place_of_the_least_recently_used_prefix() -> None:
    cache, _ = make(cells=9, sequences=6, shares=False)
    for first in (10, 20, 30):
        cache.keep(read(cache, first, first + 1, first + 2))
    assert cache.begin([10, 11, 99]).tokens.tolist() == [10, 11]
    assert cache.begin([30, 31, 32, 33]).tokens.tolist() == [30, 31, 32]
    assert cache.begin([10, 11, 12, 13]).tokens.tolist() == [10, 11, 12], "what was copied is there still"
    assert cache.begin([20, 21]).tokens.tolist() == []


def test_where_a_copy_would_cost_its_source_the_source_goes_on_itself() -> None:
    cache, _ = make(cells=10, sequences=6, shares=False)
    running = read(cache, 5, 6, 7)
    cache.keep(kept := read(cache, 1, 2, 3, 4))
    copy = cache.begin([1, 2, 3, 9])
    assert copy is not kept, "three free cells hold the copy"
    forget(cache, copy)
    cache.keep(read(cache, 1, 2, 3, 4, 5))
    held = cache.begin([1, 2, 3, 9])
    assert held is kept, "two do not"
    assert held.tokens.tolist() == [1, 2, 3]
    assert running.tokens.tolist() == [5, 6, 7]


def test_what_runs_is_not_copied_where_there_is_no_room() -> None:
    cache, book = make(cells=6, shares=False)
    running = read(cache, 1, 2, 3, 4)
    assert cache.begin([1, 2, 3, 9]).tokens.tolist() == []
    assert running.tokens.tolist() == [1, 2, 3, 4]
    assert book.calls == []


def test_a_fork_costs_no_prefix_that_is_kept() -> None:
    cache, _ = make(cells=9, sequences=6, shares=False)
    cache.keep(read(cache, 1, 2, 3))
    running = read(cache, 7, 8, 9)
    fork = cache.fork(running)
    assert fork is not None
    assert fork.tokens == running.tokens
    assert cache.fork(running) is None
    assert cache.begin([1, 2, 3, 4]).tokens.tolist() == [1, 2, 3]


class Written:
    """A memory of what each sequence has read."""

    def __init__(self) -> None:
        self.content: dict[int, list[int]] = {}

    def copy(self, source: int, target: int, length: int = -1) -> None:
        assert not self.content.get(target), "only an empty one can be written to"
        self.content[target] = self.content.get(source, [])[: length if length >= 0 else None]

    def cut(self, sequence: int, length: int = 0) -> bool:
        del self.content.get(sequence, [])[length:]
        return True

    def reaches(self, sequence: int, length: int) -> bool:
        return True


class Walk:
    """Takes random steps, and looks after each whether all is as it must be."""

    def __init__(self, cache: Cache, memory: Written, shares: bool) -> None:
        self.cache = cache
        self.memory = memory
        self.shares = shares
        # What runs, with what it must have read.
        self.running: dict[Held, list[int]] = {}

    def begin(self, tokens: list[int]) -> None:
        needed, available = self.cache.needed(tokens), self.cache.available
        running = {held for held in self.running if held.tokens[:1].tolist() == tokens[:1]}
        held = self.cache.begin(tokens)
        assert held not in self.running
        assert held.tokens.tolist() == tokens[: len(held.tokens)]
        assert len(held.tokens) < len(tokens)
        assert self.cache.available - (len(tokens) - len(held.tokens)) >= available - needed
        if running and len(tokens) > 1 and needed <= available:
            assert len(held.tokens), "what runs beside it begins alike, and there is room"
        self.running[held] = tokens[: len(held.tokens)]

    def extend(self, held: Held, tokens: list[int]) -> None:
        if self.cache.make_room(len(tokens)):
            self.cache.extend(held, tokens)
            self.running[held] += tokens
            self.memory.content.setdefault(held.number, []).extend(tokens)

    def fork(self, held: Held) -> None:
        kept = len(self.cache._kept)
        numbers = len(self.cache._numbers)
        if (fork := self.cache.fork(held)) is not None:
            self.running[fork] = list(self.running[held])
        assert self.shares or not numbers or len(self.cache._kept) == kept

    def cut(self, held: Held, length: int) -> None:
        self.cache.cut(held, length)
        del self.running[held][length:]

    def end(self, held: Held, broken: bool) -> None:
        del self.running[held]
        held.broken = broken
        self.cache.keep(held)

    def check(self) -> None:
        cache = self.cache
        assert cache._running == self.running.keys()
        held = [*cache._running, *cache._kept]
        used = [set(one.cells) for one in held]
        everywhere = set().union(*used)
        free = cache._cells.free
        assert len(free) == len(set(free)), "no cell is free twice"
        assert everywhere.isdisjoint(free)
        assert len(everywhere) + len(free) == cache.size, "no cell is lost"
        assert self.shares or sum(map(len, used)) == len(everywhere), "every cell is one sequence's"
        users = numpy.bincount([cell for cells in used for cell in cells], minlength=cache.size)
        assert (cache._cells._users == users).all()
        assert all(len(one.cells) == len(one.tokens) == len(set(one.cells)) for one in held)
        numbers = [one.number for one in held] + cache._numbers
        assert sorted(numbers) == list(range(cache.sequences)), "no number is lost"
        assert cache.available == cache.size - len(set().union(*(set(one.cells) for one in cache._running)))
        assert all(one.tokens.tolist() == tokens for one, tokens in self.running.items()), "nothing that runs is lost"
        assert all(self.memory.content.get(one.number, []) == one.tokens.tolist() for one in held)


@pytest.mark.parametrize("kind", ["sharing", "copying", "recurrent"])
@pytest.mark.parametrize("seed", range(12))
def test_in_a_random_walk_no_cell_and_no_number_is_lost(seed: int, kind: str) -> None:
    dice, memory, shares = random.Random(seed), Written(), kind != "copying"
    divisible = kind != "recurrent"
    cache = Cache(memory, 60, 6, divisible=divisible, shares=shares)
    walk = Walk(cache, memory, shares or not divisible)
    for _ in range(400):
        step = dice.choice(("begin", "begin", "extend", "extend", "extend", "cut", "fork", "keep", "keep", "drop"))
        running = list(walk.running)
        if step == "begin" and cache.has_number and divisible:
            walk.begin([dice.randrange(2) for _ in range(dice.randint(1, 25))])
        elif step == "begin" and cache.has_number:
            held = cache.begin(tokens := [dice.randrange(2) for _ in range(dice.randint(1, 25))])
            walk.running[held] = tokens[: len(held.tokens)]
        elif running and step != "begin":
            held = running[dice.randrange(len(running))]
            if step == "extend":
                walk.extend(held, [dice.randrange(2) for _ in range(dice.randint(1, 6))])
            elif step == "cut" and divisible:
                walk.cut(held, dice.randint(0, len(held.tokens)))
            elif step == "fork":
                walk.fork(held)
            elif step in ("keep", "drop"):
                walk.end(held, broken=step == "drop" or dice.random() < 0.1)
        walk.check()
    for held in list(walk.running):
        forget(cache, held)
    assert cache.make_room(60)
