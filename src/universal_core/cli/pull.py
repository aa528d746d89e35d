"""``universal pull MODEL``."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from universal_core.cli.client import Client, client_options
from universal_core.cli.completion import complete_models
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl
from universal_core.sizes import lasting, readable

Event = dict[str, Any]


@click.command("pull")
@click.argument("model", shell_complete=complete_models)
@client_options
def pull_command(client: Client, output: Output, model: str) -> None:
    """Download MODEL into the HuggingFace cache: only the files that running it needs.

    `org/model:Q8_0` names a quantization, `org/model@v1` a revision. What an earlier try left is taken up. Works
    without a server, too.

    \b
    Example:
      universal pull Qwen/Qwen3-0.6B
      universal pull unsloth/Qwen3-4B-GGUF:Q8_0
    """
    from universal_core.cli.here import server_or_here

    client = server_or_here(client)
    last: Event = {}
    try:
        with _shown(output) as show:
            for event in client.stream("/v1/models/pull", {"model": model, "stream": True}):
                last = event
                show(event)
    except KeyboardInterrupt:
        output.note(f"stopped; `universal pull {model}` goes on where this left off")
        raise
    if not output.json:
        size = f": {readable(last['size_bytes'])}" if last.get("size_bytes") else ""
        output.line(f"{model} is on this machine{size}")


@contextmanager
def _shown(output: Output) -> Iterator[Any]:
    """Give what shows an event: as JSON, or as a bar; where there is no terminal nothing but the result is shown."""
    if output.json:
        yield output.value
        return
    with output.progress() as tell:
        yield lambda event: tell(told(event), event.get("fraction"))


def told(event: Event) -> str:
    """Return in words how far a download is: files, bytes, speed, time left."""
    text = f"{event['status']} {event['model']}"
    if event.get("files") and event.get("bytes"):
        text += f": {event['files_done']} of {event['files']} files"
        text += f", {readable(event['bytes_done'])} of {readable(event['bytes'])}"
    if event.get("bytes_per_second"):
        text += f", {readable(event['bytes_per_second'])}/s"
    if event.get("seconds_left") is not None:
        text += f", {lasting(event['seconds_left'])} left"
    return text


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [pull_command]
