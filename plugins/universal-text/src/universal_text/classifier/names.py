"""The classifier of tokens: names and other things in texts, with their places."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from transformers import AutoModelForTokenClassification

from universal_core import (
    ClassifyTokensRequest,
    ClassifyTokensResult,
    LoadFailed,
    ModelInfo,
    Span,
    UniversalError,
    Usage,
    batched,
)
from universal_text.batches import WAITING_TOKENS, Read, answer_together, read_together
from universal_text.classifier.network import Network, Row
from universal_text.classifier.options import ClassifierOptions
from universal_text.classifier.spans import Token, spans_of
from universal_text.tokenizers import ReadingModel


class PlacedRow(NamedTuple):
    """A text's tokens, and where each of them stands in it; None for one that is put around texts."""

    row: Row
    places: list[tuple[int, int] | None]


Reading = Read[ClassifyTokensRequest, PlacedRow]


def tokens_of(read: Reading) -> int:
    """Return how many tokens are read for a request."""
    return sum(len(placed.row.ids) for placed in read.rows)


class TokenClassifier(ReadingModel):
    """Finds names and other things in texts; and shows its tokens."""

    def __init__(self, info: ModelInfo, options: ClassifierOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        self._network = Network(info, options, AutoModelForTokenClassification)
        if not self._network.tokenizer.is_fast:
            raise LoadFailed(
                f"the tokenizer of {info.id} does not tell where its tokens stand in a text; "
                "one with a tokenizer.json does"
            )
        super().__init__(self._network.tokenizer, self._network.vocabulary, self._network.device)

    def read(self, requests: list[ClassifyTokensRequest]) -> list[Reading | UniversalError]:
        """Return the tokens of each request."""
        with self._vocabulary.reading:
            placed = iter(self._placed([text for request in requests for text in request.input]))
        return read_together(requests, [[next(placed) for _ in request.input] for request in requests])

    @batched(cost=tokens_of, budget=WAITING_TOKENS, prepare=read)
    def classify_tokens(self, read: list[Reading]) -> list[ClassifyTokensResult]:
        """Answer all requests together."""
        return answer_together(read, self._logits, self._answer)

    def _logits(self, placed: Sequence[PlacedRow]) -> list[Tensor | None]:
        """Return what the model says of each text's tokens, None for a text that has none."""
        found = iter(self._network.logits([one.row for one in placed if one.row.ids]))
        return [next(found) if one.row.ids else None for one in placed]

    def _answer(
        self, request: ClassifyTokensRequest, placed: Sequence[PlacedRow], logits: Sequence[Tensor | None]
    ) -> ClassifyTokensResult:
        spans = tuple(self._spans(*pair) for pair in zip(placed, logits, strict=True))
        usage = Usage(prompt_tokens=sum(len(one.row.ids) for one in placed))
        return ClassifyTokensResult(spans=spans, usage=usage)

    def _spans(self, placed: PlacedRow, logits: Tensor | None) -> tuple[Span, ...]:
        return () if logits is None else spans_of(self._tokens(placed, logits))

    def _tokens(self, placed: PlacedRow, logits: Tensor) -> Iterator[Token]:
        """Yield the text's own tokens, each with its likeliest label."""
        scores, labels = logits[: len(placed.places)].softmax(-1).max(-1)
        for place, score, label in zip(placed.places, scores.tolist(), labels.tolist(), strict=True):
            if place is not None:
                yield Token(self._network.labels[label], score, *place)

    def _placed(self, texts: Sequence[str]) -> list[PlacedRow]:
        if not texts:
            return []
        network = self._network
        limits: dict[str, Any] = {"truncation": True, "max_length": network.longest} if network.longest else {}
        encoded = network.tokenizer(
            list(texts),
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=network.has_types,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            **limits,
        )
        types = encoded["token_type_ids"] if network.has_types else [None] * len(texts)
        columns = zip(
            encoded["input_ids"], types, encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True
        )
        return [PlacedRow(Row(ids, kinds), _places(*where)) for ids, kinds, *where in columns]


def _places(offsets: Sequence[tuple[int, int]], special: Sequence[int]) -> list[tuple[int, int] | None]:
    return [None if hidden else offset for offset, hidden in zip(offsets, special, strict=True)]
