"""The cache over a real context: what is shared there, and that all of its cells can be filled."""

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy
import pytest

from universal_core.continuous_batching import Cache, Held
from universal_gguf.generation.contexts import generation_parameters
from universal_gguf.generation.decoder import Decoder, Outcome, Piece
from universal_gguf.library import Weights
from universal_gguf.options import GenerationOptions


@pytest.fixture(scope="module")
def weights(gguf_file: Any) -> Iterator[Weights]:
    with closing(Weights([str(gguf_file("llama"))], GenerationOptions(device="cpu"), 0, print)) as found:
        yield found


@pytest.fixture
def decoder(weights: Weights) -> Iterator[Decoder]:
    options = GenerationOptions(device="cpu", slots=2, cache_type_k="f32", cache_type_v="f32", flash_attn="off")
    with closing(Decoder(weights, generation_parameters(options, 256))) as found:
        found.use_threads(1, 1)
        yield found


def step(decoder: Decoder, cache: Cache, held: Held, tokens: list[int]) -> Any:
    assert cache.make_room(len(tokens))
    position = len(held.tokens)
    cache.extend(held, tokens)
    assert decoder.step([Piece(held.number, position, tokens, 1)]) == Outcome.DONE
    return decoder.logits(1)[0].copy()


def test_in_a_real_context_a_shared_beginning_gives_the_logits_of_a_new_one(decoder: Decoder) -> None:
    cache = Cache(decoder, decoder.cells, 4)
    text = [50 + (7 * place) % 300 for place in range(40)]
    expected = step(decoder, cache, first := cache.begin(text), text)
    cache.keep(first)
    second = cache.begin([*text[:30], 9, 8])
    assert len(second.tokens) == 30
    step(decoder, cache, second, [9, 8])
    cache.cut(second, 30)
    again = step(decoder, cache, second, text[30:])
    assert numpy.abs(again - expected).max() < 1e-4


def test_in_a_real_context_every_counted_cell_can_be_filled(decoder: Decoder) -> None:
    dice, cache = random.Random(1), Cache(decoder, decoder.cells, 4)
    for _ in range(60):
        tokens = [60 + dice.randrange(3) for _ in range(dice.randint(20, 250))]
        held = cache.begin(tokens)
        step(decoder, cache, held, tokens[len(held.tokens) :])
        held.broken = dice.random() < 0.2
        cache.keep(held)
