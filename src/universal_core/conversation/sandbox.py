"""The environment in which chat templates run: HuggingFace's dialect of Jinja, for templates that nobody has vetted.

Templates come with models, so they may be hostile. The sandbox keeps them from attributes that lead out of it and from
changing what they are given; the functions here give them nothing else to hold on to.
"""

import json
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace


def chat_environment() -> ImmutableSandboxedEnvironment:
    """Return an environment with the settings, the tags and the functions that chat templates are written for."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = write_json
    environment.globals |= {
        "raise_exception": refuse,
        "strftime_now": format_now,
        "dict": DictFactory(),
        "namespace": PlainNamespace,
    }
    return environment


class GenerationTag(Extension):
    """``{% generation %} ... {% endgeneration %}``: marks what the assistant wrote, for training; adds nothing here."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the body, in a scope of its own."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class DictFactory:
    """``dict(...)`` without the class itself, whose methods would change what the sandbox keeps unchanged."""

    def __call__(self, *values: Any, **items: Any) -> dict[Any, Any]:
        """Return a dict, as ``dict`` does."""
        return dict(*values, **items)

    def fromkeys(self, *values: Any) -> dict[Any, Any]:
        """Return a dict with the given keys."""
        return dict.fromkeys(*values)


class PlainNamespace(Namespace):
    """``namespace(...)``, whose attributes may not begin with an underscore: Python's own do."""

    def __init__(*arguments: Any, **attributes: Any) -> None:
        # Without a parameter named self, so that a template may have an attribute of that name.
        self, *values = arguments
        found = dict(*values, **attributes)
        for name in found:
            _check_name(name)
        Namespace.__init__(self, found)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"the attribute {name} of a namespace begins with an underscore")


def refuse(message: str) -> NoReturn:
    """End the template with its own words."""
    raise TemplateError(message)


def format_now(format: str) -> str:
    """Return the local time in the given form."""
    return datetime.now().strftime(format)  # what a template shows is the time where the server stands


def write_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as it is; Jinja's own filter writes it for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
