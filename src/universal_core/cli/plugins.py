"""``universal plugins``."""

from collections.abc import Iterable

import click

from universal_core.cli.options import config_option, json_option, load_config
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl
from universal_core.plugins import Plugin, Plugins

HEADINGS = ("NAME", "VERSION", "ORIGIN", "STATE", "TASKS", "HOOKS")


def _row(plugin: Plugin) -> tuple[str, ...]:
    tasks, hooks = ", ".join(plugin.tasks) or "-", ", ".join(plugin.hooks) or "-"
    return plugin.name, plugin.version, plugin.origin, plugin.state, tasks, hooks


@click.command("plugins")
@config_option
@json_option
def plugins_command(file: str | None, as_json: bool) -> None:
    """List the installed plugins, what each adds, and which are quarantined and why.

    \b
    Example:
      universal plugins
    """
    plugins = Plugins(load_config(file).config.plugins.block)
    if as_json:
        Output(as_json).value({"plugins": plugins.installed})
        return
    rows = [HEADINGS, *map(_row, plugins.installed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())
    for plugin in plugins.installed:
        if plugin.error:
            click.echo(f"\n{plugin.name} is quarantined: {plugin.error}")
    if not plugins.installed:
        click.echo('\nNo plugin is installed. For text models: pip install "universal-core[text]"')


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [plugins_command]
