"""``universal rm MODEL...``."""

from collections.abc import Iterable
from urllib.parse import quote

import click

from universal_core.cli.client import Client, CommandError, client_options
from universal_core.cli.completion import complete_models
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl
from universal_core.sizes import readable


@click.command("rm")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", shell_complete=complete_models)
@click.option("--yes", is_flag=True, help="Do not ask.")
@client_options
def rm_command(client: Client, output: Output, models: tuple[str, ...], yes: bool) -> None:
    """Delete the files of each MODEL from the disk.

    `org/model:Q8_0` deletes one quantization of several. Other tools that share the HuggingFace cache lose the model,
    too. Works without a server.

    \b
    Example:
      universal rm Qwen/Qwen3-0.6B
      universal rm --yes unsloth/Qwen3-4B-GGUF:Q8_0
    """
    from universal_core.cli.here import server_or_here

    if not yes:
        click.confirm(f"Delete the files of {', '.join(models)}?", abort=True, err=True)
    client, failed = server_or_here(client), False
    for model in models:
        try:
            answer = client.delete(f"/v1/models/{quote(model, safe='/:@')}")
        except CommandError as error:
            if error.status is None:
                raise
            error.show()
            failed = True
            continue
        if output.json:
            output.value(answer)
        else:
            output.line(f"{model} is deleted; {readable(answer['freed_bytes'])} are free again")
    if failed:
        raise SystemExit(1)


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [rm_command]
