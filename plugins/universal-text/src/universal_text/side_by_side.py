"""Several texts in one forward pass of a model of transformers: what is in the way of it, found out by trying."""

import inspect
import threading
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from torch import Tensor

from universal_text.together import positions_by_length


class Unsupported(RuntimeError):
    """A model cannot read several texts in one forward pass."""


_Texts = TypeVar("_Texts")


class Current(threading.local, Generic[_Texts]):
    """What the forward passes of a thread are about, for an attention that transformers calls with nothing of it."""

    texts: _Texts

    @contextmanager
    def being(self, texts: _Texts) -> Iterator[None]:
        """Let the forward passes of this thread be about these texts."""
        self.texts = texts
        try:
            yield
        finally:
            del self.texts


def check_call(
    query: Tensor, key: Tensor, mask: Tensor | None, others: Mapping[str, Any], known: Container[str]
) -> None:
    """Raise Unsupported where a model wants more of its attention than that texts look at their own keys.

    ``others`` are the arguments that the attention has no name for; those that are ``known`` change nothing.
    """
    unknown = [name for name, given in others.items() if given is not None and name not in known]
    if unknown:
        raise Unsupported(f"its attention takes {', '.join(unknown)}")
    if mask is not None or len(query) != 1 or query.shape[2] != key.shape[2]:
        raise Unsupported("its attention takes a mask or keys of its own")


def check_positions(model: Any) -> None:
    """Raise Unsupported for a model whose tokens cannot be told their positions, each in its own text."""
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise Unsupported("it takes no positions")
    if positions_by_length(model.config.get_text_config().to_dict()):
        raise Unsupported("its positions depend on how long a text is")


@contextmanager
def trial_of(model: Any) -> Iterator[None]:
    """Let a model be tried with another attention; where that fails it has its own again.

    Whatever it fails with becomes Unsupported.
    """
    usual = model.config.get_text_config()._attn_implementation
    try:
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
