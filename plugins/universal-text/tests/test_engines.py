"""How much room the engine of a model has, and what it is told to do without."""

from typing import Any

import pytest
import torch

from universal_core import LoadFailed
from universal_text.causal import engines
from universal_text.causal.engines import cells_for, chunk_for
from universal_text.options import CausalOptions

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 100,000 bytes be free, on every device."""
    monkeypatch.setattr(engines, "available_memory", lambda name: 100_000)


@pytest.mark.parametrize(
    ("options", "context", "device", "cells"),
    [
        ({}, 512, CPU, 8 * 512),
        ({}, 20_000, CPU, 20_000),
        ({}, 40_000, CPU, 25_000),
        ({"slots": 20}, 40_000, CPU, 20 * 2048),
        ({}, 40_000, GPU, 8 * 2048),
        ({"n_ctx": 20_000}, 20_000, GPU, 20_000),
        ({"cache_tokens": 77}, 40_000, CPU, 77),
    ],
)
def test_there_is_room_for_what_was_set_aside_and_for_one_long_answer(
    options: dict[str, Any], context: int, device: torch.device, cells: int
) -> None:
    assert cells_for(CausalOptions(**options), context, device, 2) == cells


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


def test_an_attention_that_is_asked_for_is_used(folder: Any, open_model: Any) -> None:
    model = open_model(folder("llama"), attention="eager")
    assert not model.batches
    assert model._engine._runner._model.config._attn_implementation == "eager"
