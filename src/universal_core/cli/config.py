"""``universal config``."""

from collections.abc import Iterable, Iterator
from typing import Any

import click
import msgspec

from universal_core.cli.options import config_option, json_option, load_config
from universal_core.cli.output import Output
from universal_core.config import Loaded, ModelConfig, schema_text, settings
from universal_core.hookspecs import hookimpl
from universal_core.plugins import Plugins


@click.command("config")
@config_option
@json_option
@click.option("--schema", "as_schema", is_flag=True, help="Print the JSON schema of the file, for editors.")
def config_command(file: str | None, as_json: bool, as_schema: bool) -> None:
    """Print every setting, its value, and where the value came from.

    \b
    Example:
      universal config
      universal config --config /etc/universal.toml
      universal config --schema > universal.schema.json
    """
    loaded, output = load_config(file), Output(as_json)
    if as_schema:
        output.line(schema_text(Plugins(loaded.config.plugins.block).backends.values()))
        return
    if as_json:
        rows = [{"name": name, "value": value, "origin": origin} for name, value, origin in _settings(loaded)]
        output.value({"file": loaded.file, "settings": rows, "model": loaded.config.model})
        return
    output.line(f"# configuration file: {loaded.file or 'none'}")
    for name, value, origin in _settings(loaded):
        output.line(f"{name} = {msgspec.json.encode(value).decode()}  # {origin}")
    for name, model in loaded.config.model.items():
        origin = loaded.origins.get(f"model.{name}", "")
        for field, value in _given(model):
            output.line(f"model.{name}.{field} = {msgspec.json.encode(value).decode()}  # {origin}")


def _settings(loaded: Loaded) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and origin of every setting."""
    for setting in settings():
        value = getattr(getattr(loaded.config, setting.section), setting.field)
        yield setting.name, value, loaded.origins.get(setting.name, "default")


def _given(model: ModelConfig) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a model that are not the default, and always what it stands for."""
    usual = ModelConfig()
    for field in model.__struct_fields__:
        value = getattr(model, field)
        if field == "model" or value != getattr(usual, field):
            yield field, value


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [config_command]
