"""Whatever an architecture does otherwise, it writes what generate() of transformers writes."""

from typing import Any

import pytest

from tiny.answers import completion
from tiny.architectures import ARCHITECTURES
from tiny.generating import generated

PROMPTS = ("the quick brown fox jumps over the lazy dog. " * 2, "0 1 2 3", "überall 漢字 😀 " * 4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_text_and_logprobs_equal_generate(name: str, folder: Any, open_model: Any, ask: Any) -> None:
    path = folder(name)
    expected = [generated(path, prompt, 10) for prompt in PROMPTS]
    assert min(one.margin for one in expected) > 1e-3, "no two tokens are as good as each other"
    model = open_model(path, slots=2, prefill_chunk=16)
    for want, found in zip(expected, ask(model, *requests_of()), strict=True):
        assert want.explains(found.by_index[0])
        assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (want.read, len(want.tokens))


def requests_of() -> list[Any]:
    return [completion(prompt, max_tokens=10, logprobs=5) for prompt in PROMPTS]
