"""The ``universal`` command: its own commands, and those of plugins."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

import click

from universal_core.cli.config import config_command
from universal_core.cli.explain import explain_command
from universal_core.cli.options import load_config
from universal_core.cli.plugins import plugins_command
from universal_core.cli.serve import serve_command
from universal_core.errors import UniversalError
from universal_core.plugins import Plugins

COMMANDS: tuple[click.Command, ...] = (serve_command, explain_command, plugins_command, config_command)


class Universal(click.Group):
    """The group of all commands; plugins are asked for theirs only when none of the core's is meant."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return all names, the core's first."""
        return [command.name or "" for command in COMMANDS] + sorted(self._foreign())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        own = {command.name: command for command in COMMANDS}
        return own.get(name) or self._foreign().get(name)

    @staticmethod
    def _foreign() -> dict[str, click.Command]:
        plugins = Plugins(load_config(None).config.plugins.block, http=False)
        found = [command for _, commands in plugins.ask_each("register_commands") for command in commands or ()]
        return {command.name or "": command for command in found}


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
