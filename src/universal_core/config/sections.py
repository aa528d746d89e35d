"""What can be configured: one frozen Struct a section, whose field descriptions are the documentation."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]

RESTART = {"restart": True}
"""Of a setting that is read once, when the server starts."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration."""


class ServerConfig(Section, frozen=True, kw_only=True):
    """Where the server listens and what it accepts."""

    host: Annotated[str, Meta(description="Address to listen on.", extra=RESTART)] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to listen on; 0 takes a free one.", extra=RESTART)] = 11540
    certfile: Annotated[str | None, Meta(description="TLS certificate chain (PEM); HTTPS when set.", extra=RESTART)] = (
        None
    )
    keyfile: Annotated[str | None, Meta(description="TLS private key (PEM).", extra=RESTART)] = None
    max_body_bytes: Annotated[Count, Meta(description="Largest request body, in bytes.")] = 64 * 1024 * 1024
    keepalive: Annotated[
        Seconds,
        Meta(description="Seconds of silence after which a stream gets a comment line, so that nothing cuts it."),
    ] = 5.0
    drain_timeout: Annotated[
        Seconds, Meta(description="Seconds that running requests get to finish when the server stops.")
    ] = 30.0


class PoolConfig(Section, frozen=True, kw_only=True):
    """Which models may be in memory, and for how long."""

    unload_timeout: Annotated[
        Seconds, Meta(description="Seconds without a request after which a model is unloaded; 0 keeps it for ever.")
    ] = 300.0
    cleanup_interval: Annotated[
        Annotated[float, Meta(gt=0)], Meta(description="Seconds between two looks for idle models.")
    ] = 30.0
    queue_limit: Annotated[Count, Meta(description="Requests that may wait for one model; more are refused (429).")] = (
        512
    )
    load_timeout: Annotated[Seconds, Meta(description="Seconds that a request waits for its model to load (504).")] = (
        600.0
    )
    request_timeout: Annotated[
        Seconds, Meta(description="Seconds that a request may take once its model is loaded (504); 0 means no limit.")
    ] = 0.0
    retry_delay: Annotated[
        Seconds, Meta(description="Seconds for which a failed load answers further requests without another try.")
    ] = 15.0
    memory_limit: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Bytes that all models together may take; none means memory_share."),
    ] = None
    memory_share: Annotated[
        float, Meta(gt=0, le=1, description="Share of the machine's (or container's) memory that models may take.")
    ] = 0.9
    takeover: Annotated[
        Seconds,
        Meta(
            description="Seconds that a model in use keeps its memory while another waits for it; then it finishes "
            "what it has begun and makes room. 0 means for ever: what waits is refused at once (503)."
        ),
    ] = 5.0
    measurements: Annotated[
        str,
        Meta(
            description="File that keeps what models really took, for the next time; an empty name keeps nothing.",
            extra=RESTART,
        ),
    ] = "~/.universal/measured.json"


class WorkersConfig(Section, frozen=True, kw_only=True):
    """How model processes are run."""

    device: Annotated[
        str, Meta(description="Where models run unless they say otherwise: auto, cpu, cuda, cuda:N, mps.")
    ] = "auto"
    fork: Annotated[
        bool,
        Meta(description="Fork workers from a process with the imports done; false starts a new interpreter each."),
    ] = True
    stop_grace: Annotated[Seconds, Meta(description="Seconds between asking a worker to stop and killing it.")] = 5.0
    hang_timeout: Annotated[
        Seconds, Meta(description="Seconds that a model may go on with a cancelled job before its worker is killed.")
    ] = 300.0
    nursery_idle: Annotated[
        Seconds, Meta(description="Seconds after which a nursery without workers ends; 0 keeps it.")
    ] = 900.0


class ModelsConfig(Section, frozen=True, kw_only=True):
    """Defaults for all models."""

    default: Annotated[str | None, Meta(description="Model for requests that name none.")] = None
    preload: Annotated[tuple[str, ...], Meta(description="Models to load when the server starts.")] = ()
    runtime_backend: Annotated[
        str, Meta(description="Engine preferred where two claims have the same rank: pytorch, llama.cpp, ...")
    ] = "pytorch"
    dir: Annotated[
        str | None, Meta(description="Folder of models, each named by its path in it, before the HuggingFace cache.")
    ] = None


class HubConfig(Section, frozen=True, kw_only=True):
    """The HuggingFace hub and its cache."""

    offline: Annotated[
        bool, Meta(description="Never ask the hub; only what is cached or local is served.", extra=RESTART)
    ] = False
    cache: Annotated[
        str | None,
        Meta(
            description="Cache folder; none means HF_HUB_CACHE, HF_HOME or TRANSFORMERS_CACHE, as usual.", extra=RESTART
        ),
    ] = None
    timeout: Annotated[
        Seconds, Meta(description="Seconds to wait for the hub's answer about a model.", extra=RESTART)
    ] = 10.0


class MediaConfig(Section, frozen=True, kw_only=True):
    """Images and recordings that a request names instead of sending them."""

    roots: Annotated[
        tuple[str, ...], Meta(description="Folders of this machine whose files requests may name; none means no file.")
    ] = ()
    fetch: Annotated[
        bool, Meta(description="Fetch http and https URLs, from public addresses only; false refuses them.")
    ] = True
    max_bytes: Annotated[Count, Meta(description="Largest image or recording, in bytes.")] = 64 * 1024 * 1024
    timeout: Annotated[Seconds, Meta(description="Seconds that fetching one may take.")] = 30.0


class ImagesConfig(Section, frozen=True, kw_only=True):
    """Where pictures that models make are kept, and how long."""

    outputs: Annotated[str, Meta(description="Folder for them; it is made where it is missing.", extra=RESTART)] = (
        "~/.universal/outputs/images"
    )
    max_age: Annotated[Seconds, Meta(description="Seconds after which a picture is removed; 0 keeps it for ever.")] = (
        0.0
    )
    max_bytes: Annotated[
        Annotated[int, Meta(ge=0)],
        Meta(description="Bytes that all of them may take; the oldest make room. 0 means no limit."),
    ] = 10 * 1024**3


class ResponsesConfig(Section, frozen=True, kw_only=True):
    """Where the conversations of /v1/responses are kept, and how long."""

    store: Annotated[bool, Meta(description="Keep them; false keeps none, whatever requests say.")] = True
    path: Annotated[str, Meta(description="File for them; it is made where it is missing.", extra=RESTART)] = (
        "~/.universal/responses.db"
    )
    max_age: Annotated[
        Seconds, Meta(description="Seconds without use after which a response is removed; 0 keeps it for ever.")
    ] = 2592000.0
    max_bytes: Annotated[
        Annotated[int, Meta(ge=0)],
        Meta(description="Bytes that all of them may take; those unused for longest make room. 0 means no limit."),
    ] = 10 * 1024**3


class PluginsConfig(Section, frozen=True, kw_only=True):
    """Which plugins take part."""

    block: Annotated[
        tuple[str, ...], Meta(description="Names of installed plugins that are not to be used.", extra=RESTART)
    ] = ()


class MetricsConfig(Section, frozen=True, kw_only=True):
    """Numbers for Prometheus."""

    enabled: Annotated[bool, Meta(description="Count what happens, and answer GET /metrics.", extra=RESTART)] = True


class TracingConfig(Section, frozen=True, kw_only=True):
    """Traces for OpenTelemetry; where they go is said by its own variables, OTEL_EXPORTER_OTLP_ENDPOINT above all."""

    enabled: Annotated[
        bool,
        Meta(
            description="Send traces, even where OTEL_EXPORTER_OTLP_ENDPOINT is not set; needs the extra otel.",
            extra=RESTART,
        ),
    ] = False


class LoggingConfig(Section, frozen=True, kw_only=True):
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severity that is logged.")
    ] = "info"
    format: Annotated[Literal["text", "json"], Meta(description="One readable line, or one JSON object, an entry.")] = (
        "text"
    )
    access: Annotated[bool, Meta(description="Log every request.")] = True


SHORTCUTS = {"slots": "slots", "context": "n_ctx", "device": "device", "dtype": "dtype"}
"""Fields of a model by the options of its backend that they stand for."""


class ModelConfig(Section, frozen=True, kw_only=True):
    """One model by name: ``[model.NAME]`` in the file, where NAME is an alias or a model's own name."""

    model: Annotated[str | None, Meta(description="The model that the alias stands for; none means NAME itself.")] = (
        None
    )
    backend: Annotated[str | None, Meta(description="Backend that must run it, whatever the ranks.")] = None
    tasks: Annotated[
        tuple[str, ...],
        Meta(description="Tasks that its backend must offer, where several could run it; none means any."),
    ] = ()
    pinned: Annotated[
        bool, Meta(description="Load it when the server starts, and never unload it for being idle or to make room.")
    ] = False
    unload_timeout: Annotated[
        Seconds | None,
        Meta(
            description="Seconds without a request after which it is unloaded; 0 keeps it, none means "
            "pool.unload_timeout."
        ),
    ] = None
    slots: Annotated[Count | None, Meta(description="Jobs that may run at once: its backend's option slots.")] = None
    context: Annotated[
        Count | None, Meta(description="Tokens that fit into its context: its backend's option n_ctx.")
    ] = None
    device: Annotated[str | None, Meta(description="Where it runs: its backend's option device.")] = None
    dtype: Annotated[str | None, Meta(description="Number format of its weights: its backend's option dtype.")] = None
    options: Annotated[dict[str, Any], Meta(description="Options of its backend.")] = {}
    defaults: Annotated[
        dict[str, Any], Meta(description="Fields for requests that leave them out, such as temperature and voice.")
    ] = {}

    @property
    def shortcuts(self) -> dict[str, Any]:
        """The options of its backend that have fields of their own here, where they are given."""
        given = {option: getattr(self, field) for field, option in SHORTCUTS.items()}
        return {option: value for option, value in given.items() if value is not None}


class Config(Section, frozen=True, kw_only=True):
    """The server's configuration."""

    server: ServerConfig = ServerConfig()
    pool: PoolConfig = PoolConfig()
    workers: WorkersConfig = WorkersConfig()
    models: ModelsConfig = ModelsConfig()
    hub: HubConfig = HubConfig()
    media: MediaConfig = MediaConfig()
    images: ImagesConfig = ImagesConfig()
    responses: ResponsesConfig = ResponsesConfig()
    plugins: PluginsConfig = PluginsConfig()
    logging: LoggingConfig = LoggingConfig()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()
    model: dict[str, ModelConfig] = {}


ALIASES = {
    "UNIVERSAL_RUNTIME_HOST": "server.host",
    "UNIVERSAL_RUNTIME_PORT": "server.port",
    "MODEL_UNLOAD_TIMEOUT": "pool.unload_timeout",
    "CLEANUP_CHECK_INTERVAL": "pool.cleanup_interval",
    "RUNTIME_BACKEND": "models.runtime_backend",
}
"""Environment variables with a name of their own; every other setting is UNIVERSAL_RUNTIME_<SECTION>_<FIELD>."""
