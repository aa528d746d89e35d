"""``universal transcribe FILE``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from universal_core.cli.choosing import model_for, model_option
from universal_core.cli.client import Client, Form, client_options
from universal_core.cli.fields import as_form, given, set_option
from universal_core.cli.output import Output, printable
from universal_core.hookspecs import hookimpl

FORMATS = ("text", "srt", "vtt", "json")


@click.command("transcribe")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@model_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    help="Text as it is heard, subtitles, or JSON with times.",
)
@click.option("--language", metavar="NAME", help="Language of the recording, such as en; found out otherwise.")
@click.option("--translate", is_flag=True, help="Write English, whatever is said.")
@click.option("--words", is_flag=True, help="With JSON: tell the times of words, too.")
@set_option("model", "file", "response_format", "stream", "language")
@client_options
def transcribe_command(
    client: Client,
    output: Output,
    file: Path,
    model: str | None,
    form: str,
    language: str | None,
    translate: bool,
    words: bool,
    fields: dict[str, Any],
) -> None:
    """Write down what is said in FILE, a recording of any usual kind; it is sent to the server.

    \b
    Example:
      universal transcribe interview.mp3
      universal transcribe film.mkv --format srt > film.srt
    """
    if output.json and form in ("srt", "vtt"):
        raise click.UsageError(f"--json and --format {form} exclude each other")
    output = Output(output.json or form == "json")
    task, path = ("translate", "translations") if translate else ("transcribe", "transcriptions")
    wishes = {**fields, **given({"language": language}), **model_for(client, model, task)}
    if words:
        wishes["timestamp_granularities[]"] = ["segment", "word"]
    body = {
        **wishes,
        "response_format": "verbose_json" if output.json else form,
        "stream": form == "text" and not output.json,
    }
    request = Form(as_form(body), {"file": file})
    if body["stream"]:
        _stream(client, output, f"/v1/audio/{path}", request)
        return
    with output.progress() as tell:
        tell("listening", None)
        answer = client.post(f"/v1/audio/{path}", request)
    if output.json:
        output.value(answer)
    else:
        click.echo(printable(answer), nl=not answer.endswith("\n"))


def _stream(client: Client, output: Output, path: str, request: Form) -> None:
    """Print the text as it comes."""
    with output.progress() as tell:
        tell("listening", None)
        for event in client.stream(path, request, lambda text: tell(text, None)):
            if event["type"] == "transcript.text.delta" and event["delta"]:
                tell.stop()
                click.echo(printable(event["delta"]), nl=False)
    output.line()


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [transcribe_command]
