"""What models that read take beside their weights, told from config.json."""

from typing import Any

from universal_text.files import number_in

BATCH_TOKENS = 4096
"""Tokens that go through a model at once, where its options say nothing else."""

_LONGEST_INPUT = 8192
_FIXED_BYTES = 64 * 1024**2


def working_bytes(config: dict[str, Any]) -> int:
    """Estimate what a batch takes beside the weights, in float32: one layer's activations, and a fixed part.

    A layer keeps its input, query, key, value, context and output (six times hidden_size), and the feed-forward
    values before and after their activation (twice intermediate_size).
    """
    hidden = number_in(config, "hidden_size", "dim", "d_model", "n_embd") or 1024
    inner = number_in(config, "intermediate_size", "hidden_dim", "d_ff", "n_inner") or 4 * hidden
    longest = min(number_in(config, "max_position_embeddings", "n_positions"), _LONGEST_INPUT)
    return _FIXED_BYTES + max(BATCH_TOKENS, longest) * (6 * hidden + 2 * inner) * 4
