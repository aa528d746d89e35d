"""``universal explain MODEL``."""

from collections.abc import Iterable

import click

from universal_core.cli.options import config_option, load_config
from universal_core.hookspecs import hookimpl


@click.command("explain")
@click.argument("model")
@config_option
def explain_command(model: str, file: str | None) -> None:
    """Tell where MODEL is, who claims it and why, what it can do, and whether it fits."""
    from universal_core.explain import explain, lines
    from universal_core.runtime import Runtime

    explanation = explain(Runtime(load_config(file).config).router, model)
    click.echo("\n".join(lines(explanation)))
    if explanation.winner is None:
        raise SystemExit(1)


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [explain_command]
