"""What a model says of a field is told by the name that the client knows the field by."""

import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager

from universal_core.errors import UniversalError

Named = Callable[[str], str]
"""Returns the client's name of one of the domain's fields."""


@contextmanager
def naming(named: Named) -> Iterator[None]:
    """Let an error that names a field name it as the client did."""
    try:
        yield
    except UniversalError as error:
        if error.param is None or (name := named(error.param)) == error.param:
            raise
        message = _renamed(error.message, error.param, named)
        raise type(error)(message, param=name, retry_after=error.retry_after) from None


async def naming_pieces(named: Named, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the pieces of a stream; an error on the way names its field as the client did."""
    async with aclosing(pieces):
        with naming(named):
            async for piece in pieces:
                yield piece


def _renamed(message: str, param: str, named: Named) -> str:
    """Return a message that begins with the client's name of the field, where it begins with one."""
    begun = message.startswith(f"{param}:")
    told = named(param) + message.removeprefix(param) if begun else message
    # What is said of a prompt that is too long names this field, too.
    return re.sub(r"\bmax_tokens\b", named("max_tokens"), told)
