"""The thread that writes all answers of a model together."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from universal_core.conversation.job import Job, Sequence, job_of
from universal_core.errors import InsufficientMemory, InternalError, UniversalError
from universal_core.messages import Event, Usage

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_Posts = dict[asyncio.AbstractEventLoop, list[tuple[Job, list[Event] | Exception]]]


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence's share of a step: the tokens to read, and after how many of the last of them logits are wanted."""

    sequence: Sequence
    tokens: list[int]
    wanted: int = 1


class Scheduler(Protocol):
    """Decides who runs in the next step."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""

    def add(self, sequence: Sequence) -> None:
        """Let a sequence take part as soon as there is room."""

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is."""

    def plan(self) -> list[Row]:
        """Return the rows of the next step; their tokens count as read from now on."""


class Runner(Protocol):
    """Reads tokens into sequences; it alone knows how their state is kept."""

    def step(self, rows: list[Row]) -> list[Any]:
        """Read each row's tokens and return its logits, None where not wanted, or the exception that it ended in.

        Logits are ``[vocabulary]`` where one is wanted, else ``[wanted, vocabulary]``; they hold until the next step.
        In the place of a row's one set of logits may stand whatever else its ``sequence.sampler`` takes, such as what
        it has chosen together with those of other rows; but not while ``sequence.is_scored``: scores come from logits.
        What is raised concerns all rows.
        """

    def copy(self, source: Sequence, target: Sequence) -> None:
        """Let ``target`` go on from all that ``source`` has read."""

    def release(self, sequence: Sequence) -> None:
        """Forget a sequence and free its memory."""

    def interrupt(self, wanted: bool) -> None:
        """Let the running step end early where that is possible, since nobody waits for it; False takes that back.

        Called from any thread.
        """


class Engine:
    """Steps through all jobs at once, and tells each loop what a step brought in a single call.

    A thread of its own computes; ``stream`` is called from asyncio. A job whose reader goes away is out before
    the next step. What fails in a step fails the jobs of that step and no others.
    """

    def __init__(self, runner: Runner, scheduler: Scheduler) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._news = threading.Condition()
        self._came: list[Job] = []
        self._left: list[Job] = []
        self._jobs: set[Job] = set()
        self._computing: set[Job] = set()
        self._posts: _Posts = defaultdict(list)
        self._closing = False
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)
        self._thread.start()

    async def stream(self, job: Job) -> AsyncGenerator[Event, None]:
        """Yield the job's events up to its Usage; leaving the iteration early ends the job."""
        self._submit(job)
        try:
            while True:
                news = await job.arrived.get()
                if isinstance(news, Exception):
                    raise news
                for event in news:
                    yield event
                    if isinstance(event, Usage):
                        return
        finally:
            if not job.over:
                self._leave(job)

    def close(self) -> None:
        """End the thread; jobs that are not finished fail."""
        with self._news:
            self._closing = True
            self._runner.interrupt(True)
            self._news.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _submit(self, job: Job) -> None:
        with self._news:
            if self._closing:
                raise InternalError("the model is being unloaded")
            self._came.append(job)
            self._news.notify()

    def _leave(self, job: Job) -> None:
        with self._news:
            self._left.append(job)
            self._news.notify()
            if self._computing and self._computing.issubset(self._left):
                self._runner.interrupt(True)

    def _live(self) -> None:
        try:
            while self._hear():
                if rows := self._scheduler.plan():
                    self._step(rows)
                    self._post()
        finally:
            self._die()

    def _hear(self) -> bool:
        """Take in what came and what left; wait while there is nothing to do. False when it is time to end."""
        with self._news:
            while not (self._came or self._left or self._closing) and self._scheduler.idle:
                self._news.wait()
            came, self._came = self._came, []
            left, self._left = self._left, []
        for job in came:
            self._jobs.add(job)
            self._scheduler.add(job.sequences[0])
        for job in left:
            self._end(job)
        return not self._closing

    def _step(self, rows: list[Row]) -> None:
        with self._news:
            self._computing = {job_of(row.sequence) for row in rows}
            self._runner.interrupt(False)
        outcomes = attempt(lambda: self._runner.step(rows))
        with self._news:
            self._computing = set()
        if isinstance(outcomes, Exception):
            for row in rows:
                self._fail(row.sequence, outcomes)
            return
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._fail(row.sequence, outcome)
            elif outcome is not None:
                self._go_on(row.sequence, outcome)

    def _go_on(self, sequence: Sequence, outcome: Any) -> None:
        job = job_of(sequence)
        logits = attempt(lambda: sequence.note(outcome))
        if isinstance(logits, Exception):
            self._fail(sequence, logits)
            return
        if logits is None:
            return
        if sequence is job.sequences[0] and not sequence.written:
            # The other answers to the same prompt begin with what the first has read.
            for other in job.sequences[1:]:
                self._branch(sequence, other, logits)
        self._accept(sequence, logits)

    def _branch(self, source: Sequence, other: Sequence, logits: Any) -> None:
        failure = attempt(lambda: self._runner.copy(source, other))
        if isinstance(failure, Exception):
            self._fail(other, failure)
            return
        other.read = source.read
        self._scheduler.add(other)
        self._accept(other, logits)

    def _accept(self, sequence: Sequence, logits: Any) -> None:
        job = job_of(sequence)
        if job.over:
            return
        events = attempt(lambda: sequence.accept(logits))
        if isinstance(events, Exception):
            self._fail(sequence, events)
            return
        if sequence.finished:
            self._remove(sequence)
        if job.finished:
            events.append(job.usage())
            self._end(job)
        if events:
            self._posts[job.loop].append((job, events))

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        job = job_of(sequence)
        if job.over:
            return
        _log.error("a step failed: %s", error, exc_info=error)
        self._end(job)
        self._posts[job.loop].append((job, _explain(error)))

    def _end(self, job: Job) -> None:
        job.over = True
        self._jobs.discard(job)
        for sequence in job.sequences:
            self._remove(sequence)

    def _remove(self, sequence: Sequence) -> None:
        self._scheduler.remove(sequence)
        self._runner.release(sequence)

    def _post(self) -> None:
        posts, self._posts = self._posts, defaultdict(list)
        for loop, letters in posts.items():
            try:
                loop.call_soon_threadsafe(_deliver, letters)
            except RuntimeError:  # the loop is closed: nobody is left to read
                for job, _ in letters:
                    self._end(job)

    def _die(self) -> None:
        """Leave nobody waiting, whatever ended the thread."""
        with self._news:
            self._closing = True
            jobs = [*self._jobs, *self._came]
        for job in jobs:
            self._end(job)
            self._posts[job.loop].append((job, InternalError("the model ended while it wrote this answer")))
        self._post()


def attempt(function: Callable[[], _Result]) -> _Result | Exception:
    """Return the function's result, or the exception that it raised."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - the engine's boundary: whatever a step raises belongs to its jobs
        return error


def _explain(error: Exception) -> Exception:
    """Return the error in words for the client."""
    if isinstance(error, UniversalError):
        return error
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return InsufficientMemory(
            "the device ran out of memory while the model wrote this answer; ask for a shorter one, "
            "or give the model fewer slots or a smaller n_ctx"
        )
    return InternalError(f"the model failed while it wrote this answer: {type(error).__name__}: {error}")


def _deliver(letters: list[tuple[Job, list[Event] | Exception]]) -> None:
    for job, news in letters:
        job.arrived.put_nowait(news)
