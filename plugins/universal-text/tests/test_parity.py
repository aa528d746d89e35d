"""What a model writes here is what transformers' own generate() writes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tiny.answers import chat_request, completion, gather

PROMPTS = (
    "hello world",
    "the quick brown fox jumps over the lazy dog. " * 4,
    "0 1 2 3",
    "überall 漢字 😀 " * 6,
)
ARCHITECTURES = ("llama", "qwen3", "mistral", "gemma3", "mixture", "gpt2", "mamba")


def generate(path: Path, prompt: str, most: int, **settings: Any) -> tuple[str, int, int]:
    """Return the text of generate(), and how many tokens it read and wrote."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    read = tokenizer(prompt, return_tensors="pt")["input_ids"]
    out = model.generate(read, attention_mask=torch.ones_like(read), max_new_tokens=most, do_sample=False, **settings)
    written = out[0, read.shape[1] :]
    return tokenizer.decode(written, skip_special_tokens=True), read.shape[1], len(written)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_text_equals_generate_alone_and_beside_others(name: str, folder: Any, open_model: Any, ask: Any) -> None:
    path = folder(name)
    expected = [generate(path, prompt, 24) for prompt in PROMPTS]
    model = open_model(path, slots=3, prefill_chunk=16)
    requests = [completion(prompt, max_tokens=24) for prompt in PROMPTS]
    alone = [ask(model, request)[0] for request in requests]
    together = ask(model, *requests)
    for want, one, two in zip(expected, alone, together, strict=True):
        assert one == two
        assert (one.text, one.usage.prompt_tokens, one.usage.completion_tokens) == want


@pytest.mark.parametrize("chunk", [1, 7, 64, 512])
@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2"])
def test_a_prompt_read_in_pieces_equals_one_read_whole(
    name: str, chunk: int, folder: Any, open_model: Any, ask: Any
) -> None:
    path = folder(name)
    text, *_ = generate(path, PROMPTS[1], 16)
    assert ask(open_model(path, prefill_chunk=chunk), completion(PROMPTS[1], max_tokens=16))[0].text == text


def test_repetition_penalty_equals_generate(folder: Any, open_model: Any, ask: Any) -> None:
    path = folder("qwen3")
    text, *_ = generate(path, "hello world", 24, repetition_penalty=1.7)
    request = completion("hello world", max_tokens=24, repetition_penalty=1.7)
    assert ask(open_model(path), request)[0].text == text
    assert text != generate(path, "hello world", 24)[0]


def test_a_chat_reads_what_the_models_template_writes(folder: Any, llama: Any, ask: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("llama"))
    turns = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    chat, complete = ask(
        llama, chat_request("a", "b", "c", max_tokens=12, temperature=0.0), completion(prompt, max_tokens=12)
    )
    assert (chat.text, chat.usage) == (complete.text, complete.usage)


def test_thirty_requests_at_once_equal_their_solo_runs(llama: Any, ask: Any) -> None:
    requests = [
        completion(PROMPTS[n % 4][n % 6 :], max_tokens=3 + n, temperature=0.9 * (n % 2), seed=n, top_p=0.9)
        for n in range(30)
    ]
    together = ask(llama, *requests)
    assert together == [ask(llama, request)[0] for request in requests]


def test_requests_from_several_loops_one_after_another(llama: Any) -> None:
    request = completion("hello", max_tokens=4)
    assert asyncio.run(gather(llama.complete(request))) == asyncio.run(gather(llama.complete(request)))
