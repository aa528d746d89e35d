"""Log-probabilities of a prompt: those of the same weights through transformers, whatever was read before."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import Server, running_server
from tiny.answers import Answers, completion
from tiny.gguf import make_gguf_from_transformers
from tiny.likelihood import asked, computed, pairs_of
from universal_core import TokenLogprob

PROMPT = "the quick brown fox jumps over the lazy dog. überall 😀 " * 3
# Both compute in single precision, in another order.
TOLERANCE = 1e-3
ENTRY = """
[model.tiny]
model = "{file}"
options = {{n_ctx = 512, n_threads = 1, cache_type_k = "f32", cache_type_v = "f32", flash_attn = "off"}}
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the weights as transformers has them."""
    pytest.importorskip("torch")
    from tiny.causal import make_llama

    return make_llama(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def file(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a GGUF file of the same weights."""
    return make_gguf_from_transformers(tmp_path_factory.mktemp("gguf") / "model.gguf", source)


def prompt_of(answer: Answers) -> list[TokenLogprob]:
    return answer.by_index[0].logprobs[: answer.usage.prompt_tokens]


def near(one: list[TokenLogprob], other: list[TokenLogprob], tolerance: float = 1e-4) -> bool:
    """Whether the same is told."""
    pairs = list(zip(one, other, strict=True))
    return all(a.data == b.data and a.logprob == pytest.approx(b.logprob, abs=tolerance) for a, b in pairs)


@pytest.mark.parametrize("batch", [5, 512])
def test_a_prompt_is_scored_as_by_transformers(
    batch: int, source: Path, file: Path, new_model: Any, ask_writer: Any
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(source)(PROMPT)["input_ids"]
    with torch.inference_mode():
        reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
        rows = reference(torch.tensor([tokens])).logits[0].log_softmax(-1)
    (answer,) = ask_writer(new_model(file, n_batch=batch), completion(PROMPT, echo=True, logprobs=3, max_tokens=4))
    first, *rest = prompt_of(answer)
    assert (first.logprob, first.alternatives) == (None, ())
    for entry, token, row in zip(rest, tokens[1:], rows, strict=False):
        assert entry.logprob == pytest.approx(float(row[token]), abs=TOLERANCE)
        found = [other.logprob for other in entry.alternatives]
        assert found == pytest.approx(row.topk(3).values.tolist(), abs=TOLERANCE)


# Quantized weights read their input in 8 bits, and Gemma's GELU is a table of half precision: how the prompt was cut
# into steps moves the last digit of a sum, and that a value of the table.
@pytest.mark.parametrize(("name", "tolerance"), [("llama", 1e-4), ("mamba", 1e-4), ("gemma3", 0.01), ("Q4_K_M", 0.05)])
def test_what_was_read_before_is_read_again_for_its_scores(
    name: str, tolerance: float, new_model: Any, ask_writer: Any
) -> None:
    model = new_model(name)
    request = completion(PROMPT, echo=True, logprobs=2, max_tokens=3)
    (fresh,) = ask_writer(model, request)
    (plain,) = ask_writer(model, completion(PROMPT, max_tokens=3, logprobs=2))
    (again,) = ask_writer(model, request)
    assert (fresh.usage.cached_tokens, again.usage.cached_tokens) == (0, 0)
    assert near(prompt_of(again), prompt_of(fresh), tolerance)
    assert plain.usage.cached_tokens > 0 or name == "mamba", "what was scored is of use to others"
    assert fresh.text == PROMPT + plain.text


@pytest.mark.parametrize("seed", [0, 5])
def test_answers_that_pause_for_lack_of_room_are_scored_as_those_that_do_not(
    seed: int, new_model: Any, ask_writer: Any
) -> None:
    chance = random.Random(seed)
    requests = [
        completion(
            PROMPT[place : chance.choice((place + 8, place + 30, 200))],
            echo=True,
            logprobs=1,
            max_tokens=chance.choice((2, 20, 60)),
            n=chance.choice((1, 1, 2)),
            logit_bias={0: -100, 2: -100},
        )
        for place in range(14)
    ]
    wide = ask_writer(new_model("llama"), *requests)
    narrow = ask_writer(new_model("llama", n_ctx=256, cache_tokens=256, n_batch=16), *requests)
    for one, other in zip(wide, narrow, strict=True):
        for index, found in one.by_index.items():
            assert found.text == other.by_index[index].text
            assert near(found.logprobs, other.by_index[index].logprobs)


def test_a_prompt_alone_may_be_scored(shared_model: Any, ask_writer: Any) -> None:
    (answer,) = ask_writer(shared_model("llama"), completion("hello world", echo=True, logprobs=0, max_tokens=0, n=2))
    for found in answer.by_index.values():
        assert (found.text, found.reason) == ("hello world", "length")
        assert len(found.logprobs) == answer.usage.prompt_tokens
    assert answer.usage.completion_tokens == 0


@pytest.fixture(scope="module")
def server(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = tmp_path_factory.mktemp("settings") / "universal.toml"
    settings.write_text(ENTRY.format(file=file))
    with running_server("--config", str(settings), "--device", "cpu") as found:
        yield found


def test_lm_eval_gets_the_likelihoods_of_a_direct_computation(server: Server, source: Path) -> None:
    pairs = pairs_of(source)

    def post(body: dict[str, Any]) -> Any:
        response = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    found, right = asked(post, "tiny", pairs), computed(source, pairs)
    assert [told for told, _ in found] == pytest.approx([told for told, _ in right], abs=20 * TOLERANCE)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in right]
    assert found[-1][1]
