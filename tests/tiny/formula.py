"""A model that is a formula, so that every answer is known; and the engine's loop, without its thread."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from universal_core.continuous_batching import Cache, GuessedSequence, Pace, Turns
from universal_core.conversation import Choice, Row

WORDS = 5
ADAPTERS = {None: 0, "one": 1, "two": 3}


def following(tokens: list[int], adapter: str | None = None) -> int:
    """Return what the formula says after some tokens: every one of them matters, and so does the adapter."""
    return sum((place + 1) * (token + ADAPTERS[adapter]) for place, token in enumerate(tokens)) % WORDS


class Piece(NamedTuple):
    """A row's share of a step."""

    sequence: int
    position: int
    tokens: list[int]
    wanted: int


class Formula:
    """A context that computes the formula, and minds that its cells and positions are used as they must be.

    One that ``shares`` has the cells of a common beginning once; else a copy takes cells of its own.
    """

    def __init__(self, cells: int, size: int, *, shares: bool = True) -> None:
        self.cells = cells
        self.size = size
        self.shares = shares
        self.memory: dict[int, list[list[Any]]] = {}
        self.wanted: list[int] = []
        self.adapter: str | None = None

    def use(self, adapter: str | None) -> None:
        self.adapter = adapter

    def step(self, pieces: Sequence[Any]) -> int:
        """Read some pieces; return 0, as llama_decode does."""
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
        return 0

    def used(self) -> int:
        return len({id(cell) for cells in self.memory.values() for cell in cells})

    def logits(self, count: int) -> Any:
        assert count == len(self.wanted)
        return numpy.eye(WORDS, dtype=numpy.float32)[self.wanted]

    def copy(self, source: int, target: int, length: int = -1) -> None:
        assert not self.memory.get(target)
        beginning = self.memory[source][: length if length >= 0 else None]
        self.memory[target] = beginning if self.shares else [list(cell) for cell in beginning]
        assert self.used() <= self.cells, "the context has no more cells"

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


class Reader:
    """Reads the rows of a step, and nothing more."""

    def __init__(self, context: Formula, cache: Cache, pace: Pace) -> None:
        self.context = context
        self.cache = cache
        self.pace = pace

    def step(self, rows: list[Row]) -> list[Any]:
        pieces = []
        for row in rows:
            held = row.sequence.state
            pieces.append(Piece(held.number, len(held.tokens), row.tokens, row.wanted))
            self.cache.extend(held, row.tokens)
            self.context.use(row.sequence.adapter)
            self.context.step(pieces[-1:])
        answers = sum(row.wanted == 1 == len(row.tokens) for row in rows)
        tokens = sum(len(row.tokens) for row in rows)
        self.pace.observe(answers, tokens - answers, 0.01 + 0.001 * tokens)
        return [self._after(row) if row.wanted else None for row in rows]

    def _after(self, row: Row) -> Any:
        return numpy.eye(WORDS)[following(row.sequence.tokens[: row.sequence.read], row.sequence.adapter)]

    def copy(self, source: Any, target: Any) -> None:
        target.state = self.cache.fork(source.state)

    def release(self, sequence: Any) -> None:
        held, sequence.state = sequence.state, None
        if held is not None:
            self.cache.keep(held)


class Loop:
    """What the engine does, without its thread; ``reader`` makes a runner of a context, its cache and a pace."""

    def __init__(
        self,
        reader: Callable[[Formula, Cache, Pace], Any] = Reader,
        *,
        slots: int = 4,
        size: int = 8,
        cells: int = 100,
        divisible: bool = True,
        shares: bool = True,
        guesses: bool = False,
    ) -> None:
        self.slots, self.size = slots, size
        self.context = Formula(cells, 10**6 if guesses else size, shares=shares)
        self.cache = Cache(self.context, cells, 2 * slots, divisible=divisible, shares=shares)
        self.pace = Pace(size)
        self.turns = Turns(self.cache, self.pace, slots=slots, size=size)
        self.runner = reader(self.context, self.cache, self.pace)
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


def walk(loop: Loop, dice: random.Random, *, adapters: bool) -> None:
    """Let requests come and go at random, run all to their ends, and check every answer and that nothing is lost."""
    cells = loop.cache.size
    stems = [prompt(25, one) for one in range(3)]
    requests: list[Request] = []
    for _ in range(250):
        if dice.random() < 0.3:
            text = dice.choice(stems)[: dice.randint(1, 25)] + prompt(dice.randint(0, 6), dice.randint(0, 3))
            adapter = dice.choice(list(ADAPTERS)) if adapters else None
            limit = dice.randint(1, min(25, cells - len(text)))
            requests.append(Request(text, limit, dice.choice((1, 1, 1, 2, 4)), adapter))
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
