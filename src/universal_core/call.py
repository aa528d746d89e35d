"""One request on its way to a model: it waits for its turn, and then reads what the model answers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from universal_core.entry import Entry, JobProgress, Lease, Plan
from universal_core.errors import UniversalError
from universal_core.messages import (
    Finish,
    GenerationRequest,
    Heard,
    Message,
    Picture,
    Request,
    Result,
    Spoken,
    Step,
    Usage,
)
from universal_core.pool import Pool
from universal_core.record import RequestRecord

_TELLING = (Usage, Finish, Result, Picture, Spoken, Heard)
_SETTINGS = (
    *("temperature", "top_p", "top_k", "max_tokens", "seed", "n"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty"),
)


class Call:
    """One request on its way to a model; use it as an async context manager, then read batches().

    ``told`` gets the record of it when it has ended, in whatever way; ``trace`` are the headers for it.
    """

    def __init__(
        self,
        pool: Pool,
        plan: Plan,
        task: str,
        request: Request,
        key: str,
        request_id: str,
        timeout: float,
        told: Callable[[RequestRecord], None] = lambda record: None,
        trace: Mapping[str, str] | None = None,
    ) -> None:
        self.plan = plan
        self.timings: dict[str, float] = {}
        self._pool = pool
        self._task = task
        self._request = request
        self._key = key
        self._request_id = request_id
        self._timeout = timeout
        self._told = told
        self._trace = trace or {}
        self._entry: Entry | None = None
        self._lease: Lease | None = None
        self._began = self._lapped = time.perf_counter()
        self._loaded: float | None = None
        self._answer = _Answer()
        self._outcome = "cancelled"
        self._over = False

    @property
    def status(self) -> str:
        """What the request is waiting for."""
        if self._lease is not None:
            job = self._lease.entry.jobs.get(self)
            return f"{self.plan.name} is working" + (f": step {job.done} of {job.total}" if job else "")
        return self._entry.status if self._entry else "finding the model"

    def _watch(self, entry: Entry) -> None:
        self._entry = entry
        if entry.loading is not None and not entry.loading.done():
            entry.loading.add_done_callback(self._note_loaded)

    def _note_loaded(self, _: object) -> None:
        self._loaded = time.perf_counter()

    async def __aenter__(self) -> "Call":
        """Wait for the model and for a turn on it."""
        try:
            self._lease = await self._pool.lease(self.plan, self._key, self._watch)
        except BaseException as error:
            self._note_waiting()
            self._outcome = _outcome(error)
            self._tell()
            raise
        self._note_waiting()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the slot back; what still runs is cancelled."""
        if self._lease is not None:
            self._lease.entry.jobs.pop(self, None)
            self._lease.release()
        self._tell()

    def _note_waiting(self) -> None:
        """Tell the time that the load took from that for the turn, once both are over."""
        waited = self._lap()
        loading = self._entry is not None and self._entry.state == "loading"
        loaded = self._loaded if self._loaded is not None else self._lapped if loading else self._began
        self.timings["load"] = loaded - self._began
        self.timings["queue"] = waited - self.timings["load"]

    def _lap(self) -> float:
        now = time.perf_counter()
        lap, self._lapped = now - self._lapped, now
        return lap

    async def batches(self, patience: float | None = None) -> AsyncGenerator[list[Message]]:
        """Yield events as they come, all that are there at a time.

        An empty list means that ``patience`` seconds went by without any. Raises DeadlineExceeded.
        """
        assert self._lease is not None
        deadline = time.monotonic() + self._timeout if self._timeout else None
        try:
            async with aclosing(
                self._lease.run(self._task, self._request, self._request_id).batches(deadline, patience)
            ) as found:
                async for batch in found:
                    if batch and "prefill" not in self.timings:
                        self.timings["prefill"] = self._lap()
                    self._answer.note(batch)
                    if self._request.tells_progress:
                        self._note_progress(self._lease, batch)
                    yield batch
        except BaseException as error:
            self._outcome = _outcome(error)
            raise
        self._outcome = "ok"
        self.timings["generate"] = self._lap()

    def _note_progress(self, lease: Lease, batch: list[Message]) -> None:
        step = next((message for message in reversed(batch) if isinstance(message, Step)), None)
        if step is not None:
            lease.entry.jobs[self] = JobProgress(self._task, self._request_id, step.done, step.total)

    def _tell(self) -> None:
        if not self._over:
            self._over = True
            self._told(self._record())

    def _record(self) -> RequestRecord:
        timings, usage = self.timings, self._answer.usage
        waited = timings["load"] + timings["queue"]
        prefill = timings.get("prefill")
        first = None if prefill is None else waited + prefill
        # One that ended early has no time of its own for writing.
        generate = timings.get("generate", 0.0 if first is None else time.perf_counter() - self._lapped)
        generates = isinstance(self._request, GenerationRequest)
        return RequestRecord(
            request_id=self._request_id,
            model=self.plan.name,
            info_id=self.plan.info.id,
            task=self._task,
            backend=self.plan.claim.backend,
            outcome=self._outcome,
            seconds=time.perf_counter() - self._began,
            queue_seconds=timings["queue"],
            load_seconds=timings["load"],
            prefill_seconds=prefill or 0.0,
            first_seconds=first,
            generate_seconds=generate,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            tokens_cached=usage.cached_tokens,
            tokens_reasoning=usage.reasoning_tokens,
            generates=generates,
            pictures=self._answer.pictures,
            audio_seconds=self._answer.audio_seconds,
            finish_reasons=tuple(self._answer.reasons),
            settings=_settings(self._request) if generates else {},
            trace=self._trace,
        )


class _Answer:
    """What an answer says of itself, in numbers."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.reasons: list[str] = []
        self.pictures = 0
        self.audio_seconds = 0.0

    def note(self, batch: list[Message]) -> None:
        """See what came; this runs once a token, and most of them tell nothing."""
        for message in batch:
            if isinstance(message, _TELLING):
                self._note(message)

    def _note(self, message: Message) -> None:
        match message:
            case Usage():
                self.usage = message
            case Finish(reason=reason):
                self.reasons.append(reason)
            case Picture():
                self.pictures += 1
            case Spoken(seconds=seconds) | Heard(duration=seconds):
                self.audio_seconds += seconds
            case Result():
                self.usage = getattr(message, "usage", self.usage)


def _outcome(error: BaseException) -> str:
    """Return the code of an error, or ``cancelled`` where it is only that nobody waits any more."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled"
    return (error.code or error.type) if isinstance(error, UniversalError) else "internal_error"


def _settings(request: Request) -> dict[str, float | int]:
    """Return the sampling fields that have a value; of text, nothing."""
    values = ((name, getattr(request, name)) for name in _SETTINGS)
    return {name: value for name, value in values if value is not None}
