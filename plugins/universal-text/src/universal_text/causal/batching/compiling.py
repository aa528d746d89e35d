"""torch.compile for a model that reads its rows together: its layers, compiled before any request waits for them."""

from collections.abc import Callable
from typing import Any

import torch

from universal_core import LoadFailed, Progress
from universal_text.causal.adapters import Adapters
from universal_text.causal.batching.forward import Forward
from universal_text.causal.batching.step import Step, side_by_side
from universal_text.causal.batching.store import Store
from universal_text.options import CausalOptions

Report = Callable[[Progress], None]

# Compilers of other processes would outlive a worker that is ended while it loads. What is compiled asks for the
# number of threads when it runs.
_SETTINGS = {"compile_threads": 1, "cpp.dynamic_threads": True}
# The tokens of each row of a step. PyTorch makes code of its own for a step of one token; the rest is alike to it.
_SHAPES = ((1,), (1, 1, 2))


def compile_wanted(model: Any, options: CausalOptions, adapters: Adapters, report: Report | None) -> None:
    """Compile the layers of a model that has the attention of this package, where the options want it.

    The layers are alike, so they are compiled once for a step of one token and once for one of several, and not again
    for as long as the number of threads stays. ``report`` is told how far it is. Raises LoadFailed where there is no
    compiler, and for a model with adapters: every change of adapters would compile it again.
    """
    if not options.compile:
        return
    if adapters.names:
        refuse_compiling(options, "it has adapters")
    kinds = set(model._no_split_modules or ())
    layers = [module for module in model.modules() if type(module).__name__ in kinds]
    if not layers:
        raise LoadFailed("compile: transformers does not tell what the layers of this model are; leave compile out")
    for layer in layers:
        layer.compile(dynamic=True, options=_SETTINGS)
    forward = Forward(model)
    for done, lengths in enumerate(_SHAPES):
        if report is not None:
            report(Progress("compiling", done / len(_SHAPES)))
        try:
            _run(forward, lengths)
        except RuntimeError as error:  # what torch.compile raises is all of this kind
            raise LoadFailed(
                f"compile: torch.compile failed ({_words(error)}); it needs a C++ compiler, g++ or clang++, and triton "
                "on a GPU: install them, or leave compile out"
            ) from error


def refuse_compiling(options: CausalOptions, reason: str) -> None:
    """Raise LoadFailed where the options want a model compiled that cannot be, for some reason."""
    if options.compile:
        raise LoadFailed(
            f"compile cannot be had with this model: {reason}, and what requests then compute would be compiled again "
            "and again; leave the option out"
        )


def threads_for(options: CausalOptions) -> int | None:
    """Return how many threads a model computes with, None for what is free.

    A compiled one stays with its number: for another it would be compiled again.
    """
    return options.threads or (torch.get_num_threads() if options.compile else None)


def _run(forward: Forward, lengths: tuple[int, ...]) -> None:
    store = Store(sum(lengths))
    segments = side_by_side(store, ((number, length, length) for number, length in enumerate(lengths)))
    forward(Step(store, segments, together=False), [0] * sum(lengths), [sum(lengths) - 1])


def _words(error: RuntimeError) -> str:
    """Return the first line of an error; what follows is how to debug PyTorch."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
