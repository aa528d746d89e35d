"""Delivers spans over OTLP, and says once, not at every try, that nobody takes them."""

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger(__name__)

_QUEUE = "opentelemetry.sdk._shared_internal"


class QuietExporter(SpanExporter):
    """An exporter that logs when delivery begins to fail, and when it succeeds again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self._reason = _Reason()
        logging.getLogger(trace_exporter.__name__).addFilter(self._reason)
        # It warns of every span that it drops because the queue is full.
        logging.getLogger(_QUEUE).setLevel(logging.ERROR)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver spans; runs in a thread of its own, and what cannot be delivered is dropped."""
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            log.warning("traces cannot be delivered, and are dropped until they can: %s", self._reason.last)
        elif self._failing and not failed:
            log.info("traces are delivered again")
        self._failing = failed
        return result

    def shutdown(self) -> None:
        """Give up what is being tried."""
        self._exporter.shutdown()
        logging.getLogger(trace_exporter.__name__).removeFilter(self._reason)


class _Reason(logging.Filter):
    """Keeps the library's last words to itself."""

    last = "the collector does not answer"

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()
        return False


def make_exporter() -> SpanExporter:
    """Return an exporter to where OpenTelemetry's own variables say, or to this machine's collector."""
    return QuietExporter(trace_exporter.OTLPSpanExporter())
