"""The runner on a model that is a formula: with and without guesses, and with a state that cannot go back."""

import random
import threading
from typing import Any

import pytest

from tiny.formula import WORDS, Loop, following, walk
from universal_gguf.generation.runner import BatchRunner
from universal_gguf.threads import Threads


class Foreseeing:
    """Guesses that are right some of the time."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def guess(self, sequence: Any) -> list[int]:
        tokens, shift = list(sequence.tokens), sequence._sampler.shift
        for _ in range(self.dice.randint(0, 3)):
            tokens.append((following(tokens, sequence.adapter) + shift) % WORDS if self.dice.random() < 0.8 else 0)
        return tokens[len(sequence.tokens) :]

    def forget(self, sequence: Any) -> None:
        pass


@pytest.mark.parametrize("kind", ["plain", "guessing", "recurrent"])
@pytest.mark.parametrize("seed", range(12))
def test_in_a_random_walk_every_answer_is_right_and_every_request_ends(seed: int, kind: str) -> None:
    dice = random.Random(seed)
    cells, slots = dice.choice((40, 64, 100)), dice.choice((1, 2, 3, 5))
    guesser = Foreseeing(dice) if kind == "guessing" else None

    def reader(context: Any, cache: Any, pace: Any) -> BatchRunner:
        return BatchRunner(context, cache, pace, Threads(1, 1), threading.Lock(), guesser)

    divisible, size = kind != "recurrent", dice.choice((8, 16))
    loop = Loop(reader, slots=slots, size=size, cells=cells, divisible=divisible, guesses=kind == "guessing")
    walk(loop, dice, adapters=bool(seed % 2))
