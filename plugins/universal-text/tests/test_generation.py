"""Chats and completions from the request to the last event."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tiny.answers import chat_request, completion, gather
from tiny.causal import make_llama, make_scripted, make_scripted_tokens
from universal_core import BadRequest, ChatMessage, ContextLengthExceeded, TextPart

EMOJI = "😀".encode()


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model that always says ``Hello, world! See you.``"""
    return make_scripted(tmp_path_factory.mktemp("hello"), ["Hello", ", wor", "ld", "! S", "ee", " you."])


def test_a_scripted_answer_ends_by_itself(hello: Path, open_model: Any, ask: Any) -> None:
    (answer,) = ask(open_model(hello), chat_request("hi"))
    assert (answer.text, answer.reason) == ("Hello, world! See you.", "stop")
    assert answer.usage.completion_tokens == 7, "six pieces and the token that ends the answer"


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (("world",), "Hello, "),
        (("o, w",), "Hell"),
        (("ld! See y",), "Hello, wor"),
        (("nothing", "!"), "Hello, world"),
        (("Hello",), ""),
        (("you.",), "Hello, world! See "),
    ],
)
def test_stop_strings_across_tokens_never_leak(
    stop: tuple[str, ...], text: str, hello: Path, open_model: Any, ask: Any
) -> None:
    (answer,) = ask(open_model(hello), chat_request("hi", stop=stop))
    assert (answer.text, answer.reason) == (text, "stop")


def test_what_only_looked_like_a_stop_string_is_told(hello: Path, open_model: Any, ask: Any) -> None:
    (answer,) = ask(open_model(hello), chat_request("hi", stop=("you.!", "world?")))
    assert answer.text == "Hello, world! See you."


def test_max_tokens_ends_an_answer_and_lets_out_what_was_held_back(hello: Path, open_model: Any, ask: Any) -> None:
    (answer,) = ask(open_model(hello), chat_request("hi", max_tokens=2, stop=("world",)))
    assert (answer.text, answer.reason, answer.usage.completion_tokens) == ("Hello, wor", "length", 2)


def test_a_character_in_four_tokens_comes_out_whole(tmp_path: Path, open_model: Any, ask: Any) -> None:
    script = ["Oh ", *(EMOJI[i : i + 1] for i in range(4)), "!"]
    model = open_model(make_scripted_tokens(tmp_path, script))
    whole, cut = ask(model, chat_request("hi"), chat_request("hi", max_tokens=3))
    assert whole.by_index[0].pieces == ["Oh ", "😀", "!"]
    assert cut.by_index[0].pieces == ["Oh ", "\N{REPLACEMENT CHARACTER}"]


def test_logprobs_tell_the_bytes_of_a_split_character(tmp_path: Path, open_model: Any, ask: Any) -> None:
    script = ["Oh ", *(EMOJI[i : i + 1] for i in range(4)), "!"]
    (answer,) = ask(open_model(make_scripted_tokens(tmp_path, script)), chat_request("hi", logprobs=0))
    told = answer.by_index[0].logprobs
    assert b"".join(entry.data for entry in told) == "Oh 😀!".encode()
    assert [entry.token for entry in told] == ["Oh ", *["\N{REPLACEMENT CHARACTER}"] * 4, "!"]


def test_logprobs_of_a_stop_string_are_not_told(hello: Path, open_model: Any, ask: Any) -> None:
    (answer,) = ask(open_model(hello), chat_request("hi", logprobs=0, stop=("d! S",)))
    assert answer.text == "Hello, worl"
    assert [entry.token for entry in answer.by_index[0].logprobs] == ["Hello", ", wor", "ld"]


def test_logprobs_equal_a_direct_log_softmax(folder: Any, llama: Any, ask: Any) -> None:
    path = folder("llama")
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    read = tokenizer("hello world", return_tensors="pt")["input_ids"]
    full = model.generate(read, attention_mask=torch.ones_like(read), max_new_tokens=6, do_sample=False)
    with torch.inference_mode():
        expected = model(full).logits[0, read.shape[1] - 1 : -1].log_softmax(-1)
    (answer,) = ask(llama, completion("hello world", max_tokens=6, logprobs=3))
    told = answer.by_index[0].logprobs
    assert len(told) == 6
    for entry, row in zip(told, expected, strict=True):
        best = row.topk(3).values.tolist()
        assert [other.logprob for other in entry.alternatives] == pytest.approx(best, abs=1e-4)
        assert entry.logprob == pytest.approx(best[0], abs=1e-4)
        assert math.exp(entry.logprob) <= 1


def test_n_answers_are_told_apart_and_the_prompt_counts_once(llama: Any, ask: Any) -> None:
    request = completion("hello world", n=3, max_tokens=10, temperature=1.0, seed=5)
    (answer,) = ask(llama, request)
    assert sorted(answer.by_index) == [0, 1, 2]
    assert len({found.text for found in answer.by_index.values()}) == 3
    (single,) = ask(llama, completion("hello world", max_tokens=10, temperature=1.0, seed=5))
    assert answer.by_index[0] == single.by_index[0]
    assert answer.usage.prompt_tokens == single.usage.prompt_tokens


def test_more_answers_than_slots_are_all_written(folder: Any, open_model: Any, ask: Any) -> None:
    wide, narrow = open_model(folder("mistral"), slots=8), open_model(folder("mistral"), slots=2, prefill_chunk=4)
    request = completion("hello world, this is", n=5, max_tokens=12, temperature=1.0, seed=1)
    assert ask(wide, request) == ask(narrow, request)


def test_echo_comes_first_and_spaces_between_are_kept(llama: Any, ask: Any) -> None:
    echoed, plain = ask(llama, completion("hello", echo=True, max_tokens=4), completion("hello", max_tokens=4))
    assert echoed.text == "hello" + plain.text
    assert echoed.usage == plain.usage


def test_echo_alone_runs_nothing(llama: Any, ask: Any) -> None:
    (answer,) = ask(llama, completion("hello", echo=True, max_tokens=0, n=2))
    assert [found.text for found in answer.by_index.values()] == ["hello", "hello"]
    assert (answer.reason, answer.usage.completion_tokens) == ("length", 0)


def test_token_ids_are_a_prompt(folder: Any, llama: Any, ask: Any) -> None:
    ids = tuple(AutoTokenizer.from_pretrained(folder("llama"))("hello world")["input_ids"])
    by_ids, by_text = ask(llama, completion(ids, max_tokens=8, echo=True), completion("hello world", max_tokens=8))
    assert by_ids.text == "hello world" + by_text.text
    assert by_ids.usage.prompt_tokens == by_text.usage.prompt_tokens


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [({"max_tokens": 600}, ("512", "8 tokens", "600", "608")), ({"max_tokens": 505}, ("512", "8 tokens", "513"))],
)
def test_an_overflow_is_refused_with_the_numbers(fields: Any, numbers: tuple[str, ...], llama: Any, ask: Any) -> None:
    with pytest.raises(ContextLengthExceeded) as caught:
        ask(llama, completion(tuple(range(10, 18)), **fields))
    assert all(number in caught.value.message for number in numbers)


def test_a_prompt_that_leaves_no_room_is_refused(llama: Any, ask: Any) -> None:
    with pytest.raises(ContextLengthExceeded, match="512 tokens leaves no room"):
        ask(llama, completion((7,) * 512))


def test_without_max_tokens_the_context_is_the_end(folder: Any, open_model: Any, ask: Any) -> None:
    model = open_model(folder("llama"), n_ctx=20)
    (answer,) = ask(model, completion((7,) * 12, logit_bias={2: -100.0}))
    assert (answer.reason, answer.usage.total_tokens) == ("length", 20)
    assert ask(model, completion((7,) * 12, max_tokens=8))[0].usage.total_tokens <= 20


def test_a_ceiling_of_tokens_may_be_higher_than_the_context(folder: Any, open_model: Any, ask: Any) -> None:
    model = open_model(folder("llama"), n_ctx=20)
    endless: Any = {"logit_bias": {2: -100.0}, "max_tokens_is_ceiling": True}
    (answer,) = ask(model, completion((7,) * 12, max_tokens=32000, **endless))
    assert (answer.reason, answer.usage.total_tokens) == ("length", 20)
    (answer,) = ask(model, completion((7,) * 12, max_tokens=3, **endless))
    assert (answer.reason, answer.usage.completion_tokens) == ("length", 3)
    with pytest.raises(ContextLengthExceeded, match="20 tokens leaves no room"):
        ask(model, completion((7,) * 20, max_tokens=32000, **endless))


def test_a_request_may_ask_for_a_smaller_context_but_not_for_a_larger_one(llama: Any, ask: Any) -> None:
    (answer,) = ask(llama, completion((7,) * 12, n_ctx=20, logit_bias={2: -100.0}))
    assert (answer.reason, answer.usage.total_tokens) == ("length", 20)
    with pytest.raises(BadRequest, match="context is 512 tokens, 513 were asked for"):
        ask(llama, completion((7,) * 12, n_ctx=513))


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (completion(""), "prompt"),
        (completion(()), "prompt"),
        (completion((1, 400)), "prompt"),
        (completion((-1,)), "prompt"),
        (completion("a", logit_bias={400: 1.0}), "logit_bias"),
        (completion("a", suffix="b"), "suffix"),
        (chat_request("a", chat_template_kwargs={"chat_template": "{{ 1 }}"}), "chat_template_kwargs"),
    ],
)
def test_what_is_wrong_is_refused_by_name(request_: Any, param: str, llama: Any, ask: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        ask(llama, request_)
    assert caught.value.param == param


def test_a_template_that_refuses_the_messages_is_the_requests_fault(tmp_path: Path, open_model: Any, ask: Any) -> None:
    template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(BadRequest, match="roles must alternate") as caught:
        ask(open_model(make_llama(tmp_path, chat_template=template)), chat_request("a"))
    assert caught.value.param == "messages"


def test_template_arguments_reach_the_template(tmp_path: Path, open_model: Any, ask: Any) -> None:
    template = "{% if long %}the quick brown fox{% else %}the{% endif %}"
    model = open_model(make_llama(tmp_path, chat_template=template))
    short, long = ask(
        model,
        chat_request("a", max_tokens=1),
        chat_request("a", max_tokens=1, chat_template_kwargs={"long": True}),
    )
    assert short.usage.prompt_tokens < long.usage.prompt_tokens


def test_several_text_parts_are_one_text(llama: Any, ask: Any) -> None:
    parts = ChatMessage(role="user", content=(TextPart(text="hello "), TextPart(text="world")))
    one = chat_request("hello world", max_tokens=6, temperature=0.0)
    two = chat_request("", max_tokens=6, temperature=0.0)
    two = type(two)(messages=(parts,), max_tokens=6, temperature=0.0)
    assert len({answer.text for answer in ask(llama, one, two)}) == 1


def test_a_model_without_a_template_gets_the_plain_format(tmp_path: Path, open_model: Any, ask: Any) -> None:
    path = make_scripted(tmp_path, ["A lla", "ma.", "\n\nUs", "er:\n", "Really?"], chat_template=None)
    (answer,) = ask(open_model(path), chat_request("What is that?"))
    assert (answer.text, answer.reason) == ("A llama.", "stop")


def test_the_usage_of_a_chat_counts_the_prompt_of_the_template(folder: Any, llama: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("llama"))
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True)["input_ids"]
    answer = asyncio.run(gather(llama.chat(chat_request("hi", max_tokens=1))))
    assert answer.usage.prompt_tokens == len(ids)
