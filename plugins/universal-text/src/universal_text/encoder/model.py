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
from universal_text.batches import WAITING_TOKENS, Read, answer_together, read_together
from universal_text.encoder.dense import build_steps
from universal_text.encoder.engines import open_network
from universal_text.encoder.layout import Layout, read_layout
from universal_text.encoder.network import Head, Row
from universal_text.encoder.openvino import check_openvino, open_openvino
from universal_text.encoder.options import EncoderOptions
from universal_text.encoder.reader import Reader
from universal_text.encoder.tokens import Tokens
from universal_text.encoder.transformer import load_transformer
from universal_text.limits import longest_of, vocabulary_of
from universal_text.tokenizers import ReadingModel, load_tokenizer

Reading = Read[EmbedRequest, Row]


def tokens_of(read: Reading) -> int:
    """Return how many tokens are read for a request."""
    return sum(len(row.ids) for row in read.rows)


class EncoderModel(ReadingModel):
    """Embeds texts and token ids with a transformer, a pooling and the layers behind it; and shows its tokens."""

    def __init__(self, info: ModelInfo, options: EncoderOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        if info.path is None:
            raise LoadFailed(f"{info.id} is not on this machine.")
        use_threads(options.threads)
        layout = read_layout(info.path)
        device = pick_device(options.device)
        dtype = _pick_dtype(options, device)
        openvino = options.engine == "openvino"
        if openvino:
            check_openvino(device, dtype)
        transformer = load_transformer(
            layout.transformer,
            device=device,
            # OpenVINO narrows the weights itself.
            dtype=torch.float32 if openvino else dtype,
            trust_remote_code=options.trust_remote_code,
        )
        tokens = _tokens(layout, options, transformer)
        head = Head((options.pooling,) if options.pooling else layout.pooling, build_steps(layout).to(device))
        self._network = (open_openvino if openvino else open_network)(
            transformer,
            head,
            dtype=dtype,
            filler=tokens.padding,
            budget=options.batch_tokens,
            threads=options.threads,
        )
        size = self._network.vectors([Row([0])]).shape[1]
        self._dimensions = layout.dimensions or size
        known = vocabulary_of(transformer)
        self._reader = Reader(tokens, layout, vocabulary=known, size=size)
        super().__init__(tokens.tokenizer, known, device)

    def read(self, requests: list[EmbedRequest]) -> list[Reading | UniversalError]:
        """Return the tokens of each request; one that asks for what cannot be gets its BadRequest."""
        with self._vocabulary.reading:
            return read_together(requests, self._reader.read(requests))

    @batched(cost=tokens_of, budget=WAITING_TOKENS, prepare=read)
    def embed(self, read: list[Reading]) -> list[EmbedResult]:
        """Answer all requests together."""
        return answer_together(read, self._network.vectors, self._answer)

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


def _pick_dtype(options: EncoderOptions, device: torch.device) -> torch.dtype:
    """Return the dtype for the matrices; auto narrows float32 checkpoints too, unlike a model that writes text."""
    return pick_dtype(options.dtype, device, torch.bfloat16 if has_native_bfloat16(device) else torch.float32)


def _tokens(layout: Layout, options: EncoderOptions, model: PreTrainedModel) -> Tokens:
    """Return the tokenizer with its limit."""
    tokenizer = load_tokenizer(
        layout.transformer, lower_case=layout.lower_case, trust_remote_code=options.trust_remote_code
    )
    return Tokens(tokenizer, longest_of(model, tokenizer, asked=options.max_length, told=layout.max_length))
