"""What is counted and timed as it happens: every metric's name, words, labels and buckets."""

import platform

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

CALL = ("model", "task", "backend")
MODEL = ("model", "backend")

FIRST_TOKEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
TOKEN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0)
QUEUE_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
LOAD_BUCKETS = (0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Measures:
    """The counters and histograms of one server, in a registry of its own."""

    def __init__(self, version: str) -> None:
        # The times at which series began would be one more line for each, of no use to Prometheus.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        info = Info("universal_build", "The server's version, and that of its Python.", registry=self.registry)
        info.info({"version": version, "python": platform.python_version()})
        self._of_calls()
        self._of_models()
        self._of_http()

    def _counter(self, name: str, words: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"universal_{name}", words, labels, registry=self.registry)

    def _times(self, name: str, words: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"universal_{name}_seconds", words, labels, buckets=buckets, registry=self.registry)

    def _of_calls(self) -> None:
        counter, times = self._counter, self._times
        self.requests = counter("requests", "Model calls that have ended: ok, cancelled or error.", (*CALL, "outcome"))
        self.errors = counter("request_errors", "Model calls that ended in an error, by its code.", (*CALL, "code"))
        self.sums = (
            counter("input_tokens", "Tokens of prompts and of other texts that were read.", CALL),
            counter("cached_input_tokens", "Those of the input tokens that had been read before and were kept.", CALL),
            counter("output_tokens", "Tokens that were written.", CALL),
            counter("reasoning_tokens", "Those of the output tokens that are thoughts.", CALL),
            counter("pictures", "Pictures that were made.", CALL),
            counter("audio_seconds", "Seconds of audio that were heard or spoken.", CALL),
        )
        self.first_token = times(
            "time_to_first_token",
            "Seconds from a call's beginning to its first event, for tasks that write text; queue and load included.",
            CALL,
            FIRST_TOKEN_BUCKETS,
        )
        self.per_token = times(
            "time_per_output_token",
            "Seconds between two tokens of an answer after the first, its mean.",
            CALL,
            TOKEN_BUCKETS,
        )
        self.queue_wait = times(
            "queue_wait", "Seconds that calls waited for their turn on a loaded model.", CALL, QUEUE_BUCKETS
        )
        self.duration = times(
            "request_duration", "Seconds from a call's beginning to its end, however it ended.", CALL, DURATION_BUCKETS
        )

    def _of_models(self) -> None:
        counter = self._counter
        self.loads = self._times(
            "model_load", "Seconds that models took to load; its count is that of loads.", MODEL, LOAD_BUCKETS
        )
        self.load_failures = counter("model_load_failures", "Loads that failed, by the error's code.", (*MODEL, "code"))
        self.unloads = counter(
            "model_unloads",
            "Models that went, by cause: idle, room (evicted for another), asked, changed, stopping, died.",
            (*MODEL, "cause"),
        )
        self.deaths = counter("worker_deaths", "Workers of loaded models that ended by themselves.", MODEL)
        self.batches = counter("batches", "Steps and batches that models computed.", MODEL)
        self.batch_rows = counter(
            "batch_rows", "Sequences or requests in those batches; divided by their number, the mean batch size.", MODEL
        )

    def _of_http(self) -> None:
        self.http_requests = self._counter(
            "http_requests", "HTTP requests that have ended.", ("route", "method", "status")
        )
        self.http_in_flight = Gauge(
            "universal_http_requests_in_flight", "HTTP requests that are being answered.", registry=self.registry
        )
