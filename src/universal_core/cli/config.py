"""``universal config``."""

from collections.abc import Iterable, Iterator
from typing import Any

import click
import msgspec

from universal_core.cli.options import config_option, json_option, load_config
from universal_core.cli.output import Output
from universal_core.config import Loaded, settings
from universal_core.hookspecs import hookimpl


@click.command("config")
@config_option
@json_option
def config_command(file: str | None, as_json: bool) -> None:
    """Print every setting, its value, and where the value came from.

    \b
    Example:
      universal config
      universal config --config /etc/universal.toml
    """
    loaded, output = load_config(file), Output(as_json)
    if as_json:
        rows = [{"name": name, "value": value, "origin": origin} for name, value, origin in _settings(loaded)]
        output.value({"file": loaded.file, "settings": rows, "model": loaded.config.model})
        return
    output.line(f"# configuration file: {loaded.file or 'none'}")
    for name, value, origin in _settings(loaded):
        output.line(f"{name} = {msgspec.json.encode(value).decode()}  # {origin}")
    for name, model in loaded.config.model.items():
        output.line(
            f"model.{name} = {msgspec.json.encode(model).decode()}  # {loaded.origins.get(f'model.{name}', '')}"
        )


def _settings(loaded: Loaded) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and origin of every setting."""
    for setting in settings():
        value = getattr(getattr(loaded.config, setting.section), setting.field)
        yield setting.name, value, loaded.origins.get(setting.name, "default")


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [config_command]
