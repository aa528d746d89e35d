"""What a model says of a field is told by the name that the client knows the field by."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager

from universal_core.errors import BadRequest

Named = Callable[[str], str]
"""Returns the client's name of one of the domain's fields."""


@contextmanager
def naming(named: Named) -> Iterator[None]:
    """Let an error that names a field name it as the client did."""
    try:
        yield
    except BadRequest as error:
        if error.param is None or (name := named(error.param)) == error.param:
            raise
        raise type(error)(error.message.replace(f"{error.param}:", f"{name}:", 1), param=name) from None


async def naming_pieces(named: Named, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the pieces of a stream; an error on the way names its field as the client did."""
    async with aclosing(pieces):
        with naming(named):
            async for piece in pieces:
                yield piece
