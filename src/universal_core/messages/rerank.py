"""The request and the result of the ``rerank`` task."""

from typing import ClassVar

from universal_core.messages.message import Request, Result, Usage


class RerankRequest(Request, frozen=True, kw_only=True):
    """Say how well each document answers a query; all of them are scored, whatever the client wants to see."""

    basic: ClassVar[frozenset[str]] = frozenset({"query", "documents"})

    query: str
    documents: tuple[str, ...]


class RerankResult(Result, frozen=True, kw_only=True):
    """A score for each document, in the order of the documents; higher is more relevant."""

    scores: tuple[float, ...]
    usage: Usage
