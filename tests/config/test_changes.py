"""What one configuration changes of another, and what of it a running server takes."""

import re
from pathlib import Path

import pytest

from universal_core.config import (
    Config,
    LoggingConfig,
    ModelConfig,
    PluginsConfig,
    PoolConfig,
    ServerConfig,
    compare,
    settings,
)

FIXED = {
    *("server.host", "server.port", "server.certfile", "server.keyfile", "plugins.block"),
    *("hub.offline", "hub.cache", "hub.timeout", "images.outputs", "responses.path", "pool.measurements"),
    *("metrics.enabled", "tracing.enabled"),
}


def test_nothing_changes_where_nothing_differs() -> None:
    found = compare(Config(), Config())
    assert (found.changed, found.needs_restart, found.config) == ((), (), Config())


def test_settings_and_models_are_named_as_in_the_file() -> None:
    old = Config(model={"a": ModelConfig(), "b": ModelConfig()})
    new = Config(
        pool=PoolConfig(queue_limit=1),
        logging=LoggingConfig(level="debug"),
        model={"b": ModelConfig(slots=2), "c/d": ModelConfig()},
    )
    found = compare(old, new)
    assert found.changed == ("pool.queue_limit", "logging.level", "model.a", "model.b", "model.c/d")
    assert found.config == new


def test_what_needs_a_restart_keeps_its_value() -> None:
    new = Config(server=ServerConfig(port=1, keepalive=2), plugins=PluginsConfig(block=("x",)))
    found = compare(Config(), new)
    assert (found.changed, found.needs_restart) == (("server.keepalive",), ("server.port", "plugins.block"))
    assert found.config == Config(server=ServerConfig(keepalive=2))


@pytest.mark.parametrize("name", sorted(FIXED))
def test_what_is_read_once_is_marked(name: str) -> None:
    assert name in {setting.name for setting in settings() if setting.needs_restart}


def test_all_that_is_marked_is_known_here() -> None:
    assert {setting.name for setting in settings() if setting.needs_restart} == FIXED


def test_the_guide_names_all_that_needs_a_restart() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "reload-the-configuration.md"
    section = page.read_text("utf-8").partition("## What needs a restart")[2]
    listed = {name for line in section.splitlines() if line.startswith("* ") for name in re.findall(r"`(.+?)`", line)}
    assert listed == FIXED
