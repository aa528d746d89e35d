"""``universal run MODEL``."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from universal_core.cli.chat.talk import RESERVED
from universal_core.cli.client import Client, client_options
from universal_core.cli.completion import complete_models
from universal_core.cli.fields import set_option
from universal_core.cli.output import Output
from universal_core.cli.pipe import piped_text
from universal_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from universal_core.cli.chat.session import Session
    from universal_core.cli.chat.talk import Content

HISTORY = "~/.universal/history"


@click.command("run")
@click.argument("model", shell_complete=complete_models)
@click.argument("prompt", required=False)
@click.option("--system", metavar="TEXT", help="The system prompt.")
@click.option(
    "--attach", "files", multiple=True, metavar="FILE", help="A picture or a recording that goes with PROMPT."
)
@set_option(*RESERVED)
@click.option("--verbose", is_flag=True, help="Tell after each answer how fast it was, on stderr.")
@client_options
def run_command(
    client: Client,
    output: Output,
    model: str,
    prompt: str | None,
    system: str | None,
    files: tuple[str, ...],
    fields: dict[str, Any],
    verbose: bool,
) -> None:
    """Chat with MODEL in the terminal, or answer PROMPT and leave.

    What is piped in is the prompt, or follows PROMPT. A path of a picture or a recording in PROMPT, written with a
    slash, is sent as what it names. In a chat /help lists what can be done; Ctrl-C stops an answer, Ctrl-D leaves.

    \b
    Example:
      universal run Qwen/Qwen3-0.6B
      universal run Qwen/Qwen3-0.6B "Name three rivers." --set temperature=0.2
      git diff | universal run Qwen/Qwen3-0.6B "Write a commit message for this:"
    """
    from universal_core.cli.chat.session import Session
    from universal_core.cli.chat.talk import Talk

    session = Session(client, Talk(client, model, system, dict(fields)), output, verbose)
    for file in files:
        session.attach(Path(file))
    asked = _asked(session, prompt)
    if asked is not None:
        _answer_once(session, asked)
        return
    if output.json or not output.terminal:
        raise click.UsageError("give a PROMPT: a chat needs a terminal, and prints no JSON")
    _chat(session)


def _asked(session: "Session", prompt: str | None) -> "Content | None":
    """Return what is asked on the command line and in the pipe, None where a chat is meant."""
    piped = piped_text()
    if not prompt and piped is None:
        return None
    if not prompt and not piped:
        raise click.UsageError("there is nothing to answer: give a PROMPT, or pipe one in")
    content = session.content_of(prompt or "")
    if not piped:
        return content
    # Only what was typed names files of this machine.
    if isinstance(content, str):
        return f"{content}\n\n{piped}" if content else piped
    return [*content, {"type": "text", "text": piped}]


def _answer_once(session: "Session", content: "Content") -> None:
    session.load(session.talk.model)
    if not session.output.json:
        session.show(content)
        return
    for _ in session.talk.ask(content):
        pass
    answer = session.talk.answer
    session.output.value(
        {
            "model": session.talk.model,
            "content": answer.text,
            "reasoning_content": answer.thoughts or None,
            "finish_reason": answer.finish,
            "usage": answer.usage,
        }
    )


def _chat(session: "Session") -> None:
    from universal_core.cli.chat.keyboard import Keyboard
    from universal_core.cli.chat.screen import Screen

    session.load(session.talk.model)
    Screen(session.output).remark(f"{session.talk.model}: /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves")
    session.run(Keyboard(Path(HISTORY).expanduser()))


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [run_command]
