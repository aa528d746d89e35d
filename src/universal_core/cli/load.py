"""``universal load MODEL``."""

from collections.abc import Iterable

import click

from universal_core.cli.client import Client, client_options
from universal_core.cli.completion import complete_models
from universal_core.cli.loading import load_model
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl


@click.command("load")
@click.argument("model", shell_complete=complete_models)
@client_options
def load_command(client: Client, output: Output, model: str) -> None:
    """Load MODEL into the server's memory, and return when it is ready.

    The first request to a model loads it, too; this does it beforehand.

    \b
    Example:
      universal load Qwen/Qwen3-0.6B
    """
    load_model(client, output, model)
    if output.json:
        output.value({"id": model, "state": "ready"})
    else:
        output.line(f"{model} is ready")


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [load_command]
