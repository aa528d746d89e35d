"""Chooses what runs an embedding model."""

import logging
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from universal_core.pytorch import use_threads
from universal_text.encoder.network import Head, Network, PackedNetwork, PaddedNetwork
from universal_text.encoder.transformer import mixed
from universal_text.linear import leave_files
from universal_text.packing import PackedForward, Unsupported, prepare

log = logging.getLogger(__name__)


def open_network(
    model: PreTrainedModel, head: Head, *, dtype: torch.dtype, filler: int, budget: int, threads: int | None = None
) -> Network:
    """Return the fastest engine that is right for a model of transformers; ``filler`` is the id of its padding."""

    def running() -> AbstractContextManager[Any]:
        use_threads(threads)
        return mixed(model, dtype)

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        with running():
            hidden: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    kind = model.config.model_type
    try:
        packed = PackedForward(model, running)
    except Unsupported as reason:
        log.info("%s reads its texts padded: %s", kind, reason)
        if dtype != torch.float32:
            leave_files(model)
        return PaddedNetwork(forward, head, filler=filler, budget=budget, device=model.device)
    if prepare(model, packed.check) or dtype != torch.float32:
        leave_files(model)
    log.info("%s reads its texts side by side, without padding", kind)
    return PackedNetwork(packed, head, budget=budget)
