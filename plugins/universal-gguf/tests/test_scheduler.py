"""Who runs in the next step, on a model that is a formula: every answer is known, whatever runs beside it."""

import random
import threading
from typing import Any

import numpy
import pytest

from universal_core.continuous_batching import Cache, GuessedSequence, Pace, Turns
from universal_core.conversation import Choice, Row
from universal_gguf.generation.decoder import Outcome, Piece
from universal_gguf.generation.runner import BatchRunner
from universal_gguf.threads import Threads

WORDS = 5
ADAPTERS = {None: 0, "one": 1, "two": 3}


def following(tokens: list[int], adapter: str | None = None) -> int:
    """Return what the formula says after some tokens: every one of them matters, and so does the adapter."""
    return sum((place + 1) * (token + ADAPTERS[adapter]) for place, token in enumerate(tokens)) % WORDS


class Formula:
    """A context that computes the formula, and minds that its cells and positions are used as llama.cpp wants it."""

    def __init__(self, cells: int, size: int) -> None:
        self.cells = cells
        self.size = size
        self.memory: dict[int, list[list[Any]]] = {}
        self.wanted: list[int] = []
        self.adapter: str | None = None

    def use(self, adapter: str | None) -> None:
        self.adapter = adapter

    def step(self, pieces: list[Piece]) -> int:
        assert sum(len(piece.tokens) for piece in pieces) <= self.size
        assert len({piece.sequence for piece in pieces}) == len(pieces)
        self.wanted = []
        for piece in pieces:
            cells = self.memory.setdefault(piece.sequence, [])
            assert piece.position == len(cells), "positions follow one another"
            for token in piece.tokens:
                cells.append([token, self.adapter])
            assert {cell[1] for cell in cells} == {self.adapter}, "nobody goes on from what another adapter has read"
            tokens = [cell[0] for cell in cells]
            for place in range(len(tokens) - piece.wanted, len(tokens)):
                self.wanted.append(following(tokens[: place + 1], self.adapter))
        assert self.used() <= self.cells, "the context has no more cells"
        return Outcome.DONE

    def used(self) -> int:
        return len({id(cell) for cells in self.memory.values() for cell in cells})

    def logits(self, count: int) -> Any:
        assert count == len(self.wanted)
        return numpy.eye(WORDS, dtype=numpy.float32)[self.wanted]

    def copy(self, source: int, target: int, length: int = -1) -> None:
        assert not self.memory.get(target)
        self.memory[target] = self.memory[source][: length if length >= 0 else None]

    def cut(self, sequence: int, length: int = 0) -> bool:
        del self.memory.get(sequence, [])[length:]
        return True

    def reaches(self, sequence: int, length: int) -> bool:
        return True

    def use_threads(self, count: int, batch_count: int) -> None:
        pass


class Shifted:
    """Takes the token that is some places after the best one, so that answers to one prompt differ."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def choose(self, logits: Any) -> Choice:
        return Choice((int(logits.argmax()) + self.shift) % WORDS)


class Silence:
    """An answer that nobody reads."""

    stopped = False

    def push(self, choice: Choice) -> list[Any]:
        return []

    def finish(self, reason: str) -> list[Any]:
        return []


class Foreseeing:
    """Guesses that are right some of the time."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def guess(self, sequence: Any) -> list[int]:
        tokens, shift = list(sequence.tokens), sequence._sampler.shift
        for _ in range(self.dice.randint(0, 3)):
            tokens.append((following(tokens, sequence.adapter) + shift) % WORDS if self.dice.random() < 0.8 else 0)
        return tokens[len(sequence.tokens) :]

    def forget(self, sequence: Any) -> None:
        pass


class Request:
    """A prompt and its answers; the others begin when the first has its first token."""

    def __init__(self, prompt: list[int], limit: int, count: int = 1, adapter: str | None = None) -> None:
        self.prompt = prompt
        self.limit = limit
        self.adapter = adapter
        self.answers = [
            GuessedSequence(prompt, Shifted(shift), Silence(), limit=limit, ends=())  # type: ignore[arg-type]
            for shift in range(count)
        ]
        for answer in self.answers:
            answer.adapter = adapter

    def check(self) -> None:
        for shift, answer in enumerate(self.answers):
            expected = list(self.prompt)
            while len(expected) < len(self.prompt) + self.limit:
                expected.append((following(expected, self.adapter) + shift) % WORDS)
            assert answer.tokens == expected


class Loop:
    """What the engine does, without its thread."""

    def __init__(
        self, *, slots: int = 4, size: int = 8, cells: int = 100, divisible: bool = True, guesser: Any = None
    ) -> None:
        self.slots, self.size = slots, size
        self.context = Formula(cells, 10**6 if guesser else size)
        self.cache = Cache(self.context, cells, 2 * slots, divisible=divisible)
        self.pace = Pace(size)
        self.turns = Turns(self.cache, self.pace, slots=slots, size=size)
        threads = Threads(1, 1)
        self.runner = BatchRunner(self.context, self.cache, self.pace, threads, threading.Lock(), guesser)  # type: ignore[arg-type]
        self.requests: dict[Any, Request] = {}

    def add(self, *requests: Request) -> None:
        for request in requests:
            self.requests |= dict.fromkeys(request.answers, request)
            self.turns.add(request.answers[0])

    def cancel(self, request: Request) -> None:
        for answer in request.answers:
            self.end(answer)

    def end(self, answer: Any) -> None:
        self.requests.pop(answer, None)
        self.turns.remove(answer)
        self.runner.release(answer)

    def step(self) -> list[Row]:
        rows = self.turns.plan()
        assert sum(len(row.tokens) for row in rows) <= self.size
        assert len(rows) <= self.slots
        assert len({row.sequence for row in rows}) == len(rows)
        outcomes = self.runner.step(rows) if rows else []
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome is not None:
                self.go_on(row.sequence, outcome)
        return rows

    def go_on(self, answer: Any, logits: Any) -> None:
        request = self.requests[answer]
        if answer is request.answers[0] and not answer.written:
            for other in request.answers[1:]:
                self.runner.copy(answer, other)
                other.read = answer.read
                self.turns.add(other)
                self.accept(other, logits)
        self.accept(answer, logits)

    def accept(self, answer: Any, logits: Any) -> None:
        answer.accept(logits)
        if answer.finished:
            self.end(answer)

    def sizes(self, count: int) -> list[list[int]]:
        """Return how many tokens each row of the next steps has."""
        return [[len(row.tokens) for row in self.step()] for _ in range(count)]

    def finish(self, most: int = 20_000) -> int:
        """Run until all is done; return the number of steps."""
        for count in range(most):
            if self.turns.idle:
                return count
            self.step()
        raise AssertionError(f"not done after {most} steps")


def prompt(length: int, seed: int = 0) -> list[int]:
    dice = random.Random(seed)
    return [dice.randrange(WORDS) for _ in range(length)]


def test_answers_join_and_leave_between_steps() -> None:
    loop = Loop()
    first, second = Request(prompt(3), 5), Request(prompt(2, 1), 2)
    loop.add(first)
    assert loop.sizes(2) == [[3], [1]]
    loop.add(second)
    assert loop.sizes(4) == [[1, 2], [1, 1], [1], []]
    assert loop.turns.idle
    first.check()
    second.check()


def test_short_prompts_are_read_at_once_as_far_as_a_step_goes() -> None:
    loop = Loop(size=8)
    loop.add(*(Request(prompt(length, length), 9) for length in (3, 4, 5)))
    assert loop.sizes(3) == [[3, 4, 1], [1, 1, 4], [1, 1, 1]]


def test_a_long_prompt_is_read_at_the_pace_that_running_answers_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(size=64, cells=1000)
    monkeypatch.setattr(loop.pace, "observe", lambda *seen: None)
    monkeypatch.setattr(loop.pace, "allowance", lambda answers: 5 if answers else 64)
    loop.add(Request(prompt(2), 100))
    assert loop.sizes(2) == [[2], [1]]
    loop.add(Request(prompt(73, 1), 100))
    assert loop.sizes(3) == [[1, 5], [1, 5], [1, 5]]
    loop.add(Request(prompt(10, 2), 100))
    assert loop.sizes(2) == [[1, 10, 5], [1, 1, 5]], "a short prompt does not wait for the long one"


def test_a_long_prompt_alone_takes_whole_steps() -> None:
    loop = Loop(size=8)
    loop.add(Request(prompt(20), 3))
    assert loop.sizes(3) == [[8], [8], [4]]


def test_no_more_than_the_slots_run_and_a_free_one_goes_to_who_waited_longest() -> None:
    loop = Loop(slots=2, size=8)
    requests = [Request(prompt(2, seed), limit) for seed, limit in ((1, 6), (2, 2), (3, 2))]
    loop.add(*requests)
    assert loop.sizes(2) == [[2, 2], [1, 1]]
    assert [row.sequence for row in loop.step()] == [requests[0].answers[0], requests[2].answers[0]]
    loop.finish()
    for request in requests:
        request.check()


def test_further_answers_wait_for_a_slot_before_later_requests() -> None:
    loop = Loop(slots=2, size=8)
    several, later = Request(prompt(3), 3, count=4), Request(prompt(3, 5), 2)
    loop.add(several)
    loop.step()
    loop.add(later)
    seen: list[Any] = []
    while not loop.turns.idle:
        seen += [row.sequence for row in loop.step() if row.sequence not in seen]
    assert seen[-1] is later.answers[0]
    several.check()
    later.check()


def test_more_answers_than_the_context_has_sequences() -> None:
    loop = Loop(slots=2, size=8)
    several, other = Request(prompt(6), 4, count=20), Request(prompt(4, 1), 9)
    loop.add(other, several)
    loop.finish()
    several.check()
    other.check()


def test_the_prompt_of_several_answers_is_read_once() -> None:
    loop = Loop(slots=3, size=8)
    loop.add(Request(prompt(8), 2, count=3))
    assert loop.sizes(2) == [[8], [1, 1, 1]]


def test_when_the_cache_is_full_the_youngest_pauses_and_the_oldest_never() -> None:
    loop = Loop(slots=3, size=8, cells=40)
    requests = [Request(prompt(6, seed), 30) for seed in range(3)]
    loop.add(*requests)
    stopped: list[int] = []
    while not loop.turns.idle:
        rows = {id(row.sequence) for row in loop.step()}
        here = [place for place, request in enumerate(requests) if request.answers[0] in loop.requests]
        if here and id(requests[here[0]].answers[0]) not in rows and requests[here[0]].answers[0].written:
            stopped.append(here[0])
    assert loop.context.used() <= 40
    assert stopped == [] or 0 not in stopped, "the oldest writes in every step"
    for request in requests:
        request.check()


def test_a_prompt_that_is_in_the_cache_is_admitted_only_if_there_is_room_for_its_rest() -> None:
    loop = Loop(slots=2, size=8, cells=60)
    kept = prompt(40, 3)
    loop.add(Request(kept, 1))
    loop.finish()
    running = Request(prompt(25, 4), 20)
    loop.add(running)
    loop.sizes(4)
    # 40 of its 50 tokens are known, but they are in cells that count as available.
    late = Request(kept + prompt(10, 5), 5)
    loop.add(late)
    loop.finish(200)
    running.check()
    late.check()


def test_two_long_prompts_that_fit_only_one_after_the_other() -> None:
    loop = Loop(slots=4, size=8, cells=64)
    requests = [Request(prompt(50, 1), 10), Request(prompt(50, 2), 10), Request(prompt(5, 3), 10)]
    loop.add(*requests)
    loop.finish(200)
    for request in requests:
        request.check()


def test_what_is_read_again_after_a_pause_is_not_called_cached() -> None:
    class Told:
        cached_tokens = 0

    loop = Loop(slots=2, size=8, cells=40)
    old, young = Request(prompt(10, 1), 30), Request(prompt(20, 2), 2)
    young.answers[0].job = Told()  # type: ignore[assignment]
    loop.add(old, young)
    loop.finish()
    assert young.answers[0].job is not None
    assert young.answers[0].job.cached_tokens == 0


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 6])
def test_a_request_may_leave_at_any_time(steps: int) -> None:
    loop = Loop(slots=2, size=8, cells=64)
    stays = [Request(prompt(5, 7), 12), Request(prompt(30, 8), 6, count=2)]
    goes = [Request(prompt(20, seed), 9, count=3) for seed in range(3)]
    loop.add(stays[0], goes[0], goes[1], stays[1], goes[2])
    loop.sizes(steps)
    for request in goes:
        loop.cancel(request)
        loop.cancel(request)
    loop.finish()
    for request in stays:
        request.check()
    assert loop.cache.available == 64


@pytest.mark.parametrize("kind", ["plain", "guessing", "recurrent"])
@pytest.mark.parametrize("seed", range(25))
def test_in_a_random_walk_every_answer_is_right_and_every_request_ends(seed: int, kind: str) -> None:
    dice = random.Random(seed)
    cells, slots = dice.choice((40, 64, 100)), dice.choice((1, 2, 3, 5))
    guesser = Foreseeing(dice) if kind == "guessing" else None
    loop = Loop(slots=slots, size=dice.choice((8, 16)), cells=cells, divisible=kind != "recurrent", guesser=guesser)
    stems = [prompt(25, one) for one in range(3)]
    requests: list[Request] = []
    for _ in range(250):
        if dice.random() < 0.3:
            text = dice.choice(stems)[: dice.randint(1, 25)] + prompt(dice.randint(0, 6), dice.randint(0, 3))
            room = cells - len(text)
            adapter = dice.choice(list(ADAPTERS)) if seed % 2 else None
            requests.append(Request(text, dice.randint(1, min(25, room)), dice.choice((1, 1, 1, 2, 4)), adapter))
            loop.add(requests[-1])
        if requests and dice.random() < 0.05:
            loop.cancel(requests.pop(dice.randrange(len(requests))))
        loop.step()
    loop.finish()
    for request in requests:
        request.check()
    assert loop.cache.available == cells, "nothing runs"
    assert loop.cache.make_room(cells)
    assert loop.context.used() == 0
