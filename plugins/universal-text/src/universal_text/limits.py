"""How long an input may be, and which token ids there are: told by a loaded model and its tokenizer."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from universal_core import LoadFailed

# A tokenizer that knows no limit says so with a huge number (transformers' VERY_LARGE_INTEGER is 1e30).
_NO_LIMIT = 10**9


def longest_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, asked: int | None, told: int | None = None
) -> int | None:
    """Return the tokens of an input that are read, None for all: what is configured, else what the model says.

    ``asked`` is the option max_length; ``told`` stands in a file beside the model and comes before what the tokenizer
    says. It is never more than the model has positions for; raises LoadFailed where more is asked for.
    """
    positions = positions_of(model)
    if asked and positions and asked > positions:
        raise LoadFailed(f"max_length is {asked}, but the model has {positions} positions.")
    limits = [limit for limit in (asked or told or limit_of(tokenizer), positions) if limit]
    return min(limits, default=None)


def limit_of(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the tokens that a tokenizer lets through, None where it knows no limit."""
    limit = int(tokenizer.model_max_length)
    return limit if limit < _NO_LIMIT else None


def vocabulary_of(model: PreTrainedModel) -> int:
    """Return the number of token ids that the model has a vector for."""
    embeddings: Any = model.get_input_embeddings()
    return int(embeddings.weight.shape[0])


def positions_of(model: PreTrainedModel) -> int | None:
    """Return the longest input that the model has positions for, None where it knows no limit."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return positions - first_position(model) if isinstance(positions, int) and positions > 0 else None


def first_position(model: PreTrainedModel) -> int:
    """Return the number of the first token's position; RoBERTa and its kin count from the padding's id plus 1."""
    for module in model.modules():
        padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int) and isinstance(getattr(module, "position_embeddings", None), nn.Embedding):
            return padding + 1
    return 0
