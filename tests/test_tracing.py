"""Spans of model calls: what is in them, whose trace they are a part of, and that nobody waits for them."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from clients import using
from runtimes import ask, running
from universal_core import RequestRecord
from universal_core.config import Config, ConfigError, ModelConfig, ServerConfig, TracingConfig
from universal_core.runtime import Runtime
from universal_core.tracing import begin_tracing, is_wanted
from universal_core.tracing.exporting import QuietExporter
from universal_core.tracing.spans import Spans

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECRET = "the cat sat on the mat"
ON = Config(tracing=TracingConfig(enabled=True))


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own collector out of the tests."""
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "TRACES_PROTOCOL", "TIMEOUT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Have spans kept in memory in the place of being sent."""
    found = InMemorySpanExporter()
    monkeypatch.setattr("universal_core.tracing.exporting.make_exporter", lambda: found)
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def spans_of(exporter: InMemorySpanExporter, body: dict[str, Any], headers: dict[str, str] | None = None) -> list[Any]:
    """Return the spans of one chat, of a server that has ended; the model's own is the last."""

    async def use(client: httpx.AsyncClient) -> None:
        message = {"role": "user", "content": SECRET}
        await client.post("/v1/chat/completions", json={"messages": [message], **body}, headers=headers or {})

    using(use, Config(tracing=TracingConfig(enabled=True), model={"nick": ModelConfig(model="echo/a")}))
    return list(exporter.get_finished_spans())


def test_a_call_is_a_span_by_the_conventions(exporter: InMemorySpanExporter) -> None:
    body = {"model": "nick", "temperature": 0.5, "max_tokens": 100, "seed": 7}
    load, span = spans_of(exporter, body, {"x-request-id": "mine"})
    found = attributes(span)
    assert (span.name, span.kind, span.status.status_code) == ("chat nick", SpanKind.SERVER, StatusCode.UNSET)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "universal",
        "gen_ai.request.model": "nick",
        "gen_ai.response.model": "echo/a",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 6,
        "server.address": "127.0.0.1",
        "server.port": 11540,
        "universal.backend": "echo",
        "universal.outcome": "ok",
        "universal.request_id": "mine",
    }
    assert expected.items() <= found.items()
    assert "gen_ai.request.top_p" not in found
    assert 0 < found["universal.load_seconds"] < found["gen_ai.response.time_to_first_chunk"]
    assert [event.name for event in span.events] == ["first_event"]
    assert span.start_time <= span.events[0].timestamp <= span.end_time
    assert (load.name, load.parent.span_id) == ("load nick", span.context.span_id)
    assert (load.start_time, load.end_time < span.end_time) == (span.start_time, True)
    assert span.resource.attributes["service.name"] == "universal-runtime"


def test_neither_prompt_nor_answer_is_in_a_span(exporter: InMemorySpanExporter) -> None:
    body = {"model": "nick", "stop": ["dog"], "user": "somebody"}
    assert all(word not in span.to_json() for span in spans_of(exporter, body) for word in ("cat", "dog", "somebody"))


def test_a_span_is_a_part_of_the_trace_that_the_request_came_with(exporter: InMemorySpanExporter) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
    *_, span = spans_of(exporter, {"model": "nick"}, headers)
    assert format(span.context.trace_id, "032x") == TRACE
    assert format(span.parent.span_id, "016x") == PARENT
    assert span.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize("header", ["", "nonsense", "00-0-0-01", f"ff-{TRACE}-{PARENT}-01"])
def test_a_header_that_names_no_trace_begins_a_new_one(exporter: InMemorySpanExporter, header: str) -> None:
    *_, span = spans_of(exporter, {"model": "nick"}, {"traceparent": header})
    assert span.parent is None


def test_a_caller_that_does_not_want_its_trace_kept_is_heeded(exporter: InMemorySpanExporter) -> None:
    assert spans_of(exporter, {"model": "nick"}, {"traceparent": f"00-{TRACE}-{PARENT}-00"}) == []


def test_an_error_is_told_by_its_code_alone(exporter: InMemorySpanExporter) -> None:
    *_, span = spans_of(exporter, {"model": "echo/fails"})
    assert attributes(span)["error.type"] == "model_load_failed"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)


@pytest.mark.parametrize(
    ("variables", "enabled", "wanted"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, False, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, False, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, True, False),
    ],
)
def test_traces_are_asked_for_by_a_setting_or_by_opentelemetrys_variables(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], enabled: bool, wanted: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_wanted(Config(tracing=TracingConfig(enabled=enabled))) is wanted


def test_without_the_libraries_a_setting_is_refused_and_a_variable_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("exporting", "spans"):
        monkeypatch.delitem(sys.modules, f"universal_core.tracing.{name}")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(ConfigError, match=r'tracing\.enabled: .* pip install "universal-core\[otel\]"'):
        begin_tracing(ON, "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    assert begin_tracing(Config(), "1") is None
    assert 'pip install "universal-core[otel]"' in caplog.text


def test_nothing_of_opentelemetry_is_imported_unless_it_is_asked_for() -> None:
    program = (
        "import sys, universal_core.app\n"
        "from universal_core.config import Config\n"
        "from universal_core.runtime import Runtime\n"
        "universal_core.app.create_app(Runtime(Config()))\n"
        "print(*(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    finished = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert finished.stdout.split() == []


class Collector(BaseHTTPRequestHandler):
    """Takes spans as a collector would."""

    def do_POST(self) -> None:
        server = cast("Taking", self.server)
        body = self.rfile.read(int(self.headers["content-length"]))
        server.taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Taking(ThreadingHTTPServer):
    """The collector's server."""

    taken: list[tuple[str, ExportTraceServiceRequest]]


@pytest.fixture
def collector() -> Iterator[Taking]:
    with Taking(("127.0.0.1", 0), Collector) as server:
        server.taken = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_spans_reach_a_collector_over_http(collector: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_address[1]}")

    async def main() -> None:
        async with running() as runtime:
            await ask(runtime, "echo/a")

    asyncio.run(main())
    paths = {path for path, _ in collector.taken}
    spans = [s.name for _, one in collector.taken for r in one.resource_spans for i in r.scope_spans for s in i.spans]
    assert paths == {"/v1/traces"}
    assert sorted(spans) == ["chat echo/a", "load echo/a"]


def record() -> RequestRecord:
    return RequestRecord(
        request_id="r", model="m", info_id="m", task="chat", backend="b", outcome="ok", seconds=1.0, load_seconds=0.5
    )


def test_a_collector_that_is_not_there_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: it refuses, and nobody else gets it.
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")

        async def main() -> float:
            runtime = Runtime(Config())
            assert await ask(runtime, "echo/a", "hello") == "hello"
            await runtime.pool.close()
            began = time.monotonic()
            await runtime.stop()
            return time.monotonic() - began

        assert asyncio.run(main()) < 10  # Of OpenTelemetry's own thirty.
    told = [entry for entry in caplog.records if "traces cannot be delivered" in entry.message]
    assert len(told) <= 1


class Failing(SpanExporter):
    """An exporter that delivers only when it is told to."""

    result = SpanExportResult.FAILURE

    def export(self, spans: Any) -> SpanExportResult:
        return self.result

    def shutdown(self) -> None:
        pass


def test_delivery_that_fails_is_logged_once_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "universal_core.tracing")
    inner = Failing()
    exporter = QuietExporter(inner)
    for _ in range(3):
        exporter.export([])
    inner.result = SpanExportResult.SUCCESS
    for _ in range(2):
        exporter.export([])
    exporter.shutdown()
    assert [entry.message.partition(":")[0] for entry in caplog.records] == [
        "traces cannot be delivered, and are dropped until they can",
        "traces are delivered again",
    ]


class Hanging(InMemorySpanExporter):
    """A collector that takes a connection and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up = threading.Event()

    def export(self, spans: Any) -> SpanExportResult:
        self.given_up.wait()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.given_up.set()


def test_a_collector_that_hangs_delays_the_end_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("universal_core.tracing.spans.SHUTDOWN_SECONDS", 0.1)
    exporter = Hanging()

    async def main() -> None:
        spans = Spans(exporter, "1", ServerConfig())
        spans.request_finished(record())
        await spans.close()

    asyncio.run(main())
    assert exporter.given_up.is_set()
