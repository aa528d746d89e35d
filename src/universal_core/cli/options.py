"""The options that commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from universal_core.config import Loaded, Setting, load, parse, publish_folder, settings

Command = TypeVar("Command", bound=Callable[..., Any])

config_option = click.option("--config", "file", metavar="FILE", help="Configuration file (TOML, or a LlamaFarm YAML).")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def load_config(file: str | None, flags: dict[str, Any] | None = None) -> Loaded:
    """Read the configuration with what was given on the command line, and tell plugins where its file is."""
    loaded = load(file, flags=flags)
    publish_folder(loaded)
    return loaded


def setting_options(command: Command) -> Command:
    """Add an option for every setting; its name, type and help come from the configuration's Structs."""
    for setting in reversed(list(settings())):
        default = "none" if setting.default in (None, ()) else setting.default
        command = click.option(
            setting.flag,
            _argument(setting),
            metavar="VALUE",
            help=f"{setting.description} [{setting.variable}; default {default}]",
        )(command)
    return command


def _argument(setting: Setting) -> str:
    return f"{setting.section}__{setting.field}"


def given_flags(values: dict[str, str | None]) -> dict[str, Any]:
    """Return ``section.field`` -> value of the options that were given."""
    by_argument = {_argument(setting): setting for setting in settings()}
    return {
        by_argument[argument].name: parse(text, by_argument[argument], by_argument[argument].flag)
        for argument, text in values.items()
        if text is not None
    }
