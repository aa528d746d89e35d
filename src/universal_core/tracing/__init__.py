"""Traces for OpenTelemetry, where they are asked for; otherwise none of its libraries is imported."""

import logging
import os
from typing import TYPE_CHECKING

from universal_core.config import Config, ConfigError

if TYPE_CHECKING:
    from universal_core.tracing.spans import Spans

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"


def begin_tracing(config: Config, version: str) -> "Spans | None":
    """Return what sends a span for every model call, None where nobody asked for it.

    Raises ConfigError where ``tracing.enabled`` asks for it and the libraries are not there.
    """
    if not is_wanted(config):
        return None
    try:
        from universal_core.tracing.exporting import make_exporter
        from universal_core.tracing.spans import Spans
    except ImportError as error:
        words = f'traces need libraries that are not installed ({error.name}): pip install "universal-core[otel]"'
        if config.tracing.enabled:
            raise ConfigError(f"tracing.enabled: {words}") from None
        log.warning("%s; they were asked for by %s, and none is sent", words, _first(ENDPOINTS))
        return None
    variable = _first(PROTOCOLS)
    if variable and os.environ[variable] != PROTOCOL:
        log.warning("traces are sent as %s; %s is %s", PROTOCOL, variable, os.environ[variable])
    return Spans(make_exporter(), version, config.server)


def is_wanted(config: Config) -> bool:
    """Whether traces are asked for, by the configuration or by OpenTelemetry's own variables."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or os.environ.get("OTEL_TRACES_EXPORTER", "").lower() == "none":
        return False
    return config.tracing.enabled or _first(ENDPOINTS) is not None


def _first(variables: tuple[str, ...]) -> str | None:
    return next((name for name in variables if os.environ.get(name)), None)
