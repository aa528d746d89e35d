"""Fields of a request as a command line has them: ``--set temperature=0.2``."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import click
import msgspec

Command = TypeVar("Command", bound=Callable[..., Any])


def read_value(text: str) -> Any:
    """Return what a text stands for: JSON where it is JSON, else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def read_field(text: str, reserved: Collection[str]) -> tuple[str, Any]:
    """Return the name and the value of ``name=value``. Raises click.BadParameter, also for a reserved name."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"expected FIELD=VALUE, for instance temperature=0.2, got {text!r}")
    if name in reserved:
        raise click.BadParameter(f"{name} cannot be set here: it is this command's own")
    return name, read_value(value)


def set_option(*reserved: str) -> Callable[[Command], Command]:
    """Add ``--set``; the command gets ``fields``, a dict. Fields that are ``reserved`` are refused."""

    def read(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
        return dict(read_field(value, reserved) for value in values)

    return click.option(
        "--set",
        "fields",
        multiple=True,
        callback=read,
        metavar="FIELD=VALUE",
        help="Any other field of the request; the value is JSON, or else a text. May be given several times.",
    )


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def as_form(fields: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Return fields as forms have them: texts, and lists of texts."""
    return {
        name: [_text(item) for item in value] if isinstance(value, list) else _text(value)
        for name, value in fields.items()
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
