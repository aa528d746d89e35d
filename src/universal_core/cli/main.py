"""The ``universal`` command: the commands of the core, and those of plugins."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

import click

from universal_core.cli.options import load_config
from universal_core.errors import UniversalError
from universal_core.plugins import COMMANDS, Plugins


class Universal(click.Group):
    """The group of all commands that plugins register; of two with one name a plugin's counts, not the core's."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return all names."""
        return sorted(self._found())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        return self._found().get(name)

    @staticmethod
    def _found() -> dict[str, click.Command]:
        found: dict[str, click.Command] = {}
        for _, commands in Plugins(load_config(None).config.plugins.block, COMMANDS).ask_each("register_commands"):
            for command in commands or ():
                found.setdefault(command.name or "", command)
        return found


@click.group(cls=Universal, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("universal-core"), prog_name="universal")
def universal() -> None:
    """Serve any HuggingFace model behind OpenAI-compatible endpoints."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of ours are one line and status 1."""
    try:
        universal.main(args=arguments, prog_name="universal")
    except UniversalError as error:
        print(f"universal: {error.message}", file=sys.stderr)
        raise SystemExit(1) from None
