"""A conversation with a model, over the API's chat completions."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec

from universal_core.cli.chat.attachments import Part
from universal_core.cli.client import Client, CommandError

PATH = "/v1/chat/completions"
RESERVED = ("model", "messages", "stream", "stream_options", "n", "tools", "functions", "tool_choice")
"""Fields of a request that this conversation sets itself, or whose answers it could not show."""

Content = str | list[Part]


class Turn(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What was said by one of the two, as requests have it."""

    role: Literal["user", "assistant"]
    content: Content
    reasoning_content: str = ""


class Saved(msgspec.Struct, forbid_unknown_fields=True):
    """A conversation in a file."""

    model: str
    messages: list[Turn]
    system: str | None = None
    settings: dict[str, Any] = {}


class Piece(msgspec.Struct, frozen=True):
    """Some text of an answer, or of what the model thinks before it."""

    text: str
    thought: bool = False


class Answer:
    """An answer as far as it has come."""

    def __init__(self) -> None:
        self.text = ""
        self.thoughts = ""
        self.finish: str | None = None
        self.usage: dict[str, Any] | None = None
        self.dropped = 0
        self.first: float | None = None
        self.seconds = 0.0
        self._began = time.perf_counter()

    def read(self, event: dict[str, Any]) -> Iterator[Piece]:
        """Take in a chunk, and yield its text."""
        self.usage = event.get("usage") or self.usage
        self.dropped += (event.get("truncation") or {}).get("dropped_messages", 0)
        for choice in event.get("choices", ()):
            self.finish = choice.get("finish_reason") or self.finish
            delta = choice.get("delta") or {}
            if thought := delta.get("reasoning_content"):
                self.thoughts += thought
                yield self._piece(thought, True)
            if text := delta.get("content"):
                self.text += text
                yield self._piece(text, False)

    def _piece(self, text: str, thought: bool) -> Piece:
        if self.first is None:
            self.first = time.perf_counter() - self._began
        return Piece(text, thought)

    def end(self) -> None:
        """Take the time."""
        self.seconds = time.perf_counter() - self._began

    @property
    def speed(self) -> str:
        """How fast it came, in words."""
        if self.first is None:
            return f"nothing came in {self.seconds:.2f} s"
        words = f"{self.seconds:.2f} s, the first text after {self.first:.2f} s"
        if not self.usage:
            return words
        read, written = self.usage["prompt_tokens"], self.usage["completion_tokens"]
        after = self.seconds - self.first
        rate = f", {(written - 1) / after:.1f} tokens a second" if written > 1 and after > 0 else ""
        return f"{read} tokens read, {written} written in {words}{rate}"


class Talk:
    """The turns so far, and what is sent with them."""

    def __init__(self, client: Client, model: str, system: str | None, settings: dict[str, Any]) -> None:
        self.model = model
        self.system = system
        self.settings = settings
        self.turns: list[Turn] = []
        self.answer = Answer()
        self._client = client
        self._unanswered: Content | None = None

    def ask(self, content: Content, comment: Callable[[str], None] = lambda text: None) -> Generator[Piece]:
        """Yield the answer to a question as it comes; close this early and the server stops.

        What came is kept with the question; a question to which nothing came is as if it had not been asked. Raises
        CommandError.
        """
        self.answer = Answer()
        try:
            with closing(self._client.stream(PATH, self._body(content), comment)) as events:
                for event in events:
                    yield from self.answer.read(event)
        finally:
            self.answer.end()
            self._keep(content)

    def _body(self, content: Content) -> dict[str, Any]:
        turns: list[Any] = [{"role": "system", "content": self.system}] if self.system else []
        turns += [*self.turns, Turn("user", content)]
        fixed = {"model": self.model, "messages": turns, "stream": True, "stream_options": {"include_usage": True}}
        return {**self.settings, **fixed}

    def _keep(self, content: Content) -> None:
        answer = self.answer
        if answer.finish is None and not answer.text and not answer.thoughts:
            self._unanswered = content
            return
        self._unanswered = None
        self.turns += [Turn("user", content), Turn("assistant", answer.text, answer.thoughts)]

    def take_back(self) -> Content | None:
        """Remove the last question with its answer, and return the question; None where there is none."""
        if self._unanswered is None and self.turns:
            question, _ = self.turns[-2:]
            del self.turns[-2:]
            return question.content
        return self._unanswered

    def clear(self) -> None:
        """Forget what was said; the system prompt and the settings stay."""
        self.turns.clear()
        self._unanswered = None

    def save(self, path: Path) -> None:
        """Write the conversation to a file, in the place of another conversation, too. Raises CommandError."""
        if path.exists():
            _read(path)  # What is no conversation is not overwritten.
        saved = Saved(self.model, self.turns, self.system, self.settings)
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(saved)))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None

    def load(self, path: Path) -> None:
        """Go on with the conversation of a file; the model stays. Raises CommandError."""
        saved = _read(path)
        self.clear()
        self.turns, self.system, self.settings = saved.messages, saved.system, saved.settings


def _read(path: Path) -> Saved:
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=Saved)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise CommandError(f"{path} is no conversation that /save wrote: {error}") from None
    if [turn.role for turn in saved.messages] != ["user", "assistant"] * (len(saved.messages) // 2):
        raise CommandError(f"{path} is no conversation that /save wrote: questions and answers do not alternate")
    return saved
