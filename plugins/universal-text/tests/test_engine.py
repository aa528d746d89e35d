"""The engine: cancelling, failing, fairness and the end, step by step."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tiny.answers import Answers, gather
from universal_core import UniversalError
from universal_core.conversation import Answer, Engine, Job, Row, Sampling, Sequence
from universal_text.causal.sampling import Sampler
from universal_text.causal.scheduler import Scheduler

LETTERS = 26


class Alphabet:
    """A vocabulary whose tokens are letters."""

    def decode(self, tokens: list[int]) -> str:
        return "".join(chr(ord("a") + token) for token in tokens)


class Counting:
    """A runner whose sequences count through the alphabet; each step waits for ``gate`` where there is one."""

    def __init__(self) -> None:
        self.steps: list[list[int]] = []
        self.released: list[Sequence] = []
        self.gate: threading.Semaphore | None = None
        self.failure: Callable[[Row], Exception | None] = lambda row: None
        self.broken: BaseException | None = None
        self.interrupted = False

    def step(self, rows: list[Row]) -> list[Any]:
        if self.gate:
            assert self.gate.acquire(timeout=30)
        self.steps.append([len(row.tokens) for row in rows])
        if self.broken:
            raise self.broken
        return [self.failure(row) or self._logits(row) for row in rows]

    def copy(self, source: Sequence, target: Sequence) -> None:
        target.state = source.state

    def release(self, sequence: Sequence) -> None:
        self.released.append(sequence)

    def interrupt(self, wanted: bool) -> None:
        self.interrupted = wanted

    def _logits(self, row: Row) -> torch.Tensor | None:
        return torch.nn.functional.one_hot(torch.tensor((row.tokens[-1] + 1) % LETTERS), LETTERS).float()


def make_job(prompt: list[int], limit: int, count: int = 1) -> Job:
    def sequence(index: int) -> Sequence:
        answer = Answer(Alphabet(), index=index)  # type: ignore[arg-type]
        return Sequence(prompt, Sampler(Sampling(temperature=0.0), prompt), answer, limit=limit, ends=frozenset())

    return Job([sequence(index) for index in range(count)], len(prompt))


def run_engine(runner: Counting, scenario: Callable[[Engine], Any], slots: int = 4, chunk: int = 8) -> Any:
    engine = Engine(runner, Scheduler(slots, chunk))

    async def run() -> Any:
        return await asyncio.wait_for(scenario(engine), 30)

    try:
        return asyncio.run(run())
    finally:
        if runner.gate:
            runner.gate.release(1000)
        engine.close()


def test_answers_come_in_order_with_their_usage() -> None:
    async def scenario(engine: Engine) -> Answers:
        return await gather(engine.stream(make_job([0, 1, 2], 4, count=2)))

    answers = run_engine(Counting(), scenario)
    assert [answer.text for answer in answers.by_index.values()] == ["defg", "defg"]
    assert (answers.usage.prompt_tokens, answers.usage.completion_tokens) == (3, 8)


def test_the_answers_of_a_request_share_one_reading_of_the_prompt() -> None:
    runner = Counting()

    async def scenario(engine: Engine) -> Answers:
        return await gather(engine.stream(make_job(list(range(8)), 2, count=3)))

    run_engine(runner, scenario)
    assert runner.steps == [[8], [1, 1, 1]]


def test_a_reader_who_leaves_is_out_before_the_next_step() -> None:
    runner = Counting()
    runner.gate = threading.Semaphore(1)

    async def scenario(engine: Engine) -> int:
        stream = engine.stream(make_job([0], 1000))
        await anext(stream)
        await stream.aclose()
        runner.gate.release(2)
        await gather(engine.stream(make_job([0], 1)))
        return len(runner.steps)

    # One step for the first token; the next one may have begun already; then only the other request's.
    assert run_engine(runner, scenario) <= 3
    assert len(runner.released) >= 2


def test_cancelling_the_task_ends_the_job_too() -> None:
    runner = Counting()

    async def scenario(engine: Engine) -> None:
        started = asyncio.Event()

        async def read() -> None:
            async for _ in engine.stream(make_job([0], 10**9)):
                started.set()

        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gather(engine.stream(make_job([0], 1)))
        steps = len(runner.steps)
        await gather(engine.stream(make_job([0], 1)))
        assert len(runner.steps) == steps + 1, "nothing but the new request ran"

    run_engine(runner, scenario)


def test_a_row_that_fails_ends_its_own_request_alone() -> None:
    runner = Counting()
    runner.failure = lambda row: RuntimeError("broken row") if row.tokens == [13] else None

    async def scenario(engine: Engine) -> list[Any]:
        streams = [engine.stream(make_job([start], 8)) for start in (0, 13)]
        return await asyncio.gather(*map(gather, streams), return_exceptions=True)

    good, bad = run_engine(runner, scenario)
    assert good.text == "bcdefghi"
    assert isinstance(bad, UniversalError)
    assert "broken row" in bad.message


def test_a_step_that_fails_ends_its_requests_and_the_engine_goes_on() -> None:
    runner = Counting()

    async def scenario(engine: Engine) -> Answers:
        runner.broken = torch.OutOfMemoryError("out of memory")
        with pytest.raises(UniversalError, match="ran out of memory"):
            await gather(engine.stream(make_job([0], 5, count=2)))
        runner.broken = None
        return await gather(engine.stream(make_job([0], 2)))

    assert run_engine(runner, scenario).text == "bc"
    assert len(runner.released) >= 3, "the memory of failed sequences is free"


def test_an_error_in_choosing_a_token_ends_its_request_alone() -> None:
    async def scenario(engine: Engine) -> list[Any]:
        broken = make_job([0], 5)
        broken.sequences[0]._sampler = None  # type: ignore[assignment]
        streams = [engine.stream(broken), engine.stream(make_job([0], 3))]
        return await asyncio.gather(*map(gather, streams), return_exceptions=True)

    bad, good = run_engine(Counting(), scenario)
    assert isinstance(bad, UniversalError)
    assert good.text == "bcd"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_thread_that_died() -> None:
    runner = Counting()
    runner.broken = SystemExit("the thread ends")

    async def scenario(engine: Engine) -> None:
        waiting = [gather(engine.stream(make_job([0], 5))) for _ in range(3)]
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, UniversalError)
        with pytest.raises(UniversalError):
            await gather(engine.stream(make_job([0], 5)))

    run_engine(runner, scenario)


def test_closing_ends_what_is_being_written() -> None:
    async def scenario(engine: Engine) -> None:
        stream = engine.stream(make_job([0], 10**9))
        await anext(stream)
        await asyncio.to_thread(engine.close)
        with pytest.raises(UniversalError):
            async for _ in stream:
                pass

    run_engine(Counting(), scenario)


def test_a_loop_that_closed_stops_its_jobs() -> None:
    async def orphan() -> Job:
        return make_job([0], 10**9)

    job = asyncio.run(orphan())

    async def scenario(engine: Engine) -> Answers:
        engine._submit(job)
        return await gather(engine.stream(make_job([0], 2)))

    assert run_engine(Counting(), scenario).text == "bc"
    assert job.over


def plans(scheduler: Scheduler, count: int) -> list[list[int]]:
    """Return how many tokens each row of the next steps has, where every sequence goes on writing."""
    found = []
    for _ in range(count):
        rows = scheduler.plan()
        found.append([len(row.tokens) for row in rows])
        for row in rows:
            if row.wanted:
                row.sequence.tokens.append(0)
                row.sequence.written += 1
    return found


def sequences(*lengths: int) -> list[Sequence]:
    async def make() -> list[Sequence]:
        return [make_job([0] * length, 10**6).sequences[0] for length in lengths]

    return asyncio.run(make())


def test_a_long_prompt_never_stalls_running_answers() -> None:
    scheduler = Scheduler(slots=4, chunk=8)
    short, long = sequences(2, 30)
    scheduler.add(short)
    assert plans(scheduler, 2) == [[2], [1]]
    scheduler.add(long)
    assert plans(scheduler, 5) == [[1, 8], [1, 8], [1, 8], [1, 6], [1, 1]]


def test_a_short_prompt_need_not_wait_for_a_long_one() -> None:
    scheduler = Scheduler(slots=4, chunk=8)
    long, short = sequences(800, 3)
    scheduler.add(long)
    assert plans(scheduler, 1) == [[8]]
    scheduler.add(short)
    assert plans(scheduler, 3) == [[8], [3], [1, 8]]


def test_short_prompts_share_a_step() -> None:
    scheduler = Scheduler(slots=4, chunk=8)
    for sequence in sequences(3, 4, 5):
        scheduler.add(sequence)
    assert plans(scheduler, 3) == [[3, 4], [1, 1, 5], [1, 1, 1]]


def test_a_free_slot_goes_to_who_waited_longest() -> None:
    scheduler = Scheduler(slots=1, chunk=8)
    first, second, third = sequences(2, 3, 4)
    for sequence in (first, second, third):
        scheduler.add(sequence)
    assert plans(scheduler, 2) == [[2], [1]]
    scheduler.remove(second)
    scheduler.remove(first)
    assert plans(scheduler, 1) == [[4]]
    scheduler.remove(third)
    assert scheduler.idle
