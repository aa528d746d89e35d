"""``universal completion SHELL``, and the names of models that shells complete."""

from collections.abc import Iterable

import click
import msgspec
from click.shell_completion import CompletionItem, get_completion_class

from universal_core.cli.client import configured_url
from universal_core.config import cache_folder
from universal_core.errors import UniversalError
from universal_core.hookspecs import hookimpl

PATIENCE = 0.5
"""Seconds that a shell waits for a server's list of models."""
VARIABLE = "_UNIVERSAL_COMPLETE"


def complete_models(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the models whose names begin like this: those that the server lists, else those of the cache."""
    names = _listed(context.params.get("url"))
    return [
        CompletionItem(name) for name in sorted(_cached() if names is None else names) if name.startswith(incomplete)
    ]


def _listed(url: str | None) -> list[str] | None:
    """Return what a server lists, None where it does not do so at once."""
    from httpx2 import HTTPError, get

    try:
        answer = get(f"{url or configured_url()}/v1/models", timeout=PATIENCE, trust_env=False)
        return [model["id"] for model in msgspec.json.decode(answer.content)["data"]]
    except (HTTPError, OSError, UniversalError, msgspec.DecodeError, LookupError, TypeError):
        return None


def _cached() -> Iterable[str]:
    return [folder.name.removeprefix("models--").replace("--", "/") for folder in cache_folder().glob("models--*")]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the lines that let SHELL complete commands, options, and names of models.

    \b
    Example:
      universal completion bash > ~/.local/share/bash-completion/completions/universal
      universal completion zsh > ~/.zfunc/_universal
      universal completion fish > ~/.config/fish/completions/universal.fish
    """
    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root, {}, "universal", VARIABLE).source())


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [completion_command]
