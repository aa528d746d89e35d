"""Sixteen jobs that come and go at random beside one another: each writes what generate() writes for it alone."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tiny.answers import Answers, completion, gather
from tiny.architectures import ALONE
from tiny.generating import Generated, generated
from tiny.tokenizers import CORPUS, byte_level_tokenizer
from universal_core import CompletionRequest
from universal_core.continuous_batching import Turns
from universal_text.causal.model import CausalModel

JOBS = 16
LONGEST = 300
# Four slots, chunks that cut most prompts, and fewer cells than four long jobs take: so some pause and read again.
SMALL = {"slots": 4, "prefill_chunk": 48, "cache_tokens": 800}
# Two tokens may be as good as each other, and then it is chance which is written: such prompts are not asked for.
MARGIN = 1e-3

SAMPLED: tuple[dict[str, Any], ...] = (
    {"temperature": 0.9, "top_p": 0.9},
    {"temperature": 1.2, "top_k": 12, "n": 2},
    {"repetition_penalty": 1.3},
    {"presence_penalty": 0.6, "frequency_penalty": 0.4},
    {"temperature": 0.7, "min_p": 0.05, "presence_penalty": 0.3},
)


class Job(NamedTuple):
    """A request; what is expected of it, None where only a run of it alone can tell; and when it comes and goes.

    Both are counted in events of the other jobs, since time means nothing here.
    """

    request: CompletionRequest
    expected: Generated | None
    begins: int
    ends: int | None


def drawn(path: Path, dice: random.Random) -> list[Job]:
    """Return jobs whose prompts share beginnings with one another, all sorts of them."""
    stems = [tokens(dice, dice.randint(20, 200)) for _ in range(3)]
    return [drawn_one(path, dice, stems) for _ in range(JOBS)]


def drawn_one(path: Path, dice: random.Random, stems: list[list[int]]) -> Job:
    begins = dice.randrange(120)
    ends = begins + dice.randrange(60) if dice.random() < 0.2 else None
    while True:
        stem = dice.choice(stems)[: dice.randint(1, 200)] if dice.random() < 0.6 else []
        prompt = [*stem, *tokens(dice, dice.randint(1, LONGEST - len(stem)))]
        most = dice.randint(1, 30)
        if dice.random() < 0.3:
            settings = {**dice.choice(SAMPLED), "seed": dice.randrange(1000)}
            return Job(completion(tuple(prompt), max_tokens=most, **settings), None, begins, ends)
        expected = generated(path, prompt, most)
        if expected.margin > MARGIN:
            count = dice.choice((1, 1, 1, 2))
            return Job(completion(tuple(prompt), max_tokens=most, logprobs=2, n=count), expected, begins, ends)


def tokens(dice: random.Random, count: int) -> list[int]:
    """Return tokens of a text, none of which is a part of a character."""
    return dice.choices(_words(), k=count)


@cache
def _words() -> list[int]:
    tokenizer = byte_level_tokenizer()
    return sorted({token for text in CORPUS for token in tokenizer(text)["input_ids"]})


class Crowd:
    """Runs jobs against one model; counts the events that come, which tells when others begin and leave."""

    def __init__(self, model: CausalModel) -> None:
        self.model = model
        self.events = 0
        self.running = 0
        self.awaited: list[int] = []
        self.changed = asyncio.Condition()

    async def run(self, jobs: list[Job]) -> list[Answers | None]:
        """Return what each job was answered, None for those that left."""
        self.awaited = [job.begins for job in jobs]
        return await asyncio.gather(*map(self.follow, jobs))

    async def follow(self, job: Job) -> Answers | None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.may_begin(job))
            self.awaited.remove(job.begins)
            self.running += 1
        try:
            return await self.answered(job)
        finally:
            async with self.changed:
                self.running -= 1
                self.changed.notify_all()

    def may_begin(self, job: Job) -> bool:
        """Whether it is a job's time: where nothing runs that brings events, it is the next one's."""
        return self.events >= job.begins or (not self.running and job.begins == min(self.awaited))

    async def answered(self, job: Job) -> Answers | None:
        task = asyncio.ensure_future(gather(self.counted(job.request)))
        if job.ends is None:
            return await task
        leaving = asyncio.ensure_future(self.until(job.ends))
        await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
        for one in (task, leaving):
            one.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)
        return None

    async def until(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.events >= count)

    async def counted(self, request: CompletionRequest) -> AsyncIterator[Any]:
        async with aclosing(self.model.complete(request)) as events:
            async for event in events:
                async with self.changed:
                    self.events += 1
                    self.changed.notify_all()
                yield event


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("llama", 1),
        ("llama", 2),
        ("qwen3", 3),
        ("gemma3", 4),
        ("mixtral", 5),
        ("gpt2", 6),
        ("phi", 7),
        ("falcon_h1", 8),
    ],
)
def test_each_job_writes_what_it_writes_alone(name: str, seed: int, folder: Any, open_model: Any, ask: Any) -> None:
    path = folder(name)
    jobs = drawn(path, random.Random(seed))
    model = open_model(path, **({"slots": 4} if name in ALONE else SMALL))
    found = asyncio.run(Crowd(model).run(jobs))
    finished = [(job, answers) for job, answers in zip(jobs, found, strict=True) if answers is not None]
    assert len(finished) >= JOBS // 2
    for job, answers in finished:
        assert answers.usage.prompt_tokens == len(job.request.prompt)
        if job.expected is None:
            assert texts(answers) == texts(ask(model, job.request)[0])
        else:
            assert all(job.expected.explains(answer) for answer in answers.by_index.values())
            assert len(answers.by_index) == job.request.n
    assert not model.batches or any(answers.usage.cached_tokens for _, answers in finished)


def texts(answers: Answers) -> list[str]:
    return [answer.text for _, answer in sorted(answers.by_index.items())]


def test_jobs_that_do_not_fit_together_pause_and_go_on(
    folder: Any, open_model: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, dice, paused = folder("llama"), random.Random(0), []
    pause = Turns._pause
    monkeypatch.setattr(Turns, "_pause", lambda turns, sequence: (paused.append(sequence), pause(turns, sequence)))
    prompts = [tokens(dice, 90) for _ in range(4)]
    expected = [generated(path, prompt, 60) for prompt in prompts]
    model = open_model(path, slots=4, prefill_chunk=48, cache_tokens=400)
    found = ask(model, *(completion(tuple(prompt), max_tokens=60, logprobs=0) for prompt in prompts))
    assert all(want.explains(one.by_index[0]) for want, one in zip(expected, found, strict=True))
    assert paused, "four times 150 tokens are more than 400"
