"""The engine of a model: one that reads all rows of a step together where the model can, else one by one."""

import logging
from typing import Any, NamedTuple

import torch

from universal_core import MemoryEstimate
from universal_core.continuous_batching import Cache, Guesser, Pace, Turns
from universal_core.conversation import Engine
from universal_text.causal.adapters import Adapters
from universal_text.causal.apart import refuse_mixing
from universal_text.causal.batching.check import try_together
from universal_text.causal.batching.compiling import Report, compile_wanted, refuse_compiling, threads_for
from universal_text.causal.batching.guessing import Guessing, refuse_alone
from universal_text.causal.batching.runner import BatchRunner
from universal_text.causal.batching.store import Store
from universal_text.causal.inputs import Inputs
from universal_text.causal.scheduler import Scheduler
from universal_text.causal.solo import SoloRunner
from universal_text.key_values import tokens_set_aside
from universal_text.linear import leave_files, prepare
from universal_text.options import CausalOptions
from universal_text.side_by_side import Unsupported

log = logging.getLogger(__name__)

_WHOLE = 2**62
# A processor reads 256 tokens at once as fast, token by token, as more, and what comes next need not wait as long.
_CHUNK_ON_CPU, _CHUNK = 256, 1024
# The logits after that many tokens of 150,000 take 39 MB in bfloat16.
_MOST_SCORED = 128


class Running(NamedTuple):
    """An engine; whether it reads rows together, and how many tokens prompt and answer may have."""

    engine: Engine
    batches: bool
    context: int


def engine_of(
    model: Any,
    options: CausalOptions,
    adapters: Adapters,
    context: int,
    guesser: Guesser | None = None,
    inputs: Inputs | None = None,
    report: Report | None = None,
    memory: MemoryEstimate | None = None,
) -> Running:
    """Return the engine for a model that knows ``context`` positions.

    One that reads more than tokens has ``inputs``, and reads its rows one by one. ``report`` is told when the model is
    compiled, and ``memory`` is what has been set aside for it. Raises LoadFailed for options that mean nothing where
    rows are read one by one.
    """
    alone = "it reads more than tokens" if inputs else f"attention = {options.attention!r} was asked for"
    if inputs is None and options.attention is None:
        try:
            trial = try_together(model)
            # What is compiled, and what adapters look into, must be layers as transformers has them.
            if not options.compile and not adapters.names and prepare(model, trial.run):
                leave_files(model)
            compile_wanted(model, options, adapters, report)
            aside = memory.cache // max(trial.store.bytes_per_token, 1) if memory else context
            return _batching(
                model, options, adapters, context, cells_for(options, context, aside), trial.store, guesser
            )
        except Unsupported as reason:
            alone = str(reason)
    log.info("the answers of a step are computed one by one: %s", alone)
    refuse_alone(options, alone)
    refuse_compiling(options, alone)
    if inputs is None:
        refuse_mixing(model)
    return _solo(model, options, adapters, context, inputs)


def _batching(
    model: Any,
    options: CausalOptions,
    adapters: Adapters,
    context: int,
    cells: int,
    tried: Store,
    guesser: Guesser | None,
) -> Running:
    store, slots = Store(cells, like=tried), options.slots
    # Beside those that run as many are kept, for what begins alike.
    cache = Cache(store, cells, 2 * slots, shares=False)
    chunk = chunk_for(options, model.device)
    pace = Pace(chunk)
    runner = BatchRunner(model, store, cache, pace, adapters, Guessing(cache, guesser), threads_for(options))
    turns = Turns(
        cache,
        pace,
        slots=slots,
        size=slots + chunk,
        quick=chunk,
        scored=min(chunk, _MOST_SCORED),
    )
    log.info("the answers of a step are computed together, with room for %d tokens in all", cells)
    return Running(Engine(runner, turns), True, min(context, cells))


def _solo(model: Any, options: CausalOptions, adapters: Adapters, context: int, inputs: Inputs | None) -> Running:
    runner = SoloRunner(model, inputs, adapters, options.threads)
    chunk = _WHOLE if runner.reads_whole_prompts else chunk_for(options, model.device)
    return Running(Engine(runner, Scheduler(options.slots, chunk)), False, context)


def chunk_for(options: CausalOptions, device: torch.device) -> int:
    """Return how many tokens of prompts join a step: as many as a device needs to be busy, and no more."""
    return options.prefill_chunk or (_CHUNK_ON_CPU if device.type == "cpu" else _CHUNK)


def cells_for(options: CausalOptions, context: int, aside: int) -> int:
    """Return how many tokens all answers may have together in the key-value store, where ``aside`` fit into memory.

    What fits there counts as far as one answer may be as long as the context; what the estimate promised at least.
    """
    least = tokens_set_aside(options, context)
    return least if options.cache_tokens is not None else max(least, min(context, aside))
