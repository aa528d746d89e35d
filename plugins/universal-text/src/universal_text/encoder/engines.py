"""Chooses what runs an embedding model."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from universal_text.encoder.network import Head, Network, PaddedNetwork
from universal_text.encoder.transformer import mixed


def open_network(model: PreTrainedModel, head: Head, *, dtype: torch.dtype, filler: int, budget: int) -> Network:
    """Return the fastest engine that is right for a model of transformers; ``filler`` is the id of its padding."""

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        with mixed(model, dtype):
            hidden: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    return PaddedNetwork(forward, head, filler=filler, budget=budget, device=model.device)
