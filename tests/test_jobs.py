"""Jobs in the worker: every way in which a model may answer, and how an answer is stopped or held up."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, cast

import msgspec
import pytest

from universal_core import (
    BadRequest,
    ChatRequest,
    EmbedRequest,
    EmbedResult,
    Event,
    Finish,
    Message,
    Request,
    Text,
    Usage,
    batched,
)
from universal_core.errors import Failure
from universal_core.execution import Execution
from universal_core.frames import WINDOW, Batch, Emitted, Ended, Run, pack, unpack
from universal_core.jobs import Job, Outbox
from universal_core.testing import chat_request

STOP = Finish(reason="stop")
REQUEST = chat_request("hello", 8)
DEADLINE = 20.0


class Running:
    """A job that runs, and what its reader has been sent."""

    def __init__(self, job: Job, inbox: "Inbox") -> None:
        self.job = job
        self._inbox = inbox

    @property
    def messages(self) -> list[Message]:
        """Everything sent so far."""
        items = self._inbox.items.get(self.job.number, [])
        return [unpack(item.schema, item.data) for item in items]

    async def end(self) -> Ended:
        """Wait for the job's last item."""
        return await self._inbox.ended(self.job.number)

    async def sent(self, count: int) -> None:
        """Wait until this many events have been sent."""
        await self._inbox.until(lambda: len(self._inbox.items.get(self.job.number, [])) >= count)


class Inbox:
    """The other side of an outbox."""

    def __init__(self) -> None:
        self.frames = 0
        self.items: dict[int, list[Emitted]] = {}
        self._ends: dict[int, Ended] = {}
        self._news = asyncio.Event()

    def take(self, batch: Batch) -> None:
        """Sort a frame's items by job."""
        self.frames += 1
        for item in batch.items:
            if isinstance(item, Emitted):
                self.items.setdefault(item.job, []).append(item)
            else:
                assert item.job not in self._ends
                self._ends[item.job] = item
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what was sent."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def ended(self, number: int) -> Ended:
        """Wait for a job's end."""
        await self.until(lambda: number in self._ends)
        return self._ends[number]


class Bench:
    """As much of a worker as jobs need."""

    def __init__(self, model: Any, run_task: Callable[..., Any] | None = None) -> None:
        self.thread = ThreadPoolExecutor(1)
        self.inbox = Inbox()
        self._model = model
        self._outbox = Outbox(self.inbox.take)
        self._run_task = run_task or Execution({}, self.thread).run_task
        self._numbers = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, task: str = "chat", request: Request = REQUEST) -> Running:
        """Begin a job."""
        frame = Run(next(self._numbers), task, *pack(request), "req_1")
        job = Job(frame.job, self._outbox)
        self._tasks.append(asyncio.create_task(job.run(self._run_task, self._model, frame, self.thread)))
        return Running(job, self.inbox)

    async def close(self) -> None:
        """Wait until nothing runs any more."""
        await asyncio.gather(*self._tasks)
        self.thread.shutdown()


def bench(model: Any, use: Callable[[Bench], Coroutine[Any, Any, Any]], run_task: Any = None) -> Any:
    """Run a coroutine function on a bench with this model, and clear up."""

    async def main() -> Any:
        async with asyncio.timeout(DEADLINE):
            found = Bench(model, run_task)
            result = await use(found)
            await found.close()
            return result

    return asyncio.run(main())


def answer(
    model: Any, task: str = "chat", request: Request = REQUEST, run_task: Any = None
) -> tuple[list[Message], Any]:
    """Return all that a model gives to one request, and the failure it ended with."""

    async def use(here: Bench) -> tuple[list[Message], Failure | None]:
        running = here.start(task, request)
        end = await running.end()
        return running.messages, end.failure

    found: tuple[list[Message], Any] = bench(model, use, run_task)
    return found


class AsyncGenerator:
    async def chat(self, request: ChatRequest) -> AsyncIterator[Event]:
        yield Text(text=request.messages[-1].text)
        await asyncio.sleep(0)
        yield STOP


class Coroutines:
    async def embed(self, request: EmbedRequest) -> EmbedResult:
        return EmbedResult.of([[1.0]] * len(request.input), 1)

    async def chat(self, request: ChatRequest) -> list[Event]:
        return [Text(text="whole"), STOP]

    async def say(self, request: ChatRequest) -> str:
        return "a bare string"


class Plain:
    def chat(self, request: ChatRequest) -> Iterator[Event]:
        yield Text(text=threading.current_thread().name)
        yield STOP

    def embed(self, request: EmbedRequest) -> EmbedResult:
        return EmbedResult.of([[2.0]] * len(request.input), 1)

    def say(self, request: ChatRequest) -> str:
        return "a bare string"

    def listed(self, request: ChatRequest) -> list[Any]:
        return ["one ", Text(text="two"), STOP]


class Batched:
    @batched(cost=lambda request: len(request.input), budget=8)
    def embed(self, requests: list[EmbedRequest]) -> list[Any]:
        return [BadRequest("empty") if "" in r.input else EmbedResult.of([[float(len(requests))]], 1) for r in requests]


EMBED = EmbedRequest(input=("a",))


@pytest.mark.parametrize(
    ("model", "task", "request_", "expected"),
    [
        (AsyncGenerator(), "chat", REQUEST, [Text(text="hello"), STOP]),
        (Coroutines(), "chat", REQUEST, [Text(text="whole"), STOP]),
        (Coroutines(), "embed", EMBED, [EmbedResult.of([[1.0]], 1)]),
        (Coroutines(), "say", REQUEST, [Text(text="a bare string"), STOP]),
        (Plain(), "embed", EMBED, [EmbedResult.of([[2.0]], 1)]),
        (Plain(), "say", REQUEST, [Text(text="a bare string"), STOP]),
        (Plain(), "listed", REQUEST, [Text(text="one "), Text(text="two"), STOP]),
        (Batched(), "embed", EMBED, [EmbedResult.of([[1.0]], 1)]),
    ],
)
def test_a_model_may_answer_in_any_of_these_ways(
    model: Any, task: str, request_: Request, expected: list[Message]
) -> None:
    assert answer(model, task, request_) == (expected, None)


def test_a_plain_generator_runs_on_the_models_own_thread() -> None:
    (text, finish), failure = answer(Plain())
    assert isinstance(text, Text)
    assert text.text.startswith("ThreadPoolExecutor")
    assert (finish, failure) == (STOP, None)


def test_requests_that_wait_for_a_batched_method_run_together() -> None:
    async def use(here: Bench) -> list[Any]:
        jobs = [here.start("embed", EMBED) for _ in range(3)]
        for job in jobs:
            await job.end()
        return [job.messages[0] for job in jobs]

    assert bench(Batched(), use) == [EmbedResult.of([[3.0]], 1)] * 3


def test_a_bad_request_in_a_batch_fails_alone() -> None:
    async def use(here: Bench) -> list[Any]:
        jobs = [here.start("embed", EmbedRequest(input=(text,))) for text in ("a", "", "b")]
        return [(await job.end()).failure for job in jobs]

    assert bench(Batched(), use) == [None, BadRequest("empty").to_failure(), None]


def test_bare_strings_are_text() -> None:
    class Model:
        async def chat(self, request: ChatRequest) -> AsyncIterator[str]:
            yield "one "
            yield "two"

    assert answer(Model())[0] == [Text(text="one "), Text(text="two"), STOP]


def test_answers_that_were_not_finished_are_finished_for_the_model() -> None:
    class Model:
        def chat(self, request: ChatRequest) -> Iterator[Event]:
            yield Text(text="b", index=1)
            yield Finish(reason="length", index=1)
            yield Text(text="a")
            yield Usage(prompt_tokens=1)

    messages, _ = answer(Model(), request=msgspec.structs.replace(REQUEST, n=3))
    assert messages[4:] == [Finish(reason="stop", index=0), Finish(reason="stop", index=2)]


def test_a_finish_is_added_to_no_answer_that_has_one() -> None:
    messages, _ = answer(AsyncGenerator())
    assert messages.count(STOP) == 1


def test_a_result_gets_no_finish() -> None:
    assert len(answer(Plain(), "embed", EMBED)[0]) == 1


@pytest.mark.parametrize("wrong", [3, None, {"text": "x"}, b"bytes"])
def test_something_that_is_no_event_is_the_models_defect(wrong: object, caplog: pytest.LogCaptureFixture) -> None:
    class Model:
        async def chat(self, request: ChatRequest) -> AsyncIterator[Any]:
            yield "good"
            yield wrong

    messages, failure = answer(Model())
    assert messages == [Text(text="good")]
    assert failure.error == "InternalError"
    assert "expected str, an Event or a Result" in caplog.text


@pytest.mark.parametrize("task", ["chat", "embed"])
def test_an_event_that_no_frame_can_carry_fails_its_job(task: str, caplog: pytest.LogCaptureFixture) -> None:
    wrong: Any = Text(text=cast(str, object()))

    class Model:
        def chat(self, request: ChatRequest) -> Iterator[Any]:
            yield wrong

        async def embed(self, request: EmbedRequest) -> AsyncIterator[Any]:
            yield wrong

    messages, failure = answer(Model(), task, REQUEST if task == "chat" else EMBED)
    assert messages == []
    assert failure.error == "InternalError"
    assert "object" in caplog.text


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
def test_an_error_of_ours_reaches_the_client_in_its_own_words(kind: str) -> None:
    class Model:
        def plain(self, request: ChatRequest) -> Iterator[str]:
            yield "begun"
            raise BadRequest("this cannot be", param="messages")

        async def asynchronous(self, request: ChatRequest) -> AsyncIterator[str]:
            yield "begun"
            raise BadRequest("this cannot be", param="messages")

    messages, failure = answer(Model(), kind)
    assert messages == [Text(text="begun")]
    assert failure == BadRequest("this cannot be", param="messages").to_failure()


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
def test_any_other_error_is_logged_in_full_and_told_in_short(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    class Model:
        def plain(self, request: ChatRequest) -> str:
            raise RuntimeError("secret path /home/me")

        async def asynchronous(self, request: ChatRequest) -> str:
            raise RuntimeError("secret path /home/me")

    messages, failure = answer(Model(), kind)
    assert messages == []
    assert failure.error == "InternalError"
    assert "RuntimeError" in failure.message
    assert "secret" not in failure.message
    assert "secret path /home/me" in caplog.text
    assert caplog.records[-1].__dict__["request_id"] == "req_1"


@pytest.mark.parametrize("task", ["no_such_task", "_private", "__init__", "name"])
def test_a_task_that_the_model_has_no_method_for_is_not_supported(task: str) -> None:
    class Model:
        name = "not callable"

        def _private(self, request: ChatRequest) -> str:
            return "never"

    messages, failure = answer(Model(), task)
    assert messages == []
    assert failure.error == "TaskNotSupported"


def test_what_piles_up_in_one_turn_goes_out_as_one_frame() -> None:
    class Model:
        async def chat(self, request: ChatRequest) -> AsyncIterator[str]:
            for number in range(50):
                yield str(number)

    async def use(here: Bench) -> int:
        await here.start().end()
        return here.inbox.frames

    assert bench(Model(), use) == 1


class Stepping:
    """Counts its steps; each waits for leave."""

    def __init__(self) -> None:
        self.steps = 0
        self.closed = False
        self.leave = threading.Semaphore(1)
        self.again = threading.Event()
        self.free = asyncio.Event()

    def plain(self, request: ChatRequest) -> Iterator[str]:
        try:
            while True:
                self.leave.acquire()
                self.steps += 1
                yield "step"
                self.again.set()
        finally:
            self.closed = True

    async def asynchronous(self, request: ChatRequest) -> AsyncIterator[str]:
        try:
            self.steps += 1
            yield "step"
            await self.free.wait()
            self.steps += 1
            yield "never"
        finally:
            self.closed = True


def test_a_cancelled_plain_generator_stops_within_one_step() -> None:
    model = Stepping()

    async def use(here: Bench) -> Ended:
        running = here.start("plain")
        assert await asyncio.to_thread(model.again.wait, DEADLINE), "its second step has begun"
        running.job.cancel()
        model.leave.release()
        return await running.end()

    end = bench(model, use)
    assert (end.failure, end.late, model.steps, model.closed) == (None, 1, 2, True)


def test_a_cancelled_async_generator_stops_at_its_next_await() -> None:
    model = Stepping()

    async def use(here: Bench) -> Ended:
        running = here.start("asynchronous")
        await running.sent(1)
        running.job.cancel()
        return await running.end()

    end = bench(model, use)
    assert (end.failure, end.late, model.steps, model.closed) == (None, 0, 1, True)


@pytest.mark.parametrize("task", ["plain", "asynchronous"])
def test_a_reader_that_is_still_there_is_told_why_its_job_was_cancelled(task: str) -> None:
    model, reason = Stepping(), Failure("WorkerDied", "unloaded")

    async def use(here: Bench) -> Ended:
        running = here.start(task)
        await running.sent(1)
        running.job.cancel(reason)
        model.leave.release()
        return await running.end()

    assert bench(model, use).failure == reason


@pytest.mark.parametrize("task", ["plain", "asynchronous"])
def test_a_job_cancelled_before_it_began_never_begins(task: str) -> None:
    model = Stepping()

    async def use(here: Bench) -> Ended:
        running = here.start(task)
        running.job.cancel()
        return await running.end()

    assert bench(model, use).failure is None
    assert model.steps == 0


def test_a_cancelled_request_in_a_batch_ends_at_once_and_the_others_are_answered() -> None:
    go = threading.Event()

    class Model:
        @batched(cost=lambda request: 1, budget=8)
        def embed(self, requests: list[EmbedRequest]) -> list[EmbedResult]:
            assert go.wait(DEADLINE)
            return [EmbedResult.of([[1.0]], 1) for _ in requests]

    async def use(here: Bench) -> list[list[Message]]:
        first, second = here.start("embed", EMBED), here.start("embed", EMBED)
        for _ in range(5):
            await asyncio.sleep(0)
        first.job.cancel()
        await first.end()
        go.set()
        await second.end()
        return [first.messages, second.messages]

    assert bench(Model(), use) == [[], [EmbedResult.of([[1.0]], 1)]]


class Endless:
    """Produces for ever, and tells when it has produced more than a reader can be said to have asked for."""

    MOST = WINDOW + 2

    def __init__(self) -> None:
        self.produced = 0
        self.excess: Callable[[], None] = lambda: None

    def _count(self) -> str:
        self.produced += 1
        if self.produced > self.MOST:
            self.excess()
        return f"{self.produced} "

    def plain(self, request: ChatRequest) -> Iterator[str]:
        while True:
            yield self._count()

    async def asynchronous(self, request: ChatRequest) -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(0)
            yield self._count()


@pytest.mark.parametrize("task", ["plain", "asynchronous"])
def test_a_reader_that_does_not_read_stops_the_model(task: str) -> None:
    model = Endless()

    async def use(here: Bench) -> list[Message]:
        too_many, loop = asyncio.Event(), asyncio.get_running_loop()
        model.excess = lambda: loop.call_soon_threadsafe(too_many.set)  # type: ignore[assignment, return-value]
        running = here.start(task)
        await running.sent(WINDOW)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await too_many.wait()
        model.excess = lambda: None
        produced = model.produced
        running.job.cancel()
        await running.end()
        assert produced <= Endless.MOST, f"{produced} events were made for a reader that granted {WINDOW}"
        return running.messages

    assert len(bench(model, use)) == WINDOW


@pytest.mark.parametrize("task", ["plain", "asynchronous"])
def test_a_reader_that_reads_gets_everything_in_order(task: str) -> None:
    count = WINDOW * 3 + 7

    class Model:
        def plain(self, request: ChatRequest) -> Iterator[str]:
            yield from map(str, range(count))

        async def asynchronous(self, request: ChatRequest) -> AsyncIterator[str]:
            for number in range(count):
                yield str(number)

    async def use(here: Bench) -> list[Message]:
        running = here.start(task)
        for part in range(1, 4):
            await running.sent(WINDOW * part)
            running.job.grant(WINDOW)
        await running.end()
        return running.messages

    messages = bench(Model(), use)
    assert messages == [*(Text(text=str(number)) for number in range(count)), STOP]


def test_a_slow_reader_holds_up_its_own_job_alone() -> None:
    class Model:
        async def chat(self, request: ChatRequest) -> AsyncIterator[str]:
            for number in range(request.max_tokens or 0):
                await asyncio.sleep(0)
                yield str(number)

    async def use(here: Bench) -> int:
        held = here.start(request=chat_request("x", WINDOW * 2))
        await held.sent(WINDOW)
        other = here.start(request=chat_request("x", 100))
        await other.end()
        held.job.cancel()
        await held.end()
        return len(other.messages)

    assert bench(Model(), use) == 101


class Opaque:
    """A model of a plugin that answers run_task by itself: it has no methods named like tasks."""


def awaitable(model: Any, task: str, request: Any) -> Awaitable[Any]:
    async def result() -> str:
        return "awaited"

    return result()


def stream(model: Any, task: str, request: Any) -> AsyncIterator[str]:
    async def events() -> AsyncIterator[str]:
        yield "streamed"

    return events()


def plain(model: Any, task: str, request: Any) -> Iterator[str]:
    return iter(["plain"])


@pytest.mark.parametrize(("run_task", "text"), [(plain, "plain"), (awaitable, "awaited"), (stream, "streamed")])
def test_a_plugin_may_answer_run_task_in_each_way_for_a_model_without_methods(run_task: Any, text: str) -> None:
    assert answer(Opaque(), run_task=run_task) == ([Text(text=text), STOP], None)
