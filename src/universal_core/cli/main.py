"""The ``universal`` command: the commands of the core, and those of plugins."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import click

from universal_core.cli.client import INTERRUPTED
from universal_core.cli.options import load_config
from universal_core.config import ConfigError
from universal_core.errors import UniversalError
from universal_core.plugins import COMMANDS, Plugins


class Universal(click.Group):
    """The group of all commands that plugins register; of two with one name a plugin's counts, not the core's."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return all names."""
        return sorted(self._found(context))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        return self._found(context).get(name)

    def invoke(self, context: click.Context) -> Any:
        """Run a command; Ctrl-C ends it with the status that shells give to what it ended."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo(err=True)
            context.exit(INTERRUPTED)

    @staticmethod
    def _found(context: click.Context) -> dict[str, click.Command]:
        # Help asks for each command by itself, and finding them means to ask every plugin.
        found: dict[str, click.Command] = context.meta.setdefault(__name__, {})
        if found:
            return found
        try:
            block = load_config(None).config.plugins.block
        except ConfigError:
            block = ()  # The command says so itself where it needs the configuration; `doctor` goes on without.
        with _unsaid():
            for _, commands in Plugins(block, COMMANDS).ask_each("register_commands"):
                for command in commands or ():
                    found.setdefault(command.name or "", command)
        return found


@contextmanager
def _unsaid() -> Iterator[None]:
    """Keep back what is to be said of plugins: each command says it where it matters, a server in its own log."""
    log = logging.getLogger(Plugins.__module__)
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = False


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
