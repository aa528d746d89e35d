"""A span for each model call, by OpenTelemetry's conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

import asyncio
import os
import threading
import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from universal_core.config import ServerConfig
from universal_core.hookspecs import hookimpl
from universal_core.record import RequestRecord

Attribute = str | int | float | tuple[str, ...]

PROVIDER = "universal"
SERVICE = "universal-runtime"
SHUTDOWN_SECONDS = 2.0
"""How long the last spans may take to be delivered when the server stops."""

_SECOND = 1_000_000_000
_OPERATIONS = {"chat": "chat", "complete": "text_completion", "embed": "embeddings"}
"""What the conventions call a task; another keeps its own name, as they allow."""

_SETTINGS = {
    **{name: f"gen_ai.request.{name}" for name in ("temperature", "top_p", "top_k", "max_tokens", "seed")},
    **{name: f"gen_ai.request.{name}" for name in ("frequency_penalty", "presence_penalty")},
    "n": "gen_ai.request.choice.count",
}


class Spans:
    """Writes spans as it is told of calls that ended; a thread of OpenTelemetry's delivers them.

    Nothing of what was asked or answered is in them.
    """

    def __init__(self, exporter: SpanExporter, version: str, server: ServerConfig) -> None:
        self._exporter = exporter
        # Stopped by close(), which does not wait as long as OpenTelemetry would at the end of the process.
        self._provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("universal_core", version)
        self._propagator = TraceContextTextMapPropagator()
        self._server: dict[str, Attribute] = {"server.address": server.host, "server.port": server.port}

    @hookimpl
    def request_finished(self, record: RequestRecord) -> None:
        """Write the span of a model call, as a part of the trace that its request came with."""
        ended = time.time_ns()
        began = ended - int(record.seconds * _SECOND)
        span = self._tracer.start_span(
            f"{_operation(record)} {record.model}",
            # An empty one where the request came with none: never whatever this task may be a part of.
            context=self._propagator.extract(record.trace, Context()),
            kind=SpanKind.SERVER,
            attributes={**self._server, **_attributes(record)},
            start_time=began,
        )
        if record.load_seconds:
            inner = set_span_in_context(span, Context())
            load = self._tracer.start_span(f"load {record.model}", context=inner, start_time=began)
            load.end(began + int(record.load_seconds * _SECOND))
        if record.first_seconds is not None:
            span.add_event("first_event", timestamp=began + int(record.first_seconds * _SECOND))
        if record.failed:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    async def close(self) -> None:
        """Deliver what is left, for a moment; what a collector that does not answer was to get is lost."""
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, SHUTDOWN_SECONDS)
        if ending.is_alive():
            self._exporter.shutdown()


def _operation(record: RequestRecord) -> str:
    return _OPERATIONS.get(record.task, record.task)


def _attributes(record: RequestRecord) -> Mapping[str, Attribute]:
    found: dict[str, Attribute | None] = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.info_id,
        "gen_ai.response.finish_reasons": record.finish_reasons or None,
        "gen_ai.response.time_to_first_chunk": record.first_seconds,
        "gen_ai.usage.input_tokens": record.tokens_in or None,
        "gen_ai.usage.output_tokens": record.tokens_out or None,
        "gen_ai.usage.cache_read.input_tokens": record.tokens_cached or None,
        "gen_ai.usage.reasoning.output_tokens": record.tokens_reasoning or None,
        **{name: record.settings.get(field) for field, name in _SETTINGS.items()},
        "error.type": record.outcome if record.failed else None,
        "universal.backend": record.backend,
        "universal.outcome": record.outcome,
        "universal.request_id": record.request_id,
        "universal.queue_seconds": record.queue_seconds,
        "universal.load_seconds": record.load_seconds,
        "universal.prefill_seconds": record.prefill_seconds,
        "universal.generate_seconds": record.generate_seconds,
    }
    return {name: value for name, value in found.items() if value is not None}


def _resource(version: str) -> Resource:
    """Return what the spans are of; a name that OpenTelemetry's own variables give is kept."""
    told = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({"service.version": version, **({} if told else {"service.name": SERVICE})})
