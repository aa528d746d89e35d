"""``universal image PROMPT -o FILE``."""

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from universal_core.cli.choosing import model_for, model_option
from universal_core.cli.client import Client, client_options
from universal_core.cli.fields import given, set_option
from universal_core.cli.files import check_free, format_of, writing
from universal_core.cli.output import Output, Tell
from universal_core.hookspecs import hookimpl

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
_STEP = re.compile(r"step (\d+) of (\d+)")


@click.command("image")
@click.argument("prompt")
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write: png, jpg or webp. Several pictures get numbers: fox-1.png.",
)
@click.option("-n", "number", type=click.IntRange(1), default=1, help="How many pictures.")
@click.option("--size", metavar="WIDTHxHEIGHT", help="Such as 512x512; the model's own unless given.")
@click.option("--steps", type=int, metavar="NUMBER", help="How many steps; what is usual for the model unless given.")
@click.option(
    "--seed", type=int, metavar="NUMBER", help="Of the first picture; the same one makes the same picture again."
)
@model_option
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@set_option("model", "prompt", "n", "size", "num_inference_steps", "seed", "stream", "response_format", "output_format")
@client_options
def image_command(
    client: Client,
    output: Output,
    prompt: str,
    file: Path,
    number: int,
    size: str | None,
    steps: int | None,
    seed: int | None,
    model: str | None,
    force: bool,
    fields: dict[str, Any],
) -> None:
    """Make a picture of what PROMPT describes, and tell its seed.

    \b
    Example:
      universal image "a fox in the snow" -o fox.png
      universal image "a fox in the snow" -o fox.jpg -n 4 --size 768x512 --seed 7
    """
    form = format_of(file, FORMATS)
    files = [file] if number == 1 else [file.with_stem(f"{file.stem}-{at}") for at in range(1, number + 1)]
    for path in files:
        check_free(path, force)
    wishes = given({"size": size, "num_inference_steps": steps, "seed": seed})
    fixed = {"prompt": prompt, "n": number, "stream": True, "output_format": form}
    body = {**fields, **wishes, **fixed, **model_for(client, model, "generate_image")}
    found = []
    with output.progress() as tell:
        for event in client.stream("/v1/images/generations", body, lambda text: _tell_step(tell, text)):
            if event["type"] == "image_generation.completed":
                path = files[event["index"]]
                with writing(path, force) as target:
                    target.write(base64.b64decode(event["b64_json"]))
                found.append(
                    {
                        "file": str(path),
                        "seed": event["seed"],
                        "size": event["size"],
                        "warnings": event.get("warnings") or [],
                    }
                )
    _report(output, found)


def _tell_step(tell: Tell, text: str) -> None:
    step = _STEP.search(text)
    tell(step[0] if step else text, int(step[1]) / int(step[2]) if step else None)


def _report(output: Output, found: list[dict[str, Any]]) -> None:
    found.sort(key=lambda picture: int(picture["seed"]))
    if output.json:
        output.value(found)
        return
    for picture in found:
        output.line(f"{picture['file']}  seed {picture['seed']}  {picture['size']}")
    for warning in dict.fromkeys(warning for picture in found for warning in picture["warnings"]):
        output.note(f"universal: {warning}")


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [image_command]
