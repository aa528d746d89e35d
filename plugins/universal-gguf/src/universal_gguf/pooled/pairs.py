"""How a query and a document become one row of tokens, as llama.cpp's own server puts them together."""

import re
from collections.abc import Sequence

import llama_cpp

from universal_core import RerankRequest
from universal_gguf.pooled.inputs import check_length
from universal_gguf.vocabulary import GgufVocabulary

_NOT_THERE = -1
_PLACES = re.compile(r"\{query\}|\{document\}")


class Pairs:
    """Puts queries and documents together for one model."""

    def __init__(self, vocabulary: GgufVocabulary, template: str | None, *, limit: int) -> None:
        """``template`` has the places {query} and {document}; without one, special tokens stand between the two.

        ``limit`` is the most tokens that a query and a document may have together.
        """
        self._vocabulary = vocabulary
        self._template = template
        self._limit = limit
        self._before, self._between, self._after = _separators(vocabulary)

    def read(self, request: RerankRequest) -> list[Sequence[int]]:
        """Return the token ids of the query with each document. Raises ContextLengthExceeded with the numbers."""
        rows = self._filled(request) if self._template else self._separated(request)
        for place, row in enumerate(rows):
            check_length(row, self._limit, f"The query with document {place}", param="documents")
        return rows

    def _filled(self, request: RerankRequest) -> list[Sequence[int]]:
        assert self._template is not None
        texts = (self._fill(self._template, request.query, document) for document in request.documents)
        return [self._vocabulary.encode(text, special=False) for text in texts]

    def _fill(self, template: str, query: str, document: str) -> str:
        # At once, so that a query that speaks of {document} stays what it is.
        return _PLACES.sub(lambda found: query if found[0] == "{query}" else document, template)

    def _separated(self, request: RerankRequest) -> list[Sequence[int]]:
        encode = self._vocabulary.encode
        head = [*self._before, *encode(request.query, special=False, literal=True), *self._between]
        return [[*head, *encode(text, special=False, literal=True), *self._after] for text in request.documents]


def _separators(vocabulary: GgufVocabulary) -> tuple[list[int], list[int], list[int]]:
    """Return what stands before the query, between it and the document, and after the document."""
    pointer = vocabulary.pointer
    ending, separator = llama_cpp.llama_vocab_eos(pointer), llama_cpp.llama_vocab_sep(pointer)
    ending = separator if ending == _NOT_THERE else ending
    before = [llama_cpp.llama_vocab_bos(pointer)] if llama_cpp.llama_vocab_get_add_bos(pointer) else []
    after = [ending] if llama_cpp.llama_vocab_get_add_eos(pointer) else []
    between = [*after, *([separator] if llama_cpp.llama_vocab_get_add_sep(pointer) else [])]
    return before, between, after
