"""``universal explain MODEL``."""

from collections.abc import Iterable

import click
import msgspec

from universal_core.cli.completion import complete_models
from universal_core.cli.options import config_option, json_option, load_config
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl


@click.command("explain")
@click.argument("model", shell_complete=complete_models)
@config_option
@json_option
def explain_command(model: str, file: str | None, as_json: bool) -> None:
    """Tell where MODEL is, who claims it and why, what it can do, and whether it fits.

    Leaves with status 1 where nobody can run it.

    \b
    Example:
      universal explain unsloth/Qwen3-4B-GGUF:Q8_0
    """
    from universal_core.explain import explain, lines
    from universal_core.runtime import Runtime

    explanation = explain(Runtime(load_config(file).config).router, model)
    output = Output(as_json)
    if as_json:
        # The documents are files of the model, which a script can read itself.
        output.value(msgspec.structs.replace(explanation, info=msgspec.structs.replace(explanation.info, documents={})))
    else:
        output.line("\n".join(lines(explanation)))
    if explanation.winner is None:
        raise SystemExit(1)


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [explain_command]
