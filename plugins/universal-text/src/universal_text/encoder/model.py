"""The embedding model: requests in, vectors out."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from universal_core import (
    DetokenizeRequest,
    DetokenizeResult,
    EmbedRequest,
    EmbedResult,
    LoadFailed,
    ModelInfo,
    TokenizeRequest,
    TokenizeResult,
    UniversalError,
    Usage,
    batched,
)
from universal_core.pytorch import has_native_bfloat16, pick_device, pick_dtype, use_threads
from universal_text.causal.vocabulary import TokenizerVocabulary
from universal_text.encoder.batches import cut_batches
from universal_text.encoder.dense import build_steps
from universal_text.encoder.layout import Layout, read_layout
from universal_text.encoder.options import EncoderOptions
from universal_text.encoder.pooling import pool
from universal_text.encoder.reader import Reader, Row
from universal_text.encoder.tokens import Tokens, limit_of, load_tokenizer
from universal_text.encoder.transformer import load_transformer, mixed, positions_of, vocabulary_of

# What requests that are answered together may have in tokens: a few batches, so that sorting finds texts alike.
_WAITING_TOKENS = 16384
# What a batch may have in padding: about what it costs to start another one. On a GPU that is thousands of tokens.
_PADDING_ON_CPU = 128


def estimate_tokens(request: EmbedRequest) -> int:
    """Return about how many tokens a request has, at four characters each, without tokenizing it."""
    return sum(2 + (len(item) // 4 if isinstance(item, str) else len(item)) for item in request.input)


class EncoderModel:
    """Embeds texts and token ids with a transformer, a pooling and the layers behind it; and shows its tokens."""

    def __init__(self, info: ModelInfo, options: EncoderOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        if info.path is None:
            raise LoadFailed(f"{info.id} is not on this machine.")
        use_threads(options.threads)
        layout = read_layout(info.path)
        self._device = pick_device(options.device)
        self._dtype = _pick_dtype(options, self._device)
        self._transformer = load_transformer(
            layout.transformer,
            device=self._device,
            dtype=self._dtype,
            trust_remote_code=options.trust_remote_code,
        )
        self._tokens = _tokens(layout, options, positions_of(self._transformer))
        self._pooling = (options.pooling,) if options.pooling else layout.pooling
        self._steps = build_steps(layout).to(self._device)
        self._batch_tokens = options.batch_tokens
        self._padding = _PADDING_ON_CPU if self._device.type == "cpu" else options.batch_tokens
        size = self._vectors([Row([0])]).shape[1]
        self._dimensions = layout.dimensions or size
        known = vocabulary_of(self._transformer)
        self._reader = Reader(self._tokens, layout, vocabulary=known, size=size)
        self._vocabulary = TokenizerVocabulary(self._tokens.tokenizer, known, frozenset())

    @batched(cost=estimate_tokens, budget=_WAITING_TOKENS)
    def embed(self, requests: list[EmbedRequest]) -> list[EmbedResult | UniversalError]:
        """Answer all requests together; one that asks for what cannot be gets its BadRequest as its result."""
        read = self._reader.read(requests)
        vectors = self._vectors([row for rows in read if isinstance(rows, list) for row in rows])
        answers: list[EmbedResult | UniversalError] = []
        for request, rows in zip(requests, read, strict=True):
            if isinstance(rows, UniversalError):
                answers.append(rows)
                continue
            answers.append(self._answer(request, rows, vectors[: len(rows)]))
            vectors = vectors[len(rows) :]
        return answers

    def tokenize(self, request: TokenizeRequest) -> TokenizeResult:
        """Return the tokens of a text; all of them, also where an embedding would read only the first."""
        tokens = self._vocabulary.encode(request.text or "", special=request.add_special)
        return self._vocabulary.tokenized(tokens, pieces=request.pieces)

    def detokenize(self, request: DetokenizeRequest) -> DetokenizeResult:
        """Return the text of tokens."""
        return self._vocabulary.detokenized(request.tokens)

    def _answer(self, request: EmbedRequest, rows: Sequence[Row], vectors: Tensor) -> EmbedResult:
        """Cut and normalize (rows, size) as the request asks for it."""
        vectors = vectors[:, : request.dimensions or self._dimensions]
        if request.normalize:
            vectors = normalize(vectors, dim=-1)
        return EmbedResult(
            vectors=vectors.numpy().astype("<f4").tobytes(),
            dimensions=vectors.shape[1],
            usage=Usage(prompt_tokens=sum(len(row.ids) for row in rows)),
        )

    @torch.inference_mode()
    def _vectors(self, rows: Sequence[Row]) -> Tensor:
        """Return (rows, size) in float32 on the CPU, in the order of the rows, before the last normalizing."""
        found: dict[int, Tensor] = {}
        for places in cut_batches([len(row.ids) for row in rows], self._batch_tokens, self._padding):
            found.update(zip(places, self._run([rows[place] for place in places]).cpu(), strict=True))
        return torch.stack([found[place] for place in range(len(rows))]) if rows else torch.empty(0, 0)

    def _run(self, rows: Sequence[Row]) -> Tensor:
        """Run one batch: (rows, size). Padding is on the right, whatever side the tokenizer was saved with:
        causal attention never looks there, and positions need no correction."""
        ids = torch.full((len(rows), max(len(row.ids) for row in rows)), self._tokens.padding)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row.ids)] = torch.tensor(row.ids)
            mask[place, : len(row.ids)] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        with mixed(self._transformer, self._dtype):
            hidden: Tensor = self._transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        skipped = torch.tensor([row.skipped for row in rows], device=self._device)
        vectors: Tensor = self._steps(pool(hidden, mask.bool(), self._pooling, skipped))
        return vectors


def _pick_dtype(options: EncoderOptions, device: torch.device) -> torch.dtype:
    """Return the dtype for the matrices; auto narrows float32 checkpoints too, unlike a model that writes text."""
    return pick_dtype(options.dtype, device, torch.bfloat16 if has_native_bfloat16(device) else torch.float32)


def _tokens(layout: Layout, options: EncoderOptions, positions: int | None) -> Tokens:
    """Return the tokenizer with its limit: what is configured, else what the layout says, else what fits."""
    if options.max_length and positions and options.max_length > positions:
        raise LoadFailed(f"max_length is {options.max_length}, but the model has {positions} positions.")
    tokenizer = load_tokenizer(
        layout.transformer, lower_case=layout.lower_case, trust_remote_code=options.trust_remote_code
    )
    wanted = options.max_length or layout.max_length or limit_of(tokenizer)
    limits = [limit for limit in (wanted, positions) if limit]
    return Tokens(tokenizer, min(limits, default=None))
