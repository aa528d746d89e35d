"""Whatever an architecture does otherwise, it writes what generate() of transformers writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tiny.answers import completion
from tiny.architectures import ALONE, ARCHITECTURES, REFUSED, make_architecture
from tiny.folder import info_of
from tiny.generating import generated
from universal_core import LoadFailed
from universal_text.claims import claim_causal
from universal_text.key_values import bytes_per_token

PROMPTS = ("user assistant the quick brown fox jumps over the lazy dog", "0 1 2 3", "überall 漢字 😀 " * 4)


# What config.json does not tell: only the check at load finds it.
FOUND_OUT = frozenset({"diffllama"})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_text_and_logprobs_equal_generate(
    name: str, folder: Any, open_model: Any, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder(name)
    expected = [generated(path, prompt, 10) for prompt in PROMPTS]
    assert min(one.margin for one in expected) > 1e-3, "no two tokens are as good as each other"
    with caplog.at_level("INFO", "universal_text"):
        model = open_model(path, slots=2, prefill_chunk=16)
    assert model.batches == (name not in ALONE)
    assert ALONE.get(name, "computed together") in caplog.text
    requests = [completion(prompt, max_tokens=10, logprobs=5) for prompt in PROMPTS]
    for want, found in zip(expected, ask(model, *requests), strict=True):
        assert want.explains(found.by_index[0])
        assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (want.read, len(want.tokens))
    if model.batches:
        told = json.loads((path / "config.json").read_text())
        assert bytes_per_token(told, 4) >= model._engine._runner._store.bytes_per_token, "memory was set aside for it"


@pytest.mark.parametrize("name", [*ARCHITECTURES, "llama", "qwen3", "mistral", "gemma3", "mixture", "gpt2", "mamba"])
def test_the_claim_tells_whether_answers_are_computed_together(name: str, folder: Any) -> None:
    found = claim_causal(info_of(folder(name)))
    assert found is not None
    assert ("computed one at a time: " in found.reason) == (name in ALONE.keys() - FOUND_OUT)
    assert ("computed together" in found.reason) == (name not in ALONE or name in FOUND_OUT)


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_would_mix_up_two_answers_is_refused(name: str, tmp_path: Path, open_model: Any) -> None:
    with pytest.raises(LoadFailed, match="RecurrentGemmaForCausalLM has read in the model itself"):
        open_model(make_architecture(tmp_path, name))
