"""The classifier of texts: labels for texts, and how well documents answer a query."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from universal_core import (
    ClassifyRequest,
    ClassifyResult,
    ModelInfo,
    RerankRequest,
    RerankResult,
    UniversalError,
    Usage,
    batched,
)
from universal_text.batches import WAITING_TOKENS, Read, answer_together, read_together
from universal_text.classifier.network import Network, Row
from universal_text.classifier.options import ClassifierOptions
from universal_text.classifier.reader import Reader
from universal_text.classifier.scores import fit_of, prompt_of, ranked, relevance_of, scores_of
from universal_text.tokenizers import ReadingModel

Ranking = Read[RerankRequest, Row]
Labelling = Read[ClassifyRequest, Row]


def tokens_of(read: Ranking | Labelling) -> int:
    """Return how many tokens are read for a request."""
    return sum(len(row.ids) for row in read.rows)


class TextClassifier(ReadingModel):
    """Labels texts and pairs of texts, and ranks documents where it has a single label; and shows its tokens."""

    def __init__(self, info: ModelInfo, options: ClassifierOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        self._network = Network(info, options, AutoModelForSequenceClassification)
        self._problem: str | None = self._network.config.problem_type
        self._relevance = relevance_of(info)
        self._reader = Reader(self._network, prompt_of(info))
        super().__init__(self._network.tokenizer, self._network.vocabulary, self._network.device)

    def read_ranking(self, requests: list[RerankRequest]) -> list[Ranking | UniversalError]:
        """Return the tokens of each request, or what is wrong about it."""
        with self._vocabulary.reading:
            return read_together(requests, [self._reader.ranking(request) for request in requests])

    def read_texts(self, requests: list[ClassifyRequest]) -> list[Labelling | UniversalError]:
        """Return the tokens of each request; one that asks for what cannot be gets its BadRequest."""
        with self._vocabulary.reading:
            return read_together(requests, [self._reader.texts(request) for request in requests])

    @batched(cost=tokens_of, budget=WAITING_TOKENS, prepare=read_ranking)
    def rerank(self, read: list[Ranking]) -> list[RerankResult]:
        """Answer all requests together."""
        return answer_together(read, self._network.logits, self._ranking)

    @batched(cost=tokens_of, budget=WAITING_TOKENS, prepare=read_texts)
    def classify(self, read: list[Labelling]) -> list[ClassifyResult]:
        """Answer all requests together."""
        return answer_together(read, self._network.logits, self._labels)

    def _ranking(self, request: RerankRequest, rows: Sequence[Row], logits: Sequence[Tensor]) -> RerankResult:
        return ranking_of(rows, logits, self._relevance)

    def _labels(self, request: ClassifyRequest, rows: Sequence[Row], logits: Sequence[Tensor]) -> ClassifyResult:
        own = self._network.labels
        if request.labels:
            of_texts = torch.stack(list(logits)).view(-1, len(request.labels), len(own))
            scores = [fit_of(of_text, own, several=request.multi_label) for of_text in of_texts]
        else:
            scores = list(scores_of(torch.stack(list(logits)), self._problem))
        told = tuple(ranked(request.labels or own, of_text, request.top_k) for of_text in scores)
        return ClassifyResult(predictions=told, usage=usage_of(rows))


@torch.inference_mode()
def ranking_of(rows: Sequence[Row], logits: Sequence[Tensor], relevance: nn.Module) -> RerankResult:
    """Return the relevance of each row from its only number."""
    scores: Tensor = relevance(torch.cat(list(logits)))
    return RerankResult(scores=tuple(scores.tolist()), usage=usage_of(rows))


def usage_of(rows: Sequence[Row]) -> Usage:
    """Return the tokens that were read, without padding."""
    return Usage(prompt_tokens=sum(len(row.ids) for row in rows))
