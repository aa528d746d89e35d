"""What llama.cpp keeps of the tokens that it has read: keys and values by layer, and the states of recurrent layers.

The sizes are those that it sets aside when a context is made, llama-kv-cache.cpp and llama-memory-recurrent.cpp.
"""

from bisect import bisect_right

import msgspec

from universal_gguf.header import Header

CELLS = 256
"""A cache has room for a multiple of this many tokens."""

_MOST_CELLS = 2**31
_FLOAT = 4
# Of so many layers all but the last look back over a window only (llama-model.cpp), where the file does not tell.
_WINDOWED = {
    **dict.fromkeys(("gemma2", "gpt-oss"), 2),
    **dict.fromkeys(("llama4", "cohere2", "exaone4", "olmo2", "smallthinker"), 4),
    "gemma3n": 5,
    "gemma3": 6,
}
_EVERY = {"falcon-h1"}
"""Architectures whose layers have both a state and keys and values."""


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """How a cache is made: for so many sequences and tokens of a step, in which formats, and with whole windows."""

    sequences: int
    step: int
    type_k: str = "f16"
    type_v: str = "f16"
    whole: bool = True


def cache_bytes(header: Header, cells: int, store: Store) -> int:
    """Return the bytes of a cache with room for ``cells`` tokens of all sequences together."""
    whole = _padded(cells)
    window = header.number("attention.sliding_window")
    narrow = min(whole, _padded(window * store.sequences + store.step)) if window and not store.whole else whole
    layers = header.layer_cache_bytes(store.type_k, store.type_v)
    recurrent = _recurrent_layers(header, len(layers))
    total = 0.0
    for place, each in enumerate(layers):
        if header.architecture in _EVERY or place not in recurrent:
            total += each * (narrow if narrow < whole and _is_windowed(header, place) else whole)
    return int(total) + len(recurrent) * _state_bytes(header) * store.sequences


def most_cells(header: Header, count: int, store: Store) -> int:
    """Return for how many tokens a cache of at most ``count`` bytes has room; of states alone, for any number."""
    fitting = bisect_right(
        range(_MOST_CELLS // CELLS), count, key=lambda each: cache_bytes(header, each * CELLS, store)
    )
    return max(fitting - 1, 1) * CELLS


def _padded(cells: int) -> int:
    return -(-cells // CELLS) * CELLS


def _is_windowed(header: Header, layer: int) -> bool:
    told = header.numbers("attention.sliding_window_pattern")
    if len(told) > 1:
        return bool(told[layer % len(told)])
    every = told[0] if told else _WINDOWED.get(header.architecture, 0)
    return bool(every) and layer % every < every - 1


def _state_bytes(header: Header) -> int:
    """Return the bytes of the state that a recurrent layer keeps of one sequence, 0 for a model without such layers."""
    width = header.embedding_length
    if size := header.number("wkv.head_size"):
        return _FLOAT * width * (size + (header.number("token_shift_count") or 2))
    if length := header.number("shortconv.l_cache"):
        return _FLOAT * width * (length - 1)
    inner, state = header.number("ssm.inner_size"), header.number("ssm.state_size")
    kept = max(header.number("ssm.conv_kernel") - 1, 0)
    return _FLOAT * (kept * (inner + 2 * header.number("ssm.group_count") * state) + state * inner)


def _recurrent_layers(header: Header, attending: int) -> frozenset[int]:
    """Return the layers that keep a state; where the file does not tell which, all of them."""
    if not _state_bytes(header):
        return frozenset()
    count = min(header.block_count, 4096)
    heads = header.numbers("attention.head_count_kv")
    if interval := header.number("full_attention_interval"):
        return frozenset(layer for layer in range(count) if (layer + 1) % interval)
    if len(heads) > 1:
        return frozenset(layer for layer, number in enumerate(heads) if not number)
    return frozenset(range(max(count, attending)))
