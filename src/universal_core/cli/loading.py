"""Loads a model with its progress shown."""

from typing import Any

from universal_core.cli.client import Client
from universal_core.cli.output import Output


def load_model(client: Client, output: Output, model: str, task: str | None = None) -> None:
    """Load a model, for a task where one is named, and show how far it is. Raises CommandError."""
    body: dict[str, Any] = {"model": model, "stream": True} | ({"task": task} if task else {})
    with output.progress() as tell:
        for event in client.stream("/v1/models/load", body):
            if event["status"] != "ready":
                tell(f"{event['model']}: {event['stage']}", event.get("fraction"))
