"""How much room the engine of a model has, and what it is told to do without."""

import asyncio
import threading
from typing import Any

import pytest
import torch

from tiny.answers import alike, completion
from universal_core import LoadFailed
from universal_text.causal.engines import cells_for, chunk_for
from universal_text.options import CausalOptions

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("options", "context", "aside", "cells"),
    [
        ({}, 512, 0, 8 * 512),
        ({}, 20_000, 50_000, 20_000),
        ({}, 40_000, 25_000, 25_000),
        ({"slots": 20}, 40_000, 41_000, 20 * 2048),
        ({}, 40_000, 0, 8 * 2048),
        ({"n_ctx": 20_000}, 20_000, 20_000, 20_000),
        ({"cache_tokens": 77}, 40_000, 50_000, 77),
    ],
)
def test_there_is_room_for_what_was_set_aside_and_for_one_long_answer(
    options: dict[str, Any], context: int, aside: int, cells: int
) -> None:
    assert cells_for(CausalOptions(**options), context, aside) == cells


def test_a_graphics_card_reads_longer_pieces() -> None:
    assert (chunk_for(CausalOptions(), CPU), chunk_for(CausalOptions(), GPU)) == (256, 1024)
    assert chunk_for(CausalOptions(prefill_chunk=7), CPU) == 7


def test_the_cache_says_how_long_an_answer_may_be(folder: Any, open_model: Any) -> None:
    assert open_model(folder("llama"), cache_tokens=100).context == 100


@pytest.mark.parametrize("options", [{"attention": "eager"}, {}])
def test_an_option_that_means_nothing_is_refused(options: dict[str, Any], folder: Any, open_model: Any) -> None:
    name = "llama" if options else "mamba"
    with pytest.raises(LoadFailed, match="cache_tokens cannot be had with this model"):
        open_model(folder(name), cache_tokens=100, **options)


def test_a_step_that_nobody_waits_for_ends_before_its_next_layer(folder: Any, open_model: Any, ask: Any) -> None:
    model = open_model(folder("llama"))
    (expected,) = ask(model, completion("hello world", max_tokens=8))
    first, second = model._engine._runner._model.model.layers
    passed: list[int] = []
    second.self_attn.register_forward_hook(lambda *_: passed.append(2))
    arrived, left = threading.Event(), threading.Event()

    def wait(*_: Any) -> None:
        arrived.set()
        assert left.wait(30)

    async def leave() -> None:
        stream = model.complete(completion(tuple(range(10, 210)), max_tokens=8))
        reading = asyncio.create_task(anext(stream))
        assert await asyncio.to_thread(arrived.wait, 30)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        left.set()

    hook = first.register_forward_hook(wait)
    asyncio.run(leave())
    hook.remove()
    (again,) = ask(model, completion("hello world", max_tokens=8))
    assert alike(again, expected)
    assert len(passed) == 8, "the second layer saw nothing of the step that was left"
    # What some of the layers have read is of no use to anybody.
    (whole,) = ask(model, completion(tuple(range(10, 210)), max_tokens=1))
    assert whole.usage.cached_tokens == 0


def test_an_attention_that_is_asked_for_is_used(folder: Any, open_model: Any) -> None:
    model = open_model(folder("llama"), attention="eager")
    assert not model.batches
    assert model._engine._runner._model.config._attn_implementation == "eager"
