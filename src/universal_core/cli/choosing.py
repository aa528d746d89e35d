"""Which model a command asks where it was given none."""

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

import click

from universal_core.cli.client import Client, CommandError
from universal_core.cli.completion import complete_models

model_option = click.option(
    "--model",
    metavar="NAME",
    shell_complete=complete_models,
    help="Model to ask; the server's only one for this, or its default, otherwise.",
)
"""For commands that need not be told a model; see model_for."""


def model_for(client: Client, given: str | None, task: str) -> dict[str, str]:
    """Return the field ``model`` of a request: what was given, or the only model of the server that has the task.

    Where there are several or none the field is missing, and the server takes its default, or says what it needs.
    """
    if given:
        return {"model": given}
    able = [model["id"] for model in client.get("/v1/models")["data"] if task in _tasks(client, model)]
    return {"model": able[0]} if len(able) == 1 else {}


def _tasks(client: Client, model: dict[str, Any]) -> Collection[str]:
    if model["tasks"] or model["state"] != "configured":
        return model["tasks"]  # type: ignore[no-any-return]
    # What is only configured was not looked at for the list.
    try:
        return client.get(f"/v1/models/{quote(model['id'])}")["tasks"]  # type: ignore[no-any-return]
    except CommandError:
        return ()
