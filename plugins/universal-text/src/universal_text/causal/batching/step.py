"""The rows of one forward pass, and what each of their tokens looks at."""

from collections.abc import Callable, Hashable, Iterable
from itertools import accumulate, takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from universal_text.causal.batching.store import Layer, Store


class Segment(NamedTuple):
    """A row's share of a step: ``tokens`` of them from ``place`` on.

    They are the last of ``length``, which are in the cells from ``start`` on.
    """

    place: int
    tokens: int
    start: int
    length: int


def side_by_side(store: Store, rows: Iterable[tuple[int, int, int]]) -> list[Segment]:
    """Make room for rows, and return where their tokens stand.

    Each row is a sequence's number, how many of its tokens are read, and how many it has then.
    """
    rows = list(rows)
    # Whoever gets room may move the others.
    for number, _, length in rows:
        store.fit(number, length)
    ends = accumulate(tokens for _, tokens, _ in rows)
    return [
        Segment(end - tokens, tokens, store.start(number), length)
        for (number, tokens, length), end in zip(rows, ends, strict=True)
    ]


class Attention(NamedTuple):
    """What a layer wants: its scale, how far back it looks, what it caps its scores at, and one more score a head."""

    scale: float
    window: int | None = None
    softcap: float | None = None
    sinks: Tensor | None = None

    def __call__(self, query: Tensor, kept: Layer, mask: Tensor | None, sinks: Tensor | None) -> Tensor:
        """Return what queries ``[batch, heads, tokens, size]`` find; a head of keys and values may be for several.

        ``mask`` is true where a token is looked at, ``[..., tokens, keys]``. ``sinks`` can be added to the scores.
        """
        if self.softcap is None and sinks is None:
            keys, values = kept
            if keys.shape[1] != query.shape[1]:
                keys, values = (part.expand(-1, query.shape[1], -1, -1) for part in kept)
            return scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=self.scale)
        scores = (query @ kept.keys.transpose(-1, -2)).float() * self.scale
        if self.softcap is not None:
            scores = torch.tanh(scores / self.softcap) * self.softcap
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        if sinks is not None:
            scores = torch.cat((scores, sinks.expand(*scores.shape[:-1], 1)), -1)
        weights = scores.softmax(-1)[..., : kept.keys.shape[-2]]
        return weights.to(query.dtype) @ kept.values


class Step:
    """What attention must know of the rows of a forward pass; ``abandoned`` ends it before its next layer.

    With ``together`` the rows of one token look at once, at copies of their keys and values laid side by side: a
    graphics card wants few large operations. Else each looks at its cells where they are, which a processor does in
    half the time. ``windows`` notes how far back each layer looked.
    """

    def __init__(self, store: Store, segments: list[Segment], *, together: bool) -> None:
        self.store = store
        self.abandoned = False
        self.windows: dict[int, int | None] = {}
        self._segments = segments
        # Answers stand before prompts.
        self._answers = list(takewhile(lambda one: one.tokens == 1, segments))
        self._prompts = segments[len(self._answers) :]
        self._together = together
        # What all layers need alike; those of a model may be on several devices.
        self._made: dict[Hashable, Any] = {}

    def positions(self, device: torch.device) -> Tensor:
        """Return the position of each token in its sequence, ``[tokens]``."""
        return torch.cat([torch.arange(one.length - one.tokens, one.length) for one in self._segments]).to(device)

    def cells(self, device: torch.device) -> Tensor:
        """Return the cell of each token, ``[tokens]``."""
        found: Tensor = self._once(("cells", device), self._cells)
        return found

    def attend(self, kept: Layer, query: Tensor, attention: Attention) -> Tensor:
        """Return ``[tokens, heads, value size]`` for a query ``[heads, tokens, size]``."""
        heads, tokens, size = query.shape
        shared = kept.keys.shape[0]
        # The heads of a group share their keys and values: [shared, group, tokens, size].
        groups = query.view(shared, heads // shared, tokens, size)
        found = []
        if self._answers:
            queries = groups[:, :, : len(self._answers)].permute(2, 0, 1, 3)
            attend = self._attend_together if self._together else self._attend_in_turn
            found.append(attend(kept, queries, attention).flatten(1, 2))
        for one in self._prompts:
            part = groups[:, :, one.place : one.place + one.tokens]
            found.append(self._attend_prompt(kept, part, one, attention).flatten(0, 1).transpose(0, 1))
        return torch.cat(found) if len(found) > 1 else found[0]

    def _attend_in_turn(self, kept: Layer, queries: Tensor, attention: Attention) -> Tensor:
        """Return ``[rows, shared, group, value size]`` for the queries of answers, ``[rows, shared, group, size]``.

        The group are so many tokens of one head here: so they read their keys once.
        """
        keys, values = kept.keys[None], kept.values[None]
        sinks = _of_groups(attention.sinks, queries)
        found = []
        for query, one in zip(torch.split(queries, 1), self._answers, strict=True):
            seen = one.length if attention.window is None else min(one.length, attention.window)
            start = one.start + one.length - seen
            mine = Layer(keys.narrow(2, start, seen), values.narrow(2, start, seen))
            found.append(attention(query, mine, None, sinks))
        return torch.cat(found)

    def _attend_together(self, kept: Layer, queries: Tensor, attention: Attention) -> Tensor:
        """Return the same for all answers at once."""
        window = attention.window
        cells, mask = self._once(("table", window, queries.device), lambda device: self._table(window, device))
        copies = Layer(*(part[:, cells].transpose(0, 1) for part in kept))
        return attention(queries, copies, mask, _of_groups(attention.sinks, queries))

    def _attend_prompt(self, kept: Layer, groups: Tensor, one: Segment, attention: Attention) -> Tensor:
        """Return ``[shared, group, tokens, value size]`` for a piece of a prompt."""
        window = attention.window
        seen = one.length if window is None else min(one.length, window + one.tokens - 1)
        end = one.start + one.length
        mine = Layer(kept.keys[:, None, end - seen : end], kept.values[:, None, end - seen : end])
        shape = (one.tokens, seen, window)
        mask = self._once(("mask", shape, groups.device), lambda device: _mask(*shape, device))
        sinks = None if attention.sinks is None else attention.sinks.view(groups.shape[0], -1, 1, 1)
        return attention(groups, mine, mask, sinks)

    def _cells(self, device: torch.device) -> Tensor:
        ends = ((one.start + one.length, one.tokens) for one in self._segments)
        return torch.cat([torch.arange(end - count, end) for end, count in ends]).to(device)

    def _table(self, window: int | None, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the cells that each row of one token looks at, ``[rows, most]``, and which of them are its own."""
        ends = torch.tensor([one.start + one.length for one in self._answers])[:, None]
        seen = torch.tensor([min(one.length, window or one.length) for one in self._answers])[:, None]
        offsets = torch.arange(int(seen.max()))
        there = offsets < seen
        return torch.where(there, ends - seen + offsets, 0).to(device), there[:, None, None].to(device)

    def _once(self, key: tuple[Any, ...], make: Callable[[torch.device], Any]) -> Any:
        """Return what is made for a device, the last part of the key, when first asked for."""
        if key not in self._made:
            self._made[key] = make(key[-1])
        return self._made[key]


def _of_groups(sinks: Tensor | None, queries: Tensor) -> Tensor | None:
    """Return a score for each head as ``[1, shared, group, 1]``, for queries ``[rows, shared, group, size]``."""
    return None if sinks is None else sinks.view(1, queries.shape[1], -1, 1)


def _mask(count: int, seen: int, window: int | None, device: torch.device) -> Tensor:
    """Return ``[count, seen]``: which of the last ``seen`` tokens each of the last ``count`` looks at."""
    back = torch.arange(seen - count, seen, device=device)[:, None] - torch.arange(seen, device=device)
    return (back >= 0) & (back < (window or seen))
