"""``universal speak TEXT -o FILE``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from universal_core.cli.choosing import model_for, model_option
from universal_core.cli.client import Client, client_options
from universal_core.cli.fields import given, set_option
from universal_core.cli.files import format_of, writing
from universal_core.cli.output import Output
from universal_core.cli.pipe import piped_text
from universal_core.hookspecs import hookimpl

FORMATS = {".mp3": "mp3", ".opus": "opus", ".ogg": "opus", ".aac": "aac", ".flac": "flac", ".wav": "wav", ".pcm": "pcm"}


@click.command("speak")
@click.argument("text", required=False)
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write; its suffix says the format: mp3, opus, aac, flac, wav, pcm.",
)
@click.option("--voice", metavar="NAME", help="One of the model's voices; GET /v1/audio/voices lists them.")
@click.option("--speed", type=float, metavar="NUMBER", help="How fast, 0.25 to 4; 1 unless given.")
@model_option
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@set_option("model", "input", "response_format", "stream", "stream_format", "voice", "speed")
@client_options
def speak_command(
    client: Client,
    output: Output,
    text: str | None,
    file: Path,
    voice: str | None,
    speed: float | None,
    model: str | None,
    force: bool,
    fields: dict[str, Any],
) -> None:
    """Speak TEXT, or what is piped in, into a file.

    \b
    Example:
      universal speak "The river is high today." -o river.mp3
      universal speak --voice bf_emma -o chapter.wav < chapter.txt
    """
    form = format_of(file, FORMATS)
    text = text or piped_text()
    if not text:
        raise click.UsageError("there is nothing to speak: give TEXT, or pipe it in")
    body = {**fields, **given({"voice": voice, "speed": speed}), "input": text, "response_format": form}
    size = 0
    with writing(file, force) as target, output.progress() as tell:
        for piece in client.content("/v1/audio/speech", {**body, **model_for(client, model, "speak")}):
            target.write(piece)
            target.flush()
            size += len(piece)
            tell(f"{size // 1000} kB", None)
    if output.json:
        output.value({"file": str(file), "bytes": size, "format": form})
    else:
        output.line(str(file))


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [speak_command]
