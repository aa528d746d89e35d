"""What a model writes here is what transformers' own generate() writes."""

import asyncio
from typing import Any

import pytest
from transformers import AutoTokenizer

from tiny.answers import alike, chat_request, completion, gather
from tiny.generating import generated

PROMPTS = (
    "hello world",
    "the quick brown fox jumps over the lazy dog. " * 4,
    "0 1 2 3",
    "überall 漢字 😀 " * 6,
)
NAMES = ("llama", "qwen3", "mistral", "gemma3", "mixture", "gpt2", "mamba")


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_and_logprobs_equal_generate_alone_and_beside_others(
    name: str, folder: Any, open_model: Any, ask: Any
) -> None:
    path = folder(name)
    expected = [generated(path, prompt, 24) for prompt in PROMPTS]
    assert min(one.margin for one in expected) > 1e-3, "no two tokens are as good as each other"
    model = open_model(path, slots=3, prefill_chunk=16)
    requests = [completion(prompt, max_tokens=24, logprobs=5) for prompt in PROMPTS]
    alone = [ask(model, request)[0] for request in requests]
    together = ask(model, *requests)
    for want, *found in zip(expected, alone, together, strict=True):
        for one in found:
            assert want.explains(one.by_index[0])
            assert (one.usage.prompt_tokens, one.usage.completion_tokens) == (want.read, len(want.tokens))


@pytest.mark.parametrize("chunk", [1, 7, 64, 512])
@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2"])
def test_a_prompt_read_in_pieces_equals_one_read_whole(
    name: str, chunk: int, folder: Any, open_model: Any, ask: Any
) -> None:
    path = folder(name)
    text = generated(path, PROMPTS[1], 16).text
    assert ask(open_model(path, prefill_chunk=chunk), completion(PROMPTS[1], max_tokens=16))[0].text == text


def test_repetition_penalty_equals_generate(folder: Any, open_model: Any, ask: Any) -> None:
    path = folder("qwen3")
    text = generated(path, "hello world", 24, repetition_penalty=1.7).text
    request = completion("hello world", max_tokens=24, repetition_penalty=1.7)
    assert ask(open_model(path), request)[0].text == text
    assert text != generated(path, "hello world", 24).text


def test_a_chat_reads_what_the_models_template_writes(folder: Any, llama: Any, ask: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("llama"))
    turns = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    chat, complete = ask(
        llama, chat_request("a", "b", "c", max_tokens=12, temperature=0.0), completion(prompt, max_tokens=12)
    )
    assert alike(chat, complete)


def test_thirty_requests_at_once_equal_their_solo_runs(llama: Any, ask: Any) -> None:
    requests = [
        completion(PROMPTS[n % 4][n % 6 :], max_tokens=3 + n, temperature=0.9 * (n % 2), seed=n, top_p=0.9)
        for n in range(30)
    ]
    together = ask(llama, *requests)
    assert all(alike(one, ask(llama, request)[0]) for one, request in zip(together, requests, strict=True))


def test_requests_from_several_loops_one_after_another(llama: Any) -> None:
    request = completion("hello", max_tokens=4)
    assert alike(asyncio.run(gather(llama.complete(request))), asyncio.run(gather(llama.complete(request))))
