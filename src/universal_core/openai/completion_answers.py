"""Completions as OpenAI writes them: whole, and in chunks."""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from universal_core.http import data
from universal_core.messages import Finish, Message, Text, TokenAlternative, TokenLogprob, Usage
from universal_core.openai.generation import Stamp, UsageBody


class CompletionLogprobs(msgspec.Struct):
    """The logprobs of a choice, as lists side by side."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]

    @classmethod
    def of(cls, events: Sequence[Text], start: int = 0) -> "tuple[CompletionLogprobs, int]":
        """Return the wire form of the tokens of some events, and where the text of the next token begins.

        ``start`` is where that of the first begins, in characters of the answer.
        """
        places: list[int] = []
        for event in events:
            found, end = _places(event.logprobs, start)
            # Without a text of its own it is what the tokenizer put before the prompt.
            places += found if event.text else [start] * len(found)
            start = end if event.text else start
        tokens = [token for event in events for token in event.logprobs]
        own = [token.logprob for token in tokens]
        return cls([_name(token) for token in tokens], own, [_best(token) for token in tokens], places), start


def _places(tokens: Sequence[TokenLogprob], start: int) -> tuple[list[int], int]:
    """Return where each token begins, and where the last ends; one inside a character begins where that does."""
    found = []
    for token in tokens:
        begun = sum(byte & 0xC0 != 0x80 for byte in token.data)
        inside = token.data[:1] != b"" and token.data[0] & 0xC0 == 0x80
        found.append(max(0, start - inside))
        start += begun
    return found, start


def _name(token: TokenAlternative | TokenLogprob) -> str:
    """Return a token's text, or as OpenAI has it the bytes of a part of a character."""
    try:
        return token.data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.data)


def _best(token: TokenLogprob) -> dict[str, float] | None:
    """Return the best tokens with their logprobs, and the token itself, which need not be one of them."""
    if token.logprob is None:
        return None
    best = {_name(other): other.logprob for other in token.alternatives}
    return best | {_name(token): token.logprob}


class CompletionChoice(msgspec.Struct):
    """One answer, or a piece of one."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct, kw_only=True):
    """The whole answer, or a chunk of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageBody | msgspec.UnsetType | None = msgspec.UNSET
    system_fingerprint: None = None

    @classmethod
    def of(cls, stamp: Stamp, choices: list[CompletionChoice]) -> "Completion":
        """Return an object with the given choices."""
        return cls(id=stamp.id, created=stamp.created, model=stamp.model, choices=choices)


class CompletionChunks:
    """Writes the events of one prompt as chunks; its answers are numbered from ``first``."""

    def __init__(self, stamp: Stamp, first: int, *, usage: bool, logprobs: bool) -> None:
        self.usages: list[Usage] = []
        self._stamp = stamp
        self._first = first
        self._wants_usage = usage
        self._logprobs = logprobs
        self._places: dict[int, int] = {}

    def write(self, batch: Sequence[Message]) -> bytes:
        """Return the chunks for some events."""
        return b"".join(map(self._event, batch))

    def _event(self, event: Message) -> bytes:
        match event:
            case Text():
                return self._chunk(CompletionChoice(self._first + event.index, event.text, self._logprobs_of(event)))
            case Finish():
                return self._chunk(CompletionChoice(self._first + event.index, "", None, event.reason))
            case Usage():
                self.usages.append(event)
        return b""

    def _logprobs_of(self, event: Text) -> CompletionLogprobs | None:
        if not self._logprobs:
            return None
        found, self._places[event.index] = CompletionLogprobs.of([event], self._places.get(event.index, 0))
        return found

    def _chunk(self, choice: CompletionChoice) -> bytes:
        chunk = Completion.of(self._stamp, [choice])
        if self._wants_usage:
            chunk.usage = None
        return data(chunk)


def choices_of(
    events: Sequence[Message], first: int, answers: Sequence[int], *, logprobs: bool
) -> list[CompletionChoice]:
    """Return some answers to a prompt, by their indices, numbered from ``first`` on."""
    return [
        _choice(_texts(events, index), _reason(events, index), first + place, logprobs=logprobs)
        for place, index in enumerate(answers)
    ]


def _choice(texts: Sequence[Text], reason: str, number: int, *, logprobs: bool) -> CompletionChoice:
    told = CompletionLogprobs.of(texts)[0] if logprobs else None
    return CompletionChoice(number, "".join(event.text for event in texts), told, reason)


def _texts(events: Sequence[Message], index: int) -> list[Text]:
    return [event for event in events if isinstance(event, Text) and event.index == index]


def _reason(events: Sequence[Message], index: int) -> str:
    reasons = [event.reason for event in events if isinstance(event, Finish) and event.index == index]
    return reasons[0] if reasons else "stop"


def ranked(events: Sequence[Message], count: int, *, echo: bool) -> list[int]:
    """Return the indices of ``count`` answers, the one with the highest log-probability per token first.

    The tokens of a prompt that is repeated do not count; neither does an answer without any.
    """
    prompt = sum(event.prompt_tokens for event in events if isinstance(event, Usage)) if echo else 0

    def mean(index: int) -> float:
        told = [token.logprob or 0.0 for event in _texts(events, index) for token in event.logprobs][prompt:]
        return sum(told) / len(told) if told else -math.inf

    return sorted(range(count), key=mean, reverse=True)
