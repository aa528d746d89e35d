"""The server's configuration: what can be set, and how it is read."""

from universal_core.config.changes import Changes, compare
from universal_core.config.folder import apply_models, models_folder
from universal_core.config.hub import apply_hub, cache_folder, is_offline
from universal_core.config.load import (
    ConfigError,
    Loaded,
    Setting,
    Sources,
    load,
    nearest,
    parse,
    publish_folder,
    settings,
)
from universal_core.config.schema import schema
from universal_core.config.sections import (
    SHORTCUTS,
    Config,
    HubConfig,
    ImagesConfig,
    LoggingConfig,
    MediaConfig,
    MetricsConfig,
    ModelConfig,
    ModelsConfig,
    PluginsConfig,
    PoolConfig,
    ResponsesConfig,
    ServerConfig,
    TracingConfig,
    WorkersConfig,
)

__all__ = [
    "SHORTCUTS",
    "Changes",
    "Config",
    "ConfigError",
    "HubConfig",
    "ImagesConfig",
    "Loaded",
    "LoggingConfig",
    "MediaConfig",
    "MetricsConfig",
    "ModelConfig",
    "ModelsConfig",
    "PluginsConfig",
    "PoolConfig",
    "ResponsesConfig",
    "ServerConfig",
    "Setting",
    "Sources",
    "TracingConfig",
    "WorkersConfig",
    "apply_hub",
    "apply_models",
    "cache_folder",
    "compare",
    "is_offline",
    "load",
    "models_folder",
    "nearest",
    "parse",
    "publish_folder",
    "schema",
    "settings",
]
