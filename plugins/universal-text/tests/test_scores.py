"""Log-probabilities of a prompt's own tokens: those of one forward pass of transformers, however it was read."""

import asyncio
import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from server import Server, running_server
from tiny.answers import alike, completion, gather, near
from tiny.causal import make_llama
from tiny.likelihood import Post, asked, computed, pairs_of
from universal_core import CompletionRequest, TokenLogprob

PROMPT = "the quick brown fox jumps over the lazy dog. überall 😀 " * 3


def expected(path: Path, tokens: list[int]) -> Any:
    """Return the log-probabilities of one forward pass, ``[tokens, vocabulary]``."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0].log_softmax(-1)


def check(told: list[TokenLogprob], tokens: list[int], rows: Any, best: int) -> None:
    """Compare what was told of a prompt with a forward pass."""
    assert (told[0].logprob, told[0].alternatives) == (None, ())
    for entry, token, row in zip(told[1:], tokens[1:], rows, strict=False):
        assert entry.logprob == pytest.approx(float(row[token]), abs=1e-4)
        found = [other.logprob for other in entry.alternatives]
        assert found == pytest.approx(row.topk(best).values.tolist(), abs=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 512])
@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3", "gpt2", "mamba"])
def test_a_prompt_is_scored_as_by_one_forward_pass(
    name: str, chunk: int, folder: Any, open_model: Any, ask: Any
) -> None:
    path = folder(name)
    tokens = AutoTokenizer.from_pretrained(path)(PROMPT)["input_ids"]
    request = completion(PROMPT, echo=True, logprobs=3, max_tokens=4)
    plain = completion(PROMPT, max_tokens=4, logprobs=3)
    scored, beside, alone = ask(open_model(path, prefill_chunk=chunk), request, request, plain)
    told = scored.by_index[0].logprobs
    check(told[: len(tokens)], tokens, expected(path, tokens), 3)
    assert near(told[len(tokens) :], alone.by_index[0].logprobs)
    assert scored.text == PROMPT + alone.text
    assert alike(scored, beside)
    assert scored.usage.completion_tokens == alone.usage.completion_tokens


def test_a_prompt_is_read_once(folder: Any, open_model: Any, ask: Any) -> None:
    model = open_model(folder("llama"), prefill_chunk=64)
    read: list[int] = []
    model._engine._runner._model.register_forward_pre_hook(
        lambda _, __, inputs: read.append(inputs["input_ids"].shape[1]), with_kwargs=True
    )
    (answer,) = ask(model, completion(PROMPT, echo=True, logprobs=1, max_tokens=0))
    assert (sum(read), len(read)) == (answer.usage.prompt_tokens, math.ceil(answer.usage.prompt_tokens / 64))


def test_a_prompt_alone_may_be_scored(folder: Any, llama: Any, ask: Any) -> None:
    (answer,) = ask(llama, completion("hello world", echo=True, logprobs=0, max_tokens=0, n=2))
    for found in answer.by_index.values():
        assert (found.text, found.reason) == ("hello world", "length")
        assert len(found.logprobs) == answer.usage.prompt_tokens
    assert answer.usage.completion_tokens == 0


def test_one_token_has_nothing_before_it(llama: Any, ask: Any) -> None:
    scored, plain = ask(
        llama, completion((7,), echo=True, logprobs=1, max_tokens=2), completion((7,), max_tokens=2, logprobs=1)
    )
    first, *rest = scored.by_index[0].logprobs
    assert first.logprob is None
    assert near(rest, plain.by_index[0].logprobs)


def test_each_of_several_answers_begins_with_the_scored_prompt(llama: Any, ask: Any) -> None:
    fields = {"logprobs": 2, "n": 3, "temperature": 1.0, "seed": 3, "max_tokens": 5}
    scored, plain = ask(llama, completion("hello world", echo=True, **fields), completion("hello world", **fields))
    count = plain.usage.prompt_tokens
    prompts = [found.logprobs[:count] for found in scored.by_index.values()]
    assert prompts == [prompts[0]] * 3
    for index, found in plain.by_index.items():
        assert scored.by_index[index].text == "hello world" + found.text
        assert near(scored.by_index[index].logprobs[count:], found.logprobs)


def test_what_stands_before_every_text_is_told_and_has_no_text(tmp_path: Path, open_model: Any, ask: Any) -> None:
    path = make_llama(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    first = ("<|im_start|>", tokenizer.convert_tokens_to_ids("<|im_start|>"))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{first[0]} $A", special_tokens=[first])
    tokenizer.save_pretrained(path)
    (answer,) = ask(open_model(path), completion("hello world", echo=True, logprobs=1, max_tokens=0))
    found = answer.by_index[0]
    assert (found.text, found.pieces) == ("hello world", ["", "hello world"])
    assert found.logprobs[0].token == "<|im_start|>"
    check(found.logprobs, tokenizer("hello world")["input_ids"], expected(path, tokenizer("hello world").input_ids), 1)


def test_a_long_prompt_leaves_numbers_alone_behind(llama: Any) -> None:
    request = CompletionRequest(prompt=(7, 8, 9) * 100, echo=True, logprobs=5, max_tokens=1, temperature=0.0)
    answer = asyncio.run(gather(llama.complete(request)))
    assert [len(entry.alternatives) for entry in answer.by_index[0].logprobs] == [0, *[5] * 300]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


@pytest.fixture
def post(server: Server) -> Post:
    """Return a function that asks for completions."""

    def ask(body: dict[str, Any]) -> Any:
        response = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    return ask


@pytest.mark.parametrize("fields", [{}, {"logprobs": 5}])
def test_lm_eval_gets_the_likelihoods_of_a_direct_computation(fields: Any, post: Post, folder: Any) -> None:
    path = folder("llama")
    pairs = pairs_of(path)
    found, right = asked(post, str(path), pairs, **fields), computed(path, pairs)
    assert [told for told, _ in found] == pytest.approx([told for told, _ in right], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in right]
    assert found[-1][1]


def rounded(told: Any) -> Any:
    """Return what is told with its numbers rounded to what two ways of adding up agree in."""
    if isinstance(told, float):
        return pytest.approx(told, abs=1e-5)
    if isinstance(told, dict):
        return {token: rounded(value) for token, value in told.items()}
    return [rounded(one) for one in told] if isinstance(told, list) else told


def test_a_stream_tells_the_same_as_a_whole_answer(server: Server, post: Post, folder: Any) -> None:
    prompts = ["hello world", "überall 😀"]
    body = {"model": str(folder("llama")), "prompt": prompts, "temperature": 0, "max_tokens": 4, "n": 2}
    body |= {"echo": True, "logprobs": 2}
    whole = post(body)
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body | {"stream": True}, timeout=60) as response:
        *lines, done = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data")]
    assert done == "[DONE]"
    chunks = [chunk for line in lines for chunk in json.loads(line)["choices"]]
    for choice in whole["choices"]:
        mine = [chunk for chunk in chunks if chunk["index"] == choice["index"]]
        assert "".join(chunk["text"] for chunk in mine) == choice["text"]
        assert choice["text"].startswith(prompts[choice["index"] // 2])
        for name, told in choice["logprobs"].items():
            parts = [one for chunk in mine if chunk["logprobs"] for one in chunk["logprobs"][name]]
            # The second request finds its prompt read already: the last bits may be others.
            assert parts == rounded(told)
        text, found = choice["text"], choice["logprobs"]
        for token, place in zip(found["tokens"], found["text_offset"], strict=True):
            assert token.startswith("bytes:") or text.startswith(token, place)


def test_the_best_of_several_answers_are_those_with_the_highest_logprob_per_token(post: Post, folder: Any) -> None:
    body = {"model": str(folder("llama")), "prompt": "hello world", "temperature": 1, "max_tokens": 6, "seed": 1}
    every = post(body | {"n": 6, "logprobs": 0})
    best = post(body | {"n": 2, "best_of": 6})

    def mean(choice: Any) -> float:
        return statistics.fmean(choice["logprobs"]["token_logprobs"])

    ranked = sorted(every["choices"], key=mean, reverse=True)
    assert [choice["text"] for choice in best["choices"]] == [choice["text"] for choice in ranked[:2]]
    assert [(choice["index"], choice["logprobs"]) for choice in best["choices"]] == [(0, None), (1, None)]
    assert best["usage"]["completion_tokens"] == every["usage"]["completion_tokens"]
    echoed = post(body | {"n": 2, "best_of": 6, "echo": True})
    assert [choice["text"] for choice in echoed["choices"]] == [f"hello world{one['text']}" for one in ranked[:2]]
