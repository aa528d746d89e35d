"""Server-sent events as a client reads them: the data of each, and the comments between them."""

from collections.abc import Callable, Iterable, Iterator


def read_events(pieces: Iterable[bytes], comment: Callable[[str], None]) -> Iterator[str]:
    """Yield the data of each event as it is complete; ``comment`` is told each comment line.

    Only line feeds end lines here: a JSON string may hold other characters that Python counts as line breaks.
    An event that is cut off is left out.
    """
    data: list[str] = []
    for line in _lines(pieces):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield "\n".join(data)
            data = []
        elif not name:
            comment(value)
        elif name == "data":
            data.append(value)


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield complete lines. A piece without an end of line is kept in a list, for a picture has many of them."""
    waiting: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        waiting.append(first)
        for start in others:
            yield b"".join(waiting).decode("utf-8", "replace").removesuffix("\r")
            waiting = [start]
