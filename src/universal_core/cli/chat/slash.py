"""The commands of a chat: lines that begin with a slash."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from universal_core.cli.chat.keyboard import QUOTES
from universal_core.cli.chat.talk import RESERVED
from universal_core.cli.client import CommandError
from universal_core.cli.fields import read_value

if TYPE_CHECKING:
    from universal_core.cli.chat.session import Session


class Leave(Exception):
    """The user has had enough."""


class Slash(NamedTuple):
    """A command: its argument, what it does, and how."""

    argument: str
    help: str
    run: Callable[["Session", str], None]


def obey(session: "Session", name: str, argument: str) -> None:
    """Do what a line says. Raises CommandError, Leave."""
    command = COMMANDS.get(name)
    if command is None:
        raise CommandError(f"there is no {name} here; /help lists what there is, and a space before it makes it text")
    if argument and not command.argument:
        raise CommandError(f"{name} stands alone, got {argument!r}")
    if not argument and command.argument and not command.argument.startswith("["):
        raise CommandError(f"{name} needs more: {name} {command.argument}")
    command.run(session, argument)


def _help(session: "Session", _: str) -> None:
    rows = [(f"{name} {command.argument}", command.help) for name, command in COMMANDS.items()]
    rows += [(QUOTES, "Begins and ends a question of several lines."), ("Ctrl-C, Ctrl-D", "Stops the answer; leaves.")]
    for name, help in rows:
        session.output.line(f"{name:<22} {help}")


def _clear(session: "Session", _: str) -> None:
    session.talk.clear()
    session.attached = []


def _system(session: "Session", text: str) -> None:
    if text:
        session.talk.system = None if text == "none" else text
    else:
        session.output.line(session.talk.system or "there is no system prompt")


def _set(session: "Session", argument: str) -> None:
    settings = session.talk.settings
    name, _, value = argument.replace("=", " ", 1).partition(" ")
    if not argument:
        for known, setting in settings.items():
            session.output.line(f"{known} = {msgspec.json.encode(setting).decode()}")
    elif name in RESERVED:
        raise CommandError(f"{name} cannot be set here: it is this command's own")
    elif not value.strip():
        raise CommandError(f"/set {name} needs a value: /set {name} 0.2, or none to leave it to the model")
    elif value.strip() in ("none", "null"):
        settings.pop(name, None)
    else:
        settings[name] = read_value(value.strip())


def _save(session: "Session", file: str) -> None:
    session.talk.save(Path(file).expanduser())


def _load(session: "Session", file: str) -> None:
    session.talk.load(Path(file).expanduser())
    session.output.line(f"{len(session.talk.turns) // 2} questions with their answers")


def _retry(session: "Session", _: str) -> None:
    question = session.talk.take_back()
    if question is None:
        raise CommandError("nothing was asked yet")
    session.show(question)


def _model(session: "Session", name: str) -> None:
    if name:
        session.load(name)
    else:
        session.output.line(session.talk.model)


def _attach(session: "Session", file: str) -> None:
    session.attach(Path(file.strip("\"'")))
    session.output.line(f"{len(session.attached)} for the next question")


def _exit(session: "Session", _: str) -> None:
    raise Leave


COMMANDS = {
    "/help": Slash("", "Lists these commands.", _help),
    "/clear": Slash("", "Forgets what was said.", _clear),
    "/system": Slash("[TEXT]", "Shows the system prompt, or sets it; none takes it away.", _system),
    "/set": Slash("[FIELD VALUE]", "Shows what is set, or sets a field of the requests: temperature 0.2.", _set),
    "/image": Slash("PATH", "Sends a picture with the next question; a path with a slash in a line does too.", _attach),
    "/audio": Slash("PATH", "Sends a recording with the next question.", _attach),
    "/retry": Slash("", "Asks the last question again, as if it had not been answered.", _retry),
    "/model": Slash("[NAME]", "Tells the model, or goes on with another one.", _model),
    "/save": Slash("FILE", "Writes the conversation to a file.", _save),
    "/load": Slash("FILE", "Goes on with a conversation that was saved.", _load),
    "/exit": Slash("", "Leaves, as Ctrl-D does.", _exit),
}
