"""``universal ps``."""

from collections.abc import Iterable
from typing import Any

import click

from universal_core.cli.client import Client, CommandError, client_options
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl
from universal_core.sizes import lasting, readable

HEADINGS = ("NAME", "STATE", "BACKEND", "MEMORY", "ACTIVE", "QUEUED", "IDLE", "PINNED", "PROGRESS")


@click.command("ps")
@client_options
def ps_command(client: Client, output: Output) -> None:
    """List the models in memory: what they take and what they do.

    \b
    Example:
      universal ps
      watch -n 1 universal ps
    """
    health = health_of(client)
    if output.json:
        output.value(health)
        return
    output.table(HEADINGS, [_row(model) for model in health["models"]], right=("MEMORY", "ACTIVE", "QUEUED", "IDLE"))
    device = health["device_info"]
    output.note(
        f"{device['type']}: models take {device['memory_allocated']}; "
        f"{device['memory_free']} of {device['memory_total']} free"
    )
    if health["status"] != "healthy":
        output.note(f"the server is {health['status']}")


def health_of(client: Client) -> dict[str, Any]:
    """Return /health, that of a server which is about to stop, too. Raises CommandError."""
    try:
        health: dict[str, Any] = client.get("/health")
    except CommandError as error:
        if not isinstance(error.body, dict) or "models" not in error.body:
            raise
        health = error.body
    return health


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    return (
        model["id"],
        model["state"],
        model["backend"],
        readable(model["memory_bytes"]),
        str(model["active"]),
        str(model["queued"]),
        lasting(model["idle_seconds"]) if model["idle_seconds"] else "-",
        "yes" if model["pinned"] else "no",
        ", ".join(f"{job['task']} {job['done']}/{job['total']}" for job in model["progress"]) or "-",
    )


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [ps_command]
