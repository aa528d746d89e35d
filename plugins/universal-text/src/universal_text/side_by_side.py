"""Several texts in one forward pass of a model of transformers: what is in the way of it, found out by trying."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from universal_text.together import positions_by_length


class Unsupported(RuntimeError):
    """A model cannot read several texts in one forward pass."""


def check_positions(model: Any) -> None:
    """Raise Unsupported for a model whose tokens cannot be told their positions, each in its own text."""
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise Unsupported("it takes no positions")
    if positions_by_length(model.config.get_text_config().to_dict()):
        raise Unsupported("its positions depend on how long a text is")


@contextmanager
def another_attention(model: Any, name: str) -> Iterator[None]:
    """Give a model the attention that transformers knows by a name; where trying it fails, give it back its own.

    Whatever it fails with becomes Unsupported.
    """
    usual = model.config.get_text_config()._attn_implementation
    try:
        model.set_attn_implementation(name)
        yield
    except Unsupported:
        model.set_attn_implementation(usual)
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        model.set_attn_implementation(usual)
        raise Unsupported(f"it cannot be run with another attention ({type(error).__name__}: {error})") from error


def check_equal(want: Tensor, found: Tensor, most: float) -> None:
    """Raise Unsupported for numbers that are further apart than ``most``, a share of their own spread.

    Wrong ones are apart by about 1.
    """
    difference = apart(want, found)
    if not difference <= most:
        raise Unsupported(f"beside others a text comes out otherwise, by {difference:.2g} of its spread")


def apart(want: Tensor, found: Tensor) -> float:
    """Return how far numbers are apart, as a share of their own spread."""
    want, found = want.float(), found.float()
    return float((want - found).norm() / (want - want.mean()).norm().clamp(min=1e-6))
