"""What a request, an event and a result have in common."""

from functools import cache
from typing import ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything of the domain that crosses between the HTTP process and a worker."""


class Request(Message, frozen=True, kw_only=True):
    """What a client asks of a model, free of wire details.

    ``basic`` names the fields that every model of the task honours; any other field with a value of its own is
    honoured only by a Claim that lists it in ``fields``.
    """

    basic: ClassVar[frozenset[str]] = frozenset()
    tells_progress: ClassVar[bool] = False
    """Whether models tell how far such a request has come."""

    def features(self) -> dict[str, str]:
        """Return the features used beyond the basic ones, each with the name of the parameter that asks for it."""
        return {name: name for name, default in _optional(type(self)) if getattr(self, name) != default}


class Event(Message, frozen=True, kw_only=True):
    """One piece of an answer that comes as a stream."""


class Result(Message, frozen=True, kw_only=True):
    """An answer that comes as a whole."""


class Usage(Event, frozen=True, kw_only=True):
    """Tokens read and written for a request: some of the former came from a cache, some of the latter are thoughts."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens read and written together."""
        return self.prompt_tokens + self.completion_tokens


@cache
def _optional(cls: type[Request]) -> tuple[tuple[str, object], ...]:
    """Return the name and default of each field beyond the basic ones; kept, because this runs for every request."""
    fields = msgspec.structs.fields(cls)
    return tuple((field.name, _default(field)) for field in fields if field.name not in cls.basic)


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default
