"""``universal config``."""

from collections.abc import Iterable

import click
import msgspec

from universal_core.cli.options import config_option, load_config
from universal_core.config import settings
from universal_core.hookspecs import hookimpl


@click.command("config")
@config_option
def config_command(file: str | None) -> None:
    """Print every setting, its value, and where the value came from."""
    loaded = load_config(file)
    click.echo(f"# configuration file: {loaded.file or 'none'}")
    for setting in settings():
        value = getattr(getattr(loaded.config, setting.section), setting.field)
        origin = loaded.origins.get(setting.name, "default")
        click.echo(f"{setting.name} = {msgspec.json.encode(value).decode()}  # {origin}")
    for name, model in loaded.config.model.items():
        click.echo(f"model.{name} = {msgspec.json.encode(model).decode()}  # {loaded.origins.get(f'model.{name}', '')}")


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [config_command]
