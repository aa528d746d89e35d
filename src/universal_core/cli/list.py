"""``universal list``."""

import time
from collections.abc import Iterable
from typing import Any

import click

from universal_core.cli.client import Client, client_options
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl
from universal_core.sizes import lasting, readable

HEADINGS = ("NAME", "STATE", "TASKS", "BACKEND", "SIZE", "LAST USED", "QUANTIZATIONS")


@click.command("list")
@client_options
def list_command(client: Client, output: Output) -> None:
    """List the models that are loaded, downloaded or configured.

    Works without a server, too: then what is on this machine is listed.

    \b
    Example:
      universal list
      universal list --json | jq -r '.data[].id'
    """
    from universal_core.cli.here import server_or_here

    models = server_or_here(client).get("/v1/models")
    if output.json:
        output.value(models)
        return
    output.table(HEADINGS, [_row(model, time.time()) for model in models["data"]], right=("SIZE",))
    if not models["data"]:
        output.note("no model is here yet; `universal pull MODEL` downloads one")


def _row(model: dict[str, Any], now: float) -> tuple[str, ...]:
    used = model.get("last_used")
    return (
        model["id"],
        model["state"],
        ", ".join(model.get("tasks") or ()) or "-",
        model.get("backend") or "-",
        readable(model["size_bytes"]) if model.get("size_bytes") else "-",
        f"{lasting(max(now - used, 0))} ago" if used else "-",
        ", ".join(model.get("quantizations") or ()) or "-",
    )


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [list_command]
