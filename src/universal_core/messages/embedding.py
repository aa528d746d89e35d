"""The request and the result of the ``embed`` task."""

from array import array
from collections.abc import Iterable, Sequence
from typing import ClassVar

from universal_core.messages.message import Request, Result, Usage


class EmbedRequest(Request, frozen=True, kw_only=True):
    """Turn each input, text or token ids, into a vector.

    ``dimensions`` cuts the vectors (Matryoshka) and ``prompt_name`` picks one of the model's own prefixes.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"input"})

    input: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    normalize: bool = True
    prompt_name: str | None = None


class EmbedResult(Result, frozen=True, kw_only=True):
    """Vectors in the order of the inputs: little-endian float32, ``dimensions`` values each, one after another."""

    vectors: bytes
    dimensions: int
    usage: Usage

    @classmethod
    def of(cls, rows: Sequence[Iterable[float]], prompt_tokens: int) -> "EmbedResult":
        """Build a result from plain numbers."""
        flat = array("f")
        for row in rows:
            flat.extend(row)
        return cls(
            vectors=flat.tobytes(),
            dimensions=len(flat) // len(rows) if rows else 0,
            usage=Usage(prompt_tokens=prompt_tokens),
        )
