"""The barest loop over a model of transformers: the floor under every engine that drives the same model.

All rows have the same length, so that there is no mask and no padding; keys and values stand in one allocation a layer,
which is written in place; an attention function of its own spares copying keys and values for grouped heads; and logits
are computed for the last token alone.
"""

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.cache_utils import Cache, CacheLayerMixin

NAME = "bench_loop"


class Layer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer, of shape [rows, heads, tokens, size], with room for the tokens to come."""

    is_sliding = False

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room, self._length = room, 0

    def lazy_initialization(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Allocate everything."""
        rows, heads, _, size = keys.shape
        self.keys = keys.new_empty(rows, heads, self._room, size)
        self.values = values.new_empty(rows, heads, self._room, size)
        self.is_initialized = True

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Append, and return views of everything."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        end = self._length + keys.shape[2]
        self.keys[:, :, self._length : end] = keys
        self.values[:, :, self._length : end] = values
        self._length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self, *_: Any) -> int:
        """Return how many tokens are there."""
        return self._length

    def get_mask_sizes(self, length: Any) -> tuple[int, int]:
        """Return what transformers makes masks by."""
        return self._length + int(length), 0

    def get_max_length(self) -> int:
        """Return how many tokens there is room for."""
        return self._room


def attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, scaling: float, **_: Any
) -> tuple[torch.Tensor, None]:
    """Attend [rows, heads, tokens, size]; the query heads that share keys become further tokens of one query."""
    rows, heads, tokens, size = query.shape
    shared = heads // key.shape[1]
    if tokens == 1:
        folded = query.view(rows, key.shape[1], shared, size)
        found = scaled_dot_product_attention(folded, key, value, scale=scaling).view(rows, heads, 1, size)
    else:
        wide = (each.repeat_interleave(shared, 1) for each in (key, value))
        found = scaled_dot_product_attention(query, *wide, is_causal=True, scale=scaling)
    return found.transpose(1, 2), None


class Loop:
    """Decodes some rows of one length together, greedily, with nothing around it."""

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        AttentionInterface.register(NAME, attend)
        self._device = torch.device(device)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=NAME)
        self._model = model.eval().to(self._device)

    @torch.inference_mode()
    def read(self, prompts: list[list[int]], room: int) -> torch.Tensor:
        """Read prompts of one length, each by itself, which is as fast as it gets; return what follows them, [rows, 1].

        There is room for ``room`` tokens a row, answers included.
        """
        caches = [Cache(layers=[Layer(room) for _ in self._layers]) for _ in prompts]
        ids = torch.tensor(prompts, device=self._device)
        following = [self._forward(ids[row : row + 1], cache, 0) for row, cache in enumerate(caches)]
        self._cache, self._length = self._joined(caches, room), ids.shape[1]
        return torch.cat(following)

    @torch.inference_mode()
    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Decode one token of each row; return those that follow."""
        following = self._forward(tokens, self._cache, self._length)
        self._length += 1
        return following

    @property
    def _layers(self) -> range:
        return range(self._model.config.num_hidden_layers)

    def _forward(self, ids: torch.Tensor, cache: Cache, begin: int) -> torch.Tensor:
        places = torch.arange(begin, begin + ids.shape[1], device=self._device)[None].expand(ids.shape[0], -1)
        found = self._model(ids, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return found.logits[:, -1:].argmax(-1)

    def _joined(self, caches: list[Cache], room: int) -> Cache:
        if len(caches) == 1:
            return caches[0]
        joined = Cache(layers=[Layer(room) for _ in self._layers])
        for number in self._layers:
            parts = [cache.layers[number] for cache in caches]
            length = parts[0].get_seq_length()
            keys, values = (torch.cat([getattr(part, name) for part in parts]) for name in ("keys", "values"))
            joined.layers[number].update(keys[:, :, :length], values[:, :, :length])
        return joined
