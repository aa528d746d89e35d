"""``universal serve``."""

from collections.abc import Iterable

import click

from universal_core.cli.options import config_option, given_flags, load_config, setting_options
from universal_core.hookspecs import hookimpl


def greeting(url: str, model: str) -> str:
    """Return the lines that a new user can paste."""
    return f"""
Universal Runtime answers on {url}

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  answer = client.chat.completions.create(
      model="{model}",
      messages=[{{"role": "user", "content": "What is Universal Runtime?"}}],
  )
  print(answer.choices[0].message.content)

  curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "How do I install a plugin?"}}]}}'
  curl {url}/v1/models

Stop with Ctrl-C.
"""


@click.command("serve")
@config_option
@click.option("--welcome", is_flag=True, help="Print lines to try, once the server answers.")
@setting_options
def serve_command(file: str | None, welcome: bool, **values: str | None) -> None:
    """Serve models until stopped.

    \b
    Example:
      universal serve
      universal serve --host 0.0.0.0 --port 8000 --models-preload Qwen/Qwen3-0.6B
    """
    # Imported here so that the other commands start without the server's imports.
    from universal_core.serve import serve

    loaded = load_config(file, given_flags(values))
    config = loaded.config
    model = config.models.default or next(iter(config.models.preload), "universal/starter")
    serve(loaded, lambda url: print(greeting(url, model), flush=True) if welcome else None)


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [serve_command]
