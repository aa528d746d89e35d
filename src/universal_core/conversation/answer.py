"""The text side of one answer: tokens go in, events come out."""

import secrets
import string
from collections.abc import Mapping, Sequence

from universal_core.conversation.content import ContentStream, Told
from universal_core.conversation.detokenize import Detokenizer
from universal_core.conversation.logprobs import described
from universal_core.conversation.parsing import Call, Content, Piece, PlainTurn, Thought, TurnParser
from universal_core.conversation.sampling import Choice
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.messages import Event, Finish, FinishReason, Reasoning, Text, ToolCall

_LETTERS = string.ascii_letters + string.digits


class Answer:
    """Turns the chosen tokens of answer ``index`` into events: text up to a stop string, thoughts, and calls.

    ``parser`` takes a turn apart; stop strings are looked for in the content alone. ``markers`` are the special tokens
    that it has to see, with their texts. ``before`` holds the tokens in front of the answer where the answer continues
    their text.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        index: int = 0,
        stops: Sequence[str] = (),
        before: Sequence[int] = (),
        parser: TurnParser | None = None,
        markers: Mapping[int, str] = {},
    ) -> None:
        self.index = index
        self.stopped = False
        self.reasoning_tokens = 0
        self._vocabulary = vocabulary
        self._detokenizer = Detokenizer(vocabulary.decode, before)
        self._parser = parser or PlainTurn()
        self._markers = markers
        self._content = ContentStream(stops)
        self._perhaps_thinking = 0
        self._read = 0
        self._called = False

    def push(self, choice: Choice) -> list[Event]:
        """Return the events that a further token brings; ``stopped`` tells afterwards whether it was the last."""
        if choice.logprob is not None:
            self._content.note(self._read, described(self._vocabulary, choice))
        marker = self._markers.get(choice.token)
        text = self._detokenizer.feed(choice.token) if marker is None else self._detokenizer.flush() + marker
        self._read += len(text)
        thinking = self._parser.thinking
        pieces = self._parser.feed(text) if text else []
        self._count(thinking or self._parser.thinking)
        return self._events(pieces)

    def finish(self, reason: FinishReason) -> list[Event]:
        """Return what was held back, and the end."""
        rest: list[Event] = []
        if not self.stopped:
            text = self._detokenizer.flush()
            self._read += len(text)
            rest = self._events([*self._parser.feed(text), *self._parser.close(reason)])
            self._content.forget(self._read)
        if not self.stopped:
            rest += self._texts(self._content.rest())
        reason = "tool_calls" if self._called and reason == "stop" else reason
        return [*rest, Finish(reason=reason, index=self.index, stop=self._content.stop)]

    def _count(self, thinking: bool) -> None:
        """Count a token of a thought, and those before it that turn out to have been part of its marker."""
        if thinking:
            self.reasoning_tokens += 1 + self._perhaps_thinking
            self._perhaps_thinking = 0
        else:
            self._perhaps_thinking = self._perhaps_thinking + 1 if self._parser.held else 0

    def _events(self, pieces: list[Piece]) -> list[Event]:
        events: list[Event] = []
        for piece in pieces:
            if self.stopped:
                break
            if isinstance(piece, Content):
                told, self.stopped = self._content.feed(piece)
                events += self._texts(told)
            else:
                # What was held back is content: no stop string goes on behind a thought or a call.
                events += self._texts(self._content.flush())
                events.append(self._event(piece))
        self._content.forget(self._read - self._parser.held)
        return events

    def _event(self, piece: Thought | Call) -> Event:
        if isinstance(piece, Thought):
            return Reasoning(text=piece.text, index=self.index)
        self._called = True
        new = "call_" + "".join(secrets.choice(_LETTERS) for _ in range(24)) if piece.name is not None else None
        return ToolCall(
            position=piece.position,
            index=self.index,
            id=piece.id or new,
            name=piece.name,
            arguments=piece.arguments,
        )

    def _texts(self, told: Told) -> list[Event]:
        text, entries = told
        return [Text(text=text, index=self.index, logprobs=tuple(entries))] if text or entries else []
