"""Conversations that are too long: which of their turns are left out."""

from collections.abc import Callable, Sequence

import msgspec

from universal_core.errors import BadRequest, ContextLengthExceeded
from universal_core.messages import ChatMessage, ChatRequest, Event, Truncated

Read = Callable[[ChatRequest], list[int]]

_ROOM = 1024
_SHARE = 4


class ChatReader:
    """Reads the conversation of a request into tokens, without its oldest turns where the request allows that."""

    def __init__(self, read: Read, request: ChatRequest) -> None:
        self._read = read
        self._request = request
        self._dropped = 0

    def read(self, context: int) -> list[int]:
        """Return the tokens; raises what reading a conversation raises."""
        if self._request.truncation is None:
            return self._read(self._request)
        tokens, self._dropped = read_within(self._request, self._read, context)
        return tokens

    def news(self) -> list[Event]:
        """Return what is to be told before the answer."""
        return [Truncated(messages=self._dropped)] if self._dropped else []


def read_within(request: ChatRequest, read: Read, context: int) -> tuple[list[int], int]:
    """Return the tokens of a conversation that leaves room for its answer, and how many messages were left out.

    As few as possible are left out, as ``cuts_of`` says. Room is ``max_tokens``, or without it 1024 tokens, but no
    more than a quarter of the context. Where even the least of the conversation leaves none, it is returned as it is.
    """
    room = (not request.max_tokens_is_ceiling and request.max_tokens) or min(_ROOM, context // _SHARE)
    cuts = cuts_of(request.messages)

    def fitting(place: int) -> list[int] | None:
        tokens = read(msgspec.structs.replace(request, messages=cuts[place], max_tokens=room))
        return tokens if len(tokens) + room <= context else None

    try:
        if (whole := fitting(0)) is not None:
            return whole, 0
    except ContextLengthExceeded:
        pass
    place, found = _first(fitting, len(cuts) - 1)
    least = msgspec.structs.replace(request, messages=cuts[place])
    return found or read(least), len(request.messages) - len(cuts[place])


def _first(fitting: Callable[[int], list[int] | None], last: int) -> tuple[int, list[int] | None]:
    """Return the first place from 1 on that fits, with its tokens, or else the last place; by halving."""
    low, high, found = min(1, last), last, None
    while low < high:
        middle = (low + high) // 2
        try:
            tokens = fitting(middle)
        except BadRequest:  # It is too long, or no conversation that the template takes.
            tokens = None
        if tokens is None:
            low = middle + 1
        else:
            high, found = middle, tokens
    return high, found


def cuts_of(messages: Sequence[ChatMessage]) -> list[tuple[ChatMessage, ...]]:
    """Return a conversation as a whole, then with ever more of its oldest exchanges left out.

    An exchange is a turn of the user with everything up to the next one: calls and their results stay together. The
    system turns at the beginning stay, and so do the user's last turn and all that follows it.
    """
    head = next((place for place, one in enumerate(messages) if one.role not in ("system", "developer")), len(messages))
    users = [place for place, one in enumerate(messages) if one.role == "user" and place > head]
    return [(*messages[:head], *messages[start:]) for start in (head, *users)]
