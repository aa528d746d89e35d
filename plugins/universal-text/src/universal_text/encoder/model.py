"""The embedding model: requests in, vectors out."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from universal_core import (
    EmbedRequest,
    EmbedResult,
    LoadFailed,
    ModelInfo,
    UniversalError,
    Usage,
    batched,
)
from universal_core.pytorch import has_native_bfloat16, pick_device, pick_dtype, use_threads
from universal_text.batches import (
    WAITING_TOKENS,
    allowance_on,
    answer_together,
    cut_batches,
    estimate,
    mask_of,
    padded,
)
from universal_text.encoder.dense import build_steps
from universal_text.encoder.layout import Layout, read_layout
from universal_text.encoder.options import EncoderOptions
from universal_text.encoder.pooling import pool
from universal_text.encoder.reader import Reader, Row
from universal_text.encoder.tokens import Tokens
from universal_text.encoder.transformer import load_transformer, mixed
from universal_text.limits import longest_of, vocabulary_of
from universal_text.tokenizers import ReadingModel, load_tokenizer


def estimate_tokens(request: EmbedRequest) -> int:
    """Return about how many tokens a request has, without tokenizing it."""
    texts = [item for item in request.input if isinstance(item, str)]
    return estimate(texts) + sum(2 + len(item) for item in request.input if not isinstance(item, str))


class EncoderModel(ReadingModel):
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
        self._tokens = _tokens(layout, options, self._transformer)
        self._pooling = (options.pooling,) if options.pooling else layout.pooling
        self._steps = build_steps(layout).to(self._device)
        self._batch_tokens = options.batch_tokens
        self._padding = allowance_on(self._device, options.batch_tokens)
        size = self._vectors([Row([0])]).shape[1]
        self._dimensions = layout.dimensions or size
        known = vocabulary_of(self._transformer)
        self._reader = Reader(self._tokens, layout, vocabulary=known, size=size)
        super().__init__(self._tokens.tokenizer, known, self._device)

    @batched(cost=estimate_tokens, budget=WAITING_TOKENS)
    def embed(self, requests: list[EmbedRequest]) -> list[EmbedResult | UniversalError]:
        """Answer all requests together; one that asks for what cannot be gets its BadRequest as its result."""
        return answer_together(requests, self._reader.read(requests), self._vectors, self._answer)

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
        """Run one batch: (rows, size)."""
        ids = padded([row.ids for row in rows], self._tokens.padding).to(self._device)
        mask = mask_of([row.ids for row in rows]).to(self._device)
        with mixed(self._transformer, self._dtype):
            hidden: Tensor = self._transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        skipped = torch.tensor([row.skipped for row in rows], device=self._device)
        vectors: Tensor = self._steps(pool(hidden, mask.bool(), self._pooling, skipped))
        return vectors


def _pick_dtype(options: EncoderOptions, device: torch.device) -> torch.dtype:
    """Return the dtype for the matrices; auto narrows float32 checkpoints too, unlike a model that writes text."""
    return pick_dtype(options.dtype, device, torch.bfloat16 if has_native_bfloat16(device) else torch.float32)


def _tokens(layout: Layout, options: EncoderOptions, model: PreTrainedModel) -> Tokens:
    """Return the tokenizer with its limit."""
    tokenizer = load_tokenizer(
        layout.transformer, lower_case=layout.lower_case, trust_remote_code=options.trust_remote_code
    )
    return Tokens(tokenizer, longest_of(model, tokenizer, asked=options.max_length, told=layout.max_length))
