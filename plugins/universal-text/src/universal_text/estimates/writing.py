"""What a model that writes takes: weights, a cache of keys and values for every slot, and a step of all of them."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from universal_core import AdapterPlace, LoadFailed, MemoryEstimate, ModelFile, ModelInfo, ModelRef
from universal_text.documents import read_document
from universal_text.estimates.checkpoint import Weight, is_matrix, loaded_bytes, number_size, saved_format
from universal_text.estimates.process import MEGABYTE, cheaper, overhead
from universal_text.files import number_in, weight_files
from universal_text.key_values import TOKENS_PER_SLOT, bytes_per_token, context_of, text_config, tokens_set_aside
from universal_text.options import CausalOptions
from universal_text.quantization import CHOSEN, saved_method, unpacked_bytes
from universal_text.together import reason_alone

UNBOUNDED_CONTEXT = 32768
"""Tokens that a model without positions reads: their states do not grow."""

CHUNK_ON_CPU, CHUNK = 256, 1024
"""Prompt tokens that join a step, where the options say nothing."""

# Bytes that a weight of a linear layer takes once it is quantized, its scales included.
_CHOSEN_SIZES = {
    "torchao-int8": 1.02,
    "torchao-int4": 0.55,
    "bitsandbytes-int8": 1.02,
    "bitsandbytes-nf4": 0.57,
}
# What is alive of a token at once, in widths of a layer: its input, its norm, queries, keys, values and what attention
# finds; and before, beside and after the activation of the feed-forward layer.
_WIDTHS, _INNER = 8, 3
# Logits of a row in float32 while its token is drawn: sorted with their places, summed up, filtered.
_COPIES_OF_LOGITS = 6
# What kernels and the allocator of a processor keep for themselves, at work: with 24 MB the estimates of Qwen3-0.6B
# with 2 slots were 6 MB above what was measured, in bfloat16 and in float32.
_SCRATCH = 60 * MEGABYTE
# How often the largest values of a scan of states are alive where PyTorch computes it: counted are 4 of a state for
# each token and head and 3 of a piece of the text, and with a Bamba of 0.3B it took 1.5 times that.
_SCANNED = 5.5
_PIECE = 256


class Beside(NamedTuple):
    """What a model has beside its language model: whether that reads its rows alone therefore, and more activations."""

    alone: bool = False
    working: int = 0


def estimate_causal(info: ModelInfo, options: CausalOptions, device: str) -> MemoryEstimate:
    """Return what a language model takes, and what would take less."""
    return estimate_writing(info, options, device, Beside())


def estimate_writing(info: ModelInfo, options: CausalOptions, device: str, beside: Beside) -> MemoryEstimate:
    """Return what a model takes whose language model is written with, and what would take less."""
    alone = bool(beside.alone or options.attention or reason_alone(info.config))
    return cheaper(partial(_estimate, info, device, beside, alone), options, _changes(info, options, device, alone))


def _estimate(info: ModelInfo, device: str, beside: Beside, alone: bool, options: CausalOptions) -> MemoryEstimate:
    config, number = text_config(info.config), _number(info, options, device)
    context = _context(config, options)
    process = overhead(info, device)
    draft = _draft(options, device)
    tokens = _tokens_alone(options, context) if alone else _tokens_together(options, context)
    states = options.slots * _state_bytes(config) if alone else 0
    step = _step(config, options, device, number, beside, context if alone else 0)
    # On an accelerator all of a cache is taken at once, and nobody may ever need more.
    longer = 0 if alone or options.cache_tokens or device != "cpu" else max(context - tokens, 0)
    return MemoryEstimate(
        weights=_weights(info, options, number) + _adapters(options) + draft.weights,
        cache=tokens * bytes_per_token(config, number) + states,
        working=step + draft.cache + process.device,
        host=process.host,
        spare=longer * bytes_per_token(config, number),
    )


def _number(info: ModelInfo, options: CausalOptions, device: str) -> int:
    return number_size(options.dtype, saved_format(info.config), device)


def _context(config: dict[str, Any], options: CausalOptions) -> int:
    known = context_of(config) or UNBOUNDED_CONTEXT
    return min(known, options.n_ctx or known)


def _tokens_together(options: CausalOptions, context: int) -> int:
    """Return the cells of the store that all answers share; the longest text has to fit where it was asked for."""
    aside = tokens_set_aside(options, context)
    return max(aside, context) if options.n_ctx and options.cache_tokens is None else aside


def _tokens_alone(options: CausalOptions, context: int) -> int:
    """Return the tokens of answers that have caches of their own."""
    return options.slots * min(options.n_ctx or TOKENS_PER_SLOT, context)


def _weights(info: ModelInfo, options: CausalOptions, number: int) -> int:
    names = weight_files(info)
    if saved_method(info.config) is not None:
        size = info.size_of(*names)
        unpacked = unpacked_bytes(info.config, size)
        return unpacked if unpacked == size else unpacked * number // 2
    if options.quantization is None:
        return loaded_bytes(info, names, number)
    chosen = _CHOSEN_SIZES[options.quantization]

    def size_of(weight: Weight) -> float:
        return chosen if is_matrix(weight) and not weight.name.endswith("lm_head.weight") else number

    return loaded_bytes(info, names, number, size_of)


def _adapters(options: CausalOptions) -> int:
    """Return the bytes of adapters in local folders, which are computed in float32."""
    found = 0
    for option in (options.adapters or {}).values():
        folder = Path(AdapterPlace.of(option).path).expanduser()
        info = _folder(folder, "adapter_model*.safetensors")
        found += loaded_bytes(info, [file.name for file in info.files], 4)
    return found


def _draft(options: CausalOptions, device: str) -> MemoryEstimate:
    """Return what a small model that guesses ahead takes, as far as its folder is here: one text is kept."""
    if not options.draft_model:
        return MemoryEstimate()
    info = _folder(Path(options.draft_model).expanduser(), "model*.safetensors")
    number = _number(info, options, device)
    config = text_config(info.config)
    tokens = min(options.n_ctx or TOKENS_PER_SLOT, context_of(config) or TOKENS_PER_SLOT)
    return MemoryEstimate(
        weights=loaded_bytes(info, [file.name for file in info.files], number),
        cache=tokens * bytes_per_token(config, number),
    )


def _folder(folder: Path, pattern: str) -> ModelInfo:
    """Return what is in a folder of this machine, nothing of one that is not."""
    files = tuple(ModelFile(name=file.name, size=file.stat().st_size) for file in sorted(folder.glob(pattern)))
    path = str(folder)
    try:
        documents = {"config.json": read_document(folder / "config.json")}
    except LoadFailed:  # Loading will say so.
        documents = {}
    return ModelInfo(id=path, ref=ModelRef.parse(path), source="", path=path, files=files, documents=documents)


def _state_bytes(config: dict[str, Any]) -> int:
    """Return the bytes of the recurrent state of one text, in float32; layers of both kinds count as recurrent."""
    layers = number_in(config, "num_hidden_layers", "n_layer")
    state = number_in(config, "mamba_d_state", "ssm_state_size", "state_size", "linear_key_head_dim")
    inner = number_in(config, "mamba_intermediate", "intermediate_size_mamba") or (
        number_in(config, "mamba_expand", "expand") * number_in(config, "hidden_size", "n_embd")
    )
    values = number_in(config, "linear_num_value_heads") * number_in(config, "linear_value_head_dim")
    return 4 * layers * state * (inner or values)


def _step(config: dict[str, Any], options: CausalOptions, device: str, number: int, beside: Beside, prompt: int) -> int:
    """Return what the largest step takes: a piece of a prompt with a token of every answer, and the logits of these.

    ``prompt`` is how many tokens are read at once where they cannot be read in pieces.
    """
    width = number_in(config, "hidden_size", "n_embd", "d_model")
    inner = number_in(config, "intermediate_size", "n_inner", "d_ff") or 4 * width
    chunk = options.prefill_chunk or (CHUNK_ON_CPU if device == "cpu" else CHUNK)
    tokens = options.slots + max(chunk, min(prompt, TOKENS_PER_SLOT))
    logits = options.slots * number_in(config, "vocab_size") * (number + 4 * _COPIES_OF_LOGITS)
    activations = tokens * (_WIDTHS * width + _INNER * inner) * number
    scan = _scan_bytes(config, min(prompt, TOKENS_PER_SLOT))
    return activations + scan + logits + beside.working + _SCRATCH


def _scan_bytes(config: dict[str, Any], tokens: int) -> int:
    """Return what reading so many tokens takes in a layer of Mamba's second kind, without kernels made for it.

    For each token and head there are a state and a row of its piece of the text in float32, several times. Other
    recurrent layers have none of this: what theirs take is not known.
    """
    heads = number_in(config, "mamba_n_heads", "mamba_num_heads")
    state = number_in(config, "mamba_d_state", "ssm_state_size")
    piece = number_in(config, "mamba_chunk_size", "chunk_size") or _PIECE
    padded = -(-tokens // piece) * piece
    return int(4 * _SCANNED * padded * heads * (state + piece)) if state else 0


def _changes(info: ModelInfo, options: CausalOptions, device: str, alone: bool) -> dict[str, dict[str, object]]:
    """Return what could be configured to take less, by the line that does it."""
    found: dict[str, dict[str, object]] = {}
    whole = options.quantization is None and saved_method(info.config) is None
    if whole and _number(info, options, device) == 4:
        found['dtype = "bfloat16"'] = {"dtype": "bfloat16"}
    if whole and not CHOSEN["torchao-int8"].missing and find_spec("torchao"):
        found['quantization = "torchao-int8"'] = {"quantization": "torchao-int8"}
    if options.slots > 1:
        found["slots = 1"] = {"slots": 1}
    context = _context(text_config(info.config), options)
    for tokens in (4096, 1024):
        if options.n_ctx is None or tokens < context:
            found[f"n_ctx = {tokens}"] = {"n_ctx": tokens}
    if not alone:
        found["cache_tokens = 2048"] = {"cache_tokens": 2048}
    return found
