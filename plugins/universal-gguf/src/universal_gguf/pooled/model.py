"""The model behind the backend ``gguf-embeddings``: texts in, vectors or scores out."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy
from numpy.typing import NDArray

from universal_core import (
    DetokenizeRequest,
    DetokenizeResult,
    EmbedRequest,
    EmbedResult,
    ModelInfo,
    Progress,
    RerankRequest,
    RerankResult,
    TaskNotSupported,
    TokenizeRequest,
    TokenizeResult,
    UniversalError,
    Usage,
    batched,
)
from universal_gguf.architectures import ENCODERS
from universal_gguf.context import context_for
from universal_gguf.generation.model import files_of
from universal_gguf.header import Header
from universal_gguf.library import Weights, offloaded_layers
from universal_gguf.options import PooledOptions
from universal_gguf.pooled.inputs import Inputs
from universal_gguf.pooled.pairs import Pairs
from universal_gguf.pooled.pooling import Mode, pooling_of
from universal_gguf.pooled.runner import Row, Runner
from universal_gguf.quantization import Choice, path_of

log = logging.getLogger(__name__)

# What requests that are answered together may have in tokens: several steps, so that few of them stay half empty.
_WAITING_TOKENS = 4096

Vectors = NDArray[numpy.float32]
Request = TypeVar("Request")
Result = TypeVar("Result")


def tokens_to_embed(request: EmbedRequest) -> int:
    """Return about how many tokens a request has, at four characters each, without tokenizing it."""
    return sum(2 + (len(item) // 4 if isinstance(item, str) else len(item)) for item in request.input)


def tokens_to_rank(request: RerankRequest) -> int:
    """Return about how many tokens a request has, the query once for each document, at four characters each."""
    return sum(3 + (len(request.query) + len(document)) // 4 for document in request.documents)


class PooledModel:
    """Embeds texts and token ids, or scores documents for a query, with a GGUF model that pools."""

    def __init__(
        self, info: ModelInfo, options: PooledOptions, report: Callable[[Progress], None] = lambda progress: None
    ) -> None:
        """Load the files that the reference means; raises LoadFailed."""
        choice, header = files_of(info)
        self._pooling = pooling_of(header, options.pooling)
        limit = _limit(info, header, choice, options)
        layers = offloaded_layers(options, header, choice.size, 0)
        files = [str(path_of(info, name)) for name in choice.files]
        self._weights = Weights(files, options, layers, report)
        self._runner = Runner(self._weights, options, self._pooling, limit)
        self._vocabulary = self._weights.vocabulary
        self._inputs = Inputs(self._vocabulary, limit=limit, width=self._runner.width)
        self._pairs = Pairs(self._vocabulary, header.text("tokenizer.chat_template.rerank") or None, limit=limit)

    @batched(cost=tokens_to_embed, budget=_WAITING_TOKENS)
    def embed(self, requests: list[EmbedRequest]) -> list[EmbedResult | UniversalError]:
        """Answer all requests together; one that asks for what cannot be gets its BadRequest as its result."""
        self._check_mode("embed", ("mean", "cls", "last"))
        return self._answer_all(requests, self._inputs.read, _embedded)

    @batched(cost=tokens_to_rank, budget=_WAITING_TOKENS)
    def rerank(self, requests: list[RerankRequest]) -> list[RerankResult | UniversalError]:
        """Score the documents of all requests together, from 0 to 1; a bad request gets its error as its result."""
        self._check_mode("rerank", ("rank",))
        return self._answer_all(requests, self._pairs.read, self._ranked)

    def tokenize(self, request: TokenizeRequest) -> TokenizeResult:
        """Return the tokens of a text; all of them, also where there are more than the model reads."""
        tokens = self._vocabulary.encode(request.text or "", special=request.add_special)
        return self._vocabulary.tokenized(tokens, pieces=request.pieces)

    def detokenize(self, request: DetokenizeRequest) -> DetokenizeResult:
        """Return the text of tokens, special ones included."""
        return self._vocabulary.detokenized(request.tokens)

    def close(self) -> None:
        """Free the context, then the weights."""
        self._runner.close()
        self._weights.close()

    def _check_mode(self, task: str, modes: Sequence[Mode]) -> None:
        if self._pooling.mode not in modes:
            wanted = " or ".join(modes)
            raise TaskNotSupported(
                f"This model pools by {self._pooling.mode}; {task} needs one that pools by {wanted}."
            )

    def _answer_all(
        self,
        requests: Sequence[Request],
        read: Callable[[Request], list[Row]],
        answer: Callable[[Request, Sequence[Row], Vectors], Result],
    ) -> list[Result | UniversalError]:
        """Read each request, run the rows of all sound ones together, and answer each with its own vectors."""
        found = [_attempt(read, request) for request in requests]
        vectors = self._runner.run([row for rows in found if isinstance(rows, list) for row in rows])
        answers: list[Result | UniversalError] = []
        for request, rows in zip(requests, found, strict=True):
            if isinstance(rows, UniversalError):
                answers.append(rows)
                continue
            answers.append(answer(request, rows, vectors[: len(rows)]))
            vectors = vectors[len(rows) :]
        return answers

    def _ranked(self, request: RerankRequest, rows: Sequence[Row], vectors: Vectors) -> RerankResult:
        scores: list[float] = vectors[:, 0].tolist()
        if not self._pooling.is_probability:
            scores = [_logistic(score) for score in scores]
        return RerankResult(scores=tuple(scores), usage=_usage(rows))


def _embedded(request: EmbedRequest, rows: Sequence[Row], vectors: Vectors) -> EmbedResult:
    """Cut and normalize ``[rows, width]`` as the request asks for it."""
    vectors = vectors[:, : request.dimensions]
    if request.normalize:
        lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = (vectors / numpy.where(lengths > 0, lengths, 1)).astype(numpy.float32)
    return EmbedResult(vectors=vectors.astype("<f4").tobytes(), dimensions=vectors.shape[1], usage=_usage(rows))


def _logistic(score: float) -> float:
    """Return a score from 0 to 1: 1 / (1 + exp(-score)), in a form that cannot overflow."""
    return 0.5 * (1 + math.tanh(0.5 * score))


def _usage(rows: Sequence[Row]) -> Usage:
    return Usage(prompt_tokens=sum(map(len, rows)))


def _attempt(read: Callable[[Request], list[Row]], request: Request) -> list[Row] | UniversalError:
    try:
        return read(request)
    except UniversalError as error:
        return error


def _limit(info: ModelInfo, header: Header, choice: Choice, options: PooledOptions) -> int:
    """Return the most tokens that a text may have: never more than the model was trained with, since many have no
    positions beyond, and llama.cpp ends the process where they are asked for.
    """
    trained = header.context_length
    if header.architecture in ENCODERS:  # no cache of keys and values that could be too large
        wanted = options.n_ctx or trained or options.n_batch
    else:
        context = context_for(info, header, asked=options.n_ctx, file_size=choice.size, device=options.device)
        if context.warning:
            log.warning("%s: %s", info.id, context.warning)
        wanted = context.size
    return min(wanted, trained or wanted)
