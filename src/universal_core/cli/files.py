"""Files that commands write: there once they are complete, and never in the place of others unasked."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from universal_core.cli.client import CommandError


def format_of(path: Path, formats: Mapping[str, str]) -> str:
    """Return the format that a file's suffix stands for; raise BadParameter for one that stands for none."""
    if path.suffix.lower() not in formats:
        raise click.BadParameter(f"expected a file named *{', *'.join(formats)}, got {path}", param_hint="--output")
    return formats[path.suffix.lower()]


def check_free(path: Path, force: bool) -> None:
    """Raise CommandError where something is in a file's place, unless that may be overwritten."""
    if path.is_file() and not force:
        raise CommandError(f"{path} exists; name another file, or overwrite it with --force")
    if not path.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {path.absolute().parent}")


@contextmanager
def writing(path: Path, force: bool) -> Iterator[BinaryIO]:
    """Give a file to write to, which has its name once all is written; a pipe or a device is written to at once.

    Raises CommandError.
    """
    check_free(path, force)
    whole = path.is_file() or not path.exists()
    part = path.with_name(f".{path.name}.{os.getpid()}.part") if whole else path
    try:
        with part.open("wb") as file:
            yield file
        if whole:
            check_free(path, force)
            part.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    finally:
        if whole:
            part.unlink(missing_ok=True)
