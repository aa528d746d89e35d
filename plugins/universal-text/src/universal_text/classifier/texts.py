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
from universal_text.batches import WAITING_TOKENS, answer_together, estimate
from universal_text.classifier.network import Network, Row
from universal_text.classifier.options import ClassifierOptions
from universal_text.classifier.reader import Reader
from universal_text.classifier.scores import fit_of, prompt_of, ranked, relevance_of, scores_of
from universal_text.tokenizers import ReadingModel


def cost_of_ranking(request: RerankRequest) -> int:
    """Return about how many tokens are read for a request: the query with every document."""
    return estimate(request.documents) + len(request.documents) * estimate([request.query])


def cost_of_labels(request: ClassifyRequest) -> int:
    """Return about how many tokens are read for a request: each input, and with each label of the request."""
    texts = [item if isinstance(item, str) else "".join(item) for item in request.input]
    return estimate(texts) * max(1, len(request.labels)) + len(texts) * estimate(request.labels)


class TextClassifier(ReadingModel):
    """Labels texts and pairs of texts, and ranks documents where it has a single label; and shows its tokens."""

    def __init__(self, info: ModelInfo, options: ClassifierOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        self._network = Network(info, options, AutoModelForSequenceClassification)
        self._problem: str | None = self._network.config.problem_type
        self._relevance = relevance_of(info)
        self._reader = Reader(self._network, prompt_of(info))
        super().__init__(self._network.tokenizer, self._network.vocabulary, self._network.device)

    @batched(cost=cost_of_ranking, budget=WAITING_TOKENS)
    def rerank(self, requests: list[RerankRequest]) -> list[RerankResult | UniversalError]:
        """Answer all requests together."""
        read = [self._reader.ranking(request) for request in requests]
        return answer_together(requests, read, self._network.logits, self._ranking)

    @batched(cost=cost_of_labels, budget=WAITING_TOKENS)
    def classify(self, requests: list[ClassifyRequest]) -> list[ClassifyResult | UniversalError]:
        """Answer all requests together; one that asks for what cannot be gets its BadRequest as its result."""
        read = [self._reader.texts(request) for request in requests]
        return answer_together(requests, read, self._network.logits, self._labels)

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
