"""What a model that reads takes: an encoder, or a classifier of texts or of their words."""

from collections.abc import Callable
from functools import partial
from typing import Any

from universal_core import MemoryEstimate, ModelInfo, has_bfloat16
from universal_text.classifier.options import ClassifierOptions
from universal_text.encoder.options import EncoderOptions
from universal_text.estimates.checkpoint import HALF, Weight, is_matrix, loaded_bytes, number_size, saved_format
from universal_text.estimates.process import MEGABYTE, cheaper, overhead
from universal_text.files import number_in

_LONGEST_INPUT = 8192
# What is alive of a token at once: a layer's input, query, key, value, context and output, and the feed-forward values
# before and after their activation. Measured peaks at 4,096 tokens are about 1.3 times that, with MiniLM and BERT-base
# in float32; the rest is what the allocator and kernels keep. On accelerators nothing of this was measured.
_WIDTHS, _INNER, _PEAK = 6, 2, 1.3
_SCRATCH = 25 * MEGABYTE
# Bytes a number of them, fitted to bge-base and to a classifier of BERT-base in bfloat16: what is added up stays in
# float32 where only matrices are narrowed, and norms and shares of attention are computed in it everywhere.
_MIXED, _HALF = 3.0, 2.5
# OpenVINO is handed all weights in float32 and makes its own of them, and brings a compiler: measured with MiniLM.
_OPENVINO = 45 * MEGABYTE


def estimate_reading(
    info: ModelInfo, names: list[str], options: EncoderOptions | ClassifierOptions, device: str
) -> MemoryEstimate:
    """Return what a model with weights in files of these names takes, and what would take less."""
    return cheaper(partial(_estimate, info, names, device), options, _changes(info, options, device))


def _estimate(
    info: ModelInfo, names: list[str], device: str, options: EncoderOptions | ClassifierOptions
) -> MemoryEstimate:
    process, number = overhead(info, device), _number(info, options, device)
    openvino = isinstance(options, EncoderOptions) and options.engine == "openvino"
    mixed = isinstance(options, EncoderOptions) and not openvino and _is_float32(info)
    weights = 2 * loaded_bytes(info, names, 4) if openvino else loaded_bytes(info, names, number, _sizes(number, mixed))
    alive = _MIXED if mixed and number == 2 else _HALF if number == 2 else number
    return MemoryEstimate(
        weights=weights,
        working=_step(info.config, options, alive) + process.device,
        host=process.host + (_OPENVINO if openvino else 0),
    )


def _number(info: ModelInfo, options: EncoderOptions | ClassifierOptions, device: str) -> int:
    if isinstance(options, EncoderOptions) and options.dtype == "auto":
        return 2 if device != "cpu" or has_bfloat16() else 4
    return number_size(options.dtype, saved_format(info.config), device)


def _is_float32(info: ModelInfo) -> bool:
    return saved_format(info.config) not in HALF


def _sizes(number: int, mixed: bool) -> Callable[[Weight], float]:
    """Return the size of each weight's numbers: of a float32 encoder only the matrices are narrowed."""
    return lambda weight: 4 if mixed and not is_matrix(weight) else number


def _step(config: dict[str, Any], options: EncoderOptions | ClassifierOptions, number: float) -> int:
    """Return what a batch takes: as many tokens as go through the model at once, or a single longer input."""
    hidden = number_in(config, "hidden_size", "dim", "d_model", "n_embd") or 1024
    inner = number_in(config, "intermediate_size", "hidden_dim", "d_ff", "n_inner") or 4 * hidden
    known = number_in(config, "max_position_embeddings", "n_positions") or options.batch_tokens
    longest = min(options.max_length or known, known, _LONGEST_INPUT)
    tokens = max(options.batch_tokens, longest)
    return _SCRATCH + int(_PEAK * tokens * (_WIDTHS * hidden + _INNER * inner) * number)


def _changes(info: ModelInfo, options: EncoderOptions | ClassifierOptions, device: str) -> dict[str, dict[str, object]]:
    """Return what could be configured to take less, by the line that does it."""
    found: dict[str, dict[str, object]] = {}
    if _number(info, options, device) == 4:
        found['dtype = "bfloat16"'] = {"dtype": "bfloat16"}
    if options.batch_tokens > 512:
        found["batch_tokens = 512"] = {"batch_tokens": 512}
    return found
