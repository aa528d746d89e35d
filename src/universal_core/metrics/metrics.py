"""Counts what happens as it is told, and writes down how things stand."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram
from prometheus_client.exposition import choose_encoder

from universal_core.entry import Entry
from universal_core.errors import UniversalError
from universal_core.hookspecs import hookimpl
from universal_core.metrics.gauges import Gauges
from universal_core.metrics.labels import Labels, method_label, route_label
from universal_core.metrics.measures import Measures
from universal_core.models import Claim, ModelInfo
from universal_core.pool import Pool
from universal_core.record import RequestRecord

Kind = TypeVar("Kind", Counter, Histogram)


class _Series:
    """The series of metrics by their labels, looked up once: the library takes five times as long for it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Any] = {}

    def of(self, metric: Kind, *labels: str) -> Kind:
        """Return a metric's series; one that is never asked for is on no page."""
        found: Kind | None = self._kept.get((metric, *labels))
        if found is None:
            found = self._kept[metric, *labels] = metric.labels(*labels)
        return found


class _Running:
    """A loaded model: its labels, and how much of what it computed is counted."""

    def __init__(self, labels: tuple[str, str], entry: Entry | None) -> None:
        self.labels = labels
        self.worker = entry.worker if entry else None
        self.batches = self.rows = 0

    def news(self) -> tuple[int, int]:
        """Return the batches, and the rows in them, since the last time."""
        if self.worker is None:
            return 0, 0
        batches, rows = self.worker.batches - self.batches, self.worker.rows - self.rows
        self.batches, self.rows = self.worker.batches, self.worker.rows
        return batches, rows


class Metrics:
    """Answers the news of a server, and scrapes; it is told of everything and asks no model anything."""

    def __init__(self, pool: Pool, version: str, device: str) -> None:
        """``device`` is where models run by the configuration."""
        self.measures = Measures(version)
        self._pool = pool
        self._labels = Labels()
        self._series = _Series()
        self._running: dict[int, _Running] = {}
        self.measures.registry.register(Gauges(pool, self._labels, device))

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return everything in the format of the Accept header, Prometheus' or OpenMetrics', and its content type."""
        for running in self._running.values():
            self._count_batches(running)
        encoder, content_type = choose_encoder(accept)
        # In a thread: with many models it takes longer than streams should wait.
        return await asyncio.to_thread(encoder, self.measures.registry), content_type

    @hookimpl
    def request_finished(self, record: RequestRecord) -> None:
        """Count a model call."""
        measures, of = self.measures, self._series.of
        call = (self._labels.of(record.model), record.task, record.backend)
        of(measures.requests, *call, "error" if record.failed else record.outcome).inc()
        if record.failed:
            of(measures.errors, *call, record.outcome).inc()
        for counter, count in zip(measures.sums, _counts(record), strict=True):
            if count:
                of(counter, *call).inc(count)
        of(measures.queue_wait, *call).observe(record.queue_seconds)
        of(measures.duration, *call).observe(record.seconds)
        if record.generates and record.first_seconds is not None:
            of(measures.first_token, *call).observe(record.first_seconds)
            if record.tokens_out > 1 and record.outcome == "ok":
                of(measures.per_token, *call).observe(record.generate_seconds / (record.tokens_out - 1))

    @hookimpl
    def model_loaded(self, info: ModelInfo, claim: Claim, seconds: float) -> None:
        """Count a load."""
        entry = next((entry for entry in self._pool.everyone() if entry.info is info), None)
        labels = (self._labels.of(entry.plan.name if entry else info.id), claim.backend)
        self._running[id(info)] = _Running(labels, entry)
        self._series.of(self.measures.loads, *labels).observe(seconds)

    @hookimpl
    def load_failed(self, name: str, claim: Claim, error: UniversalError) -> None:
        """Count a load that failed."""
        labels = (self._labels.of(name), claim.backend)
        self._series.of(self.measures.load_failures, *labels, error.code or error.type).inc()

    @hookimpl
    def model_unloaded(self, info: ModelInfo, claim: Claim, cause: str) -> None:
        """Count a model that went, and what it had computed."""
        running = self._running.pop(id(info), None) or _Running((self._labels.of(info.id), claim.backend), None)
        self._count_batches(running)
        self._series.of(self.measures.unloads, *running.labels, cause).inc()
        if cause == "died":
            self._series.of(self.measures.deaths, *running.labels).inc()

    def _count_batches(self, running: _Running) -> None:
        batches, rows = running.news()
        if batches:
            self._series.of(self.measures.batches, *running.labels).inc(batches)
            self._series.of(self.measures.batch_rows, *running.labels).inc(rows)

    def request_began(self) -> None:
        """Count an HTTP request that is being answered."""
        self.measures.http_in_flight.inc()

    def request_ended(self, scope: Mapping[str, Any], status: int) -> None:
        """Count an HTTP request that is over; ``scope`` is what ASGI and Starlette know of it."""
        self.measures.http_in_flight.dec()
        route = route_label(getattr(scope.get("route"), "path", ""))
        method, kind = method_label(scope["method"]), f"{status // 100}xx"
        self._series.of(self.measures.http_requests, route, method, kind).inc()


def _counts(record: RequestRecord) -> tuple[float, ...]:
    """Return what ``Measures.sums`` go up by, in their order."""
    return (
        record.tokens_in,
        record.tokens_cached,
        record.tokens_out,
        record.tokens_reasoning,
        record.pictures,
        record.audio_seconds,
    )
