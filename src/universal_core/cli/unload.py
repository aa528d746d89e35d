"""``universal unload MODEL``."""

from collections.abc import Iterable

import click

from universal_core.cli.client import Client, client_options
from universal_core.cli.completion import complete_models
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl


@click.command("unload")
@click.argument("model", shell_complete=complete_models)
@client_options
def unload_command(client: Client, output: Output, model: str) -> None:
    """Take MODEL out of the server's memory, at once: requests that run on it fail.

    Its files stay; the next request loads it again.

    \b
    Example:
      universal unload Qwen/Qwen3-0.6B
    """
    answer = client.post("/v1/models/unload", {"model": model})
    if output.json:
        output.value(answer)
    else:
        output.line(f"{answer['id']} is unloaded")


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [unload_command]
