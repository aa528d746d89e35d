"""Windows of all recordings that are being transcribed, computed together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import msgspec

from universal_audio.listen.recording import Samples
from universal_core import Segment, UniversalError, note_batch


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a window is to be heard; windows of equal settings can be computed together."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: str = "en"
    prompt: str | None = None
    hotwords: str | None = None
    words: bool = False
    temperature: float | None = None


Heard = list[Segment]
Run = Callable[[Settings, Sequence[Samples]], list[Heard]]
"""Returns the segments of each window, with times from the window's start; blocks."""


class _Waiting(NamedTuple):
    settings: Settings
    samples: Samples
    done: asyncio.Future[Heard]


class Engine:
    """Computes whatever waits, as much at a time as a batch may have; it never waits to fill one."""

    def __init__(self, run: Run, batch_size: int) -> None:
        self._run = run
        self._batch_size = batch_size
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="windows")

    def submit(self, settings: Settings, samples: Samples) -> asyncio.Future[Heard]:
        """Queue a window; cancelling what is returned takes it out again."""
        done: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(settings, samples, done))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return done

    async def _drain(self) -> None:
        try:
            # Windows that are submitted one after the other in one turn of the loop belong together.
            await asyncio.sleep(0)
            while batch := self._take():
                await self._answer(batch)
        finally:
            self._task = None

    def _take(self) -> list[_Waiting]:
        """Take the first window, and those of equal settings that came soonest after it."""
        waiting = [item for item in self._waiting if not item.done.done()]
        taken = [item for item in waiting if item.settings == waiting[0].settings][: self._batch_size]
        chosen = set(map(id, taken))
        self._waiting = deque(item for item in waiting if id(item) not in chosen)
        return taken

    async def _answer(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        samples = [item.samples for item in batch]
        note_batch(len(batch))
        try:
            answers: list[Heard] = await loop.run_in_executor(self._thread, self._run, batch[0].settings, samples)
        except (UniversalError, RuntimeError, ValueError) as error:  # what CTranslate2 and faster-whisper raise
            for item in batch:
                if not item.done.done():
                    item.done.set_exception(error)
            return
        for item, answer in zip(batch, answers, strict=True):
            if not item.done.done():
                item.done.set_result(answer)

    def close(self) -> None:
        """Wait for what is being computed."""
        self._thread.shutdown()
