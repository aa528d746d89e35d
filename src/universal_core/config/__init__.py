"""The server's configuration: what can be set, and how it is read."""

from universal_core.config.hub import apply_hub, is_offline
from universal_core.config.load import ConfigError, Loaded, Setting, load, nearest, parse, publish_folder, settings
from universal_core.config.sections import (
    Config,
    HubConfig,
    ImagesConfig,
    LoggingConfig,
    MediaConfig,
    ModelConfig,
    ModelsConfig,
    PluginsConfig,
    PoolConfig,
    ResponsesConfig,
    ServerConfig,
    WorkersConfig,
)

__all__ = [
    "Config",
    "ConfigError",
    "HubConfig",
    "ImagesConfig",
    "Loaded",
    "LoggingConfig",
    "MediaConfig",
    "ModelConfig",
    "ModelsConfig",
    "PluginsConfig",
    "PoolConfig",
    "ResponsesConfig",
    "ServerConfig",
    "Setting",
    "WorkersConfig",
    "apply_hub",
    "is_offline",
    "load",
    "nearest",
    "parse",
    "publish_folder",
    "settings",
]
