"""Who is painted next, together with whom, and what becomes of those who leave."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from PIL import Image

from universal_core import (
    ContentPolicyViolation,
    InsufficientMemory,
    InternalError,
    Notice,
    Step,
    UniversalError,
    note_batch,
)
from universal_diffusion.order import Order, Row, Settings
from universal_diffusion.painter import Decode, Painter

STEP_INTERVAL = 0.05
"""Seconds between two Steps that a reader is told of: each wakes the loop, which takes half a millisecond of a step."""

_log = logging.getLogger(__name__)

Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Painted:
    """A finished picture of an order, as pixels."""

    index: int
    image: Image.Image


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A preview of a picture of an order: the ``number``-th, as pixels."""

    index: int
    number: int
    image: Image.Image


News = Step | Notice | Painted | Unfinished


@dataclass(eq=False, slots=True)
class Job:
    """An order on its way: how many of its rows were begun and finished, and whether somebody still waits for it."""

    order: Order
    loop: asyncio.AbstractEventLoop
    arrived: asyncio.Queue[News | Exception] = field(default_factory=asyncio.Queue)
    begun: int = 0
    told: int = 0
    told_at: float = -math.inf
    finished: int = 0
    left: bool = False
    alone: bool = False

    @property
    def waiting(self) -> int:
        """How many rows are yet to be begun."""
        return 0 if self.left else len(self.order.rows) - self.begun

    def tell(self, news: News | Exception) -> None:
        """Let the reader have it; called from any thread."""
        if self.left:
            return
        try:
            self.loop.call_soon_threadsafe(self.arrived.put_nowait, news)
        except RuntimeError:  # the loop is closed: nobody is left to read
            self.left = True


@dataclass(frozen=True, slots=True)
class Share:
    """The rows of one job in a batch, from the ``first`` on."""

    job: Job
    first: int
    count: int

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows themselves."""
        return self.job.order.rows[self.first : self.first + self.count]


class Engine:
    """Paints all orders in one thread, as many pictures together as there is room for.

    The oldest order goes first, and those with equal settings go with it. One that its reader leaves is out before the
    next step; where nobody else is in its batch, the pipeline stops there.
    """

    def __init__(self, painter: Painter, max_batch: int) -> None:
        self._painter = painter
        self._max_batch = max_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="painter")
        self._jobs: list[Job] = []
        self._running: asyncio.Task[None] | None = None

    @property
    def orders(self) -> int:
        """How many orders are on their way, those that are being painted among them."""
        return len(self._jobs)

    async def paint(self, order: Order) -> AsyncGenerator[News, None]:
        """Yield steps of an order, notices, previews, and its pictures in order; leaving early ends it."""
        job = Job(order, asyncio.get_running_loop())
        self._jobs.append(job)
        self._wake()
        try:
            while job.finished < len(order.rows):
                news = await job.arrived.get()
                if isinstance(news, Exception):
                    raise news
                job.finished += isinstance(news, Painted)
                yield news
        finally:
            job.left = True
            if job in self._jobs:
                self._jobs.remove(job)

    def close(self) -> None:
        """Stop at the next step, and wait until it is over."""
        for job in list(self._jobs):
            job.tell(InternalError("the model is being unloaded"))
            job.left = True
        self._thread.shutdown()

    def _wake(self) -> None:
        loop = asyncio.get_running_loop()
        if self._running is None or self._running.done() or self._running.get_loop() is not loop:
            self._running = loop.create_task(self._run())

    async def _run(self) -> None:
        while (oldest := next((job for job in self._jobs if job.waiting), None)) is not None:
            asked = await self._in_thread(self._room, oldest)
            if (error := asked.exception()) is not None:
                self._fail(oldest, _explained(error, oldest.order.settings))
            elif batch := self._batch(oldest, asked.result()):
                painted = await self._in_thread(self._paint, batch)
                self._settle(batch, painted.exception())

    async def _in_thread(self, function: Callable[[Argument], Result], argument: Argument) -> asyncio.Future[Result]:
        """Return what became of calling the function: a result, or what it raised."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, function, argument)
        await asyncio.wait([future])
        return future

    def _room(self, oldest: Job) -> int:
        """Return how many pictures may be made together with those of the oldest order."""
        if oldest.alone:
            return 1
        settings = oldest.order.settings
        mates = [job for job in self._jobs.copy() if job.order.settings == settings and not job.alone]
        return self._painter.room(settings, max(1, min(self._max_batch, sum(job.waiting for job in mates))))

    def _batch(self, oldest: Job, room: int) -> list[Share]:
        """Return the rows to be painted together, those of the oldest order first."""
        mates = [] if oldest.alone else [job for job in self._jobs if job is not oldest and not job.alone]
        batch = []
        for job in [oldest, *(job for job in mates if job.order.settings == oldest.order.settings)]:
            if count := min(room, job.waiting):
                batch.append(Share(job, job.begun, count))
                job.begun += count
                room -= count
        return batch

    def _paint(self, batch: list[Share]) -> None:
        """Paint a batch; runs in the thread."""
        if all(share.job.left for share in batch):
            raise Abandoned
        settings = batch[0].job.order.settings
        rows = [row for share in batch for row in share.rows]
        self._notify(batch)
        note_batch(len(rows))
        images = iter(self._painter.paint(settings, rows, _Watch(batch)))
        for share in batch:
            for index in range(share.first, share.first + share.count):
                image = next(images)
                share.job.tell(Painted(index, image) if image is not None else _hidden(index))

    def _notify(self, batch: list[Share]) -> None:
        """Tell each reader once what there is to know about its prompts, which its pictures have in common."""
        for share in batch:
            if share.first == 0 and not share.job.alone:
                for text in self._painter.notices(share.job.order.settings, share.rows[0]):
                    share.job.tell(Notice(text=text))

    def _settle(self, batch: list[Share], error: BaseException | None) -> None:
        """Deal with what a batch ended in: where several were in it, each tries once more by itself."""
        if error is None or isinstance(error, Abandoned):
            return
        together = sum(share.count for share in batch) > 1
        for share in batch:
            if together and share.job in self._jobs:
                share.job.begun, share.job.alone = share.first, True
            else:
                self._fail(share.job, _explained(error, share.job.order.settings))

    def _fail(self, job: Job, error: Exception) -> None:
        job.tell(error)
        if job in self._jobs:
            self._jobs.remove(job)


class Abandoned(Exception):
    """Nobody waits for any picture of a batch."""


class _Watch:
    """Tells the readers of a batch how far it is, and stops it when all have left."""

    def __init__(self, batch: list[Share]) -> None:
        self._batch = batch

    @property
    def wants_previews(self) -> bool:
        return any(share.job.order.previews for share in self._batch)

    def step(self, done: int, total: int, unfinished: Decode) -> None:
        if all(share.job.left for share in self._batch):
            raise Abandoned
        now = time.monotonic()
        for share in self._batch:
            if done == total or now >= share.job.told_at + STEP_INTERVAL:
                _tell_step(share, done, total, now)
        self._show(done, total, unfinished)

    def _show(self, done: int, total: int, unfinished: Decode) -> None:
        """Send the previews that are due after this step: they are spread evenly, and the last step has none."""
        due: list[tuple[int, Share, int, int]] = []
        row = 0
        for share in self._batch:
            number = _due(share.job.order.previews, done, total)
            if number is not None and not share.job.left:
                due += [(row + place, share, share.first + place, number) for place in range(share.count)]
            row += share.count
        images = unfinished([place for place, *_ in due]) if due else []
        for (_, share, index, number), image in zip(due, images, strict=False):
            share.job.tell(Unfinished(index, number, image))


def _tell_step(share: Share, done: int, total: int, now: float) -> None:
    job, reached = share.job, share.first * total + share.count * done
    # What is tried once more is told of again only when it goes on.
    if reached > job.told:
        job.told, job.told_at = reached, now
        job.tell(Step(done=reached, total=len(job.order.rows) * total))


def _due(previews: int, done: int, total: int) -> int | None:
    """Return which preview follows a step: of k, the i-th stands at the share (i + 1) / (k + 1) of the steps."""
    count = min(previews, total - 1)
    steps = [max(1, round(total * (number + 1) / (count + 1))) for number in range(count)]
    return steps.index(done) if done in steps and done < total else None


def _hidden(index: int) -> Exception:
    return ContentPolicyViolation(
        f"the model's safety checker hides picture {index + 1}: it may show what not everyone should see; change the "
        "prompt or the seed, or switch the checker off with the option safety_checker",
        param="prompt",
    )


def _explained(error: BaseException, settings: Settings) -> Exception:
    """Return the error in words for the client."""
    if isinstance(error, UniversalError):
        return error
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        width, height = settings.size
        return InsufficientMemory(
            f"the device ran out of memory while it made a picture of {width}x{height}: ask for a smaller size, or set "
            "enable_optimizations, vae_tiling or cpu_offload in the model's options",
            param="size",
        )
    _log.error("a batch failed", exc_info=error)
    return InternalError(f"the model failed while it made the picture: {type(error).__name__}: {error}")
