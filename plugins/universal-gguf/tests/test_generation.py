"""Chats and completions from the request to the last event: against llama-cpp-python itself, and by what must hold."""

import asyncio
import math
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tiny.answers import Answers, chat_request, completion, gather
from tiny.gguf import add_text, make_gguf_from_transformers, make_gguf_scripted
from tiny.writing import agree, ask_all, greedy, load
from universal_core import BadRequest, ChatMessage, ContextLengthExceeded, TextPart, UniversalError

PROMPTS = [
    "hello world",
    "the quick brown fox jumps over the lazy dog. " * 4,
    "0 1 2 3",
    "überall 漢字 😀 " * 6,
    *(f"{word} is a tiny tokenizer" for word in ("this", "the", "that fox", "a dog", "city", "spot", "{", "null")),
    *(f"hello world, the quick {word}" for word in ("dog", "fox", "brown fox", "lazy")),
]
MODELS = ("llama", "qwen3", "gemma3", "mamba", "Q4_K_M", "Q8_0", "split")
# Quantized weights read their input in 8 bits, and Gemma's GELU is a table of half precision: the last digit of a sum,
# which depends on what else is in a step, may move it to the next value.
TIES = {"Q4_K_M": 0.05, "Q8_0": 0.05, "gemma3": 0.01}
NEVER_ENDS = {0: -100.0, 2: -100.0}
"""A bias against both tokens that end an answer."""


def tokens_of(answers: Answers) -> list[bytes]:
    """Return the tokens of a first answer, whole even where they are no text."""
    return [entry.data for entry in answers.by_index[0].logprobs]


def encoded(model: Any) -> list[list[int]]:
    return [model._vocabulary.encode(prompt, special=True) for prompt in PROMPTS]


@pytest.mark.parametrize("name", MODELS)
def test_greedy_answers_equal_llama_cpp_pythons_own_alone_and_beside_others(
    name: str, gguf_file: Any, new_model: Any, ask_writer: Any
) -> None:
    model = new_model(name)
    prompts = encoded(model)
    expected = [
        [model._vocabulary.bytes_of(token) for token in tokens] for tokens in greedy(gguf_file(name), prompts, 20)
    ]
    requests = [completion(tuple(prompt), max_tokens=20, logprobs=2) for prompt in prompts]
    together = ask_writer(model, *requests)
    alone = [ask_writer(model, request)[0] for request in requests]
    for found in (together, alone):
        different = [pair for pair in zip(found, expected, strict=True) if tokens_of(pair[0]) != pair[1]]
        assert len(different) <= (2 if name in TIES else 0)
        assert all(parts_at_a_tie(*pair, TIES[name]) for pair in different)
    assert any(len(tokens) == 20 for tokens in expected)


def parts_at_a_tie(answers: Answers, expected: list[bytes], tie: float) -> bool:
    """Whether an answer first differs where two tokens are nearly as likely."""
    entries = answers.by_index[0].logprobs
    first = next(place for place, entry in enumerate(entries) if entry.data != expected[place])
    best, second = entries[first].alternatives
    return best.logprob - second.logprob < tie


def test_the_default_number_formats_give_the_same_to_their_precision(new_model: Any, ask_writer: Any) -> None:
    defaults = {"cache_type_k": "f16", "cache_type_v": "f16", "flash_attn": "auto"}
    request = completion("hello world", max_tokens=1, logprobs=20)
    (exact,), (usual,) = ask_writer(new_model("llama"), request), ask_writer(new_model("llama", **defaults), request)
    one, two = ({entry.data: entry.logprob for entry in told(found)} for found in (exact, usual))
    shared = one.keys() & two.keys()
    assert len(shared) > 15
    assert all(abs(one[data] - two[data]) < 0.02 for data in shared)


def told(answers: Answers) -> Any:
    return answers.by_index[0].logprobs[0].alternatives


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_log_probabilities_are_those_of_the_same_weights_through_transformers(
    kind: str, tmp_path: Path, new_model: Any, ask_writer: Any
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tiny import causal

    folder = getattr(causal, f"make_{kind}")(tmp_path / "source")
    model = new_model(make_gguf_from_transformers(tmp_path / "gguf" / "model.gguf", folder))
    reference = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for prompt in PROMPTS[:4]:
        ids = tokenizer(prompt)["input_ids"]
        assert ids == model._vocabulary.encode(prompt, special=True)
        with torch.inference_mode():
            logits = reference(torch.tensor([ids])).logits[0, -1]
        expected = logits.log_softmax(-1)
        request = completion(tuple(ids), max_tokens=1, logprobs=20, logit_bias={60: 100.0})
        found = told(ask_writer(model, request)[0])
        scale = float(logits.abs().max())
        best = expected.topk(20)
        assert [entry.data for entry in found] == [model._vocabulary.bytes_of(token) for token in best.indices.tolist()]
        assert [entry.logprob for entry in found] == pytest.approx(best.values.tolist(), abs=1e-3 * scale)


def test_a_scripted_answer_is_said_at_temperature_1_and_ends_by_itself(shared_model: Any, ask_writer: Any) -> None:
    for answer in ask_writer(shared_model("scripted"), *[chat_request("hi", temperature=1.0)] * 4):
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
        (("you.!", "world?"), "Hello, world! See you."),
    ],
)
def test_stop_strings_across_tokens_never_leak(
    stop: tuple[str, ...], text: str, shared_model: Any, ask_writer: Any
) -> None:
    (answer,) = ask_writer(shared_model("scripted"), chat_request("hi", stop=stop))
    assert (answer.text, answer.reason) == (text, "stop")


def test_a_character_in_four_tokens_comes_out_whole(tmp_path: Path, new_model: Any, ask_writer: Any) -> None:
    emoji = "😀".encode()
    script = ["Oh ", *(emoji[place : place + 1] for place in range(4)), "!"]
    model = new_model(make_gguf_scripted(tmp_path / "emoji.gguf", script))
    whole, cut = ask_writer(model, chat_request("hi"), chat_request("hi", max_tokens=3))
    assert whole.by_index[0].pieces == ["Oh ", "😀", "!"]
    assert cut.by_index[0].pieces == ["Oh ", "\N{REPLACEMENT CHARACTER}"]


def test_a_chat_reads_what_the_template_of_the_file_writes(shared_model: Any, ask_writer: Any) -> None:
    written = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
    chat, complete = ask_writer(
        shared_model("llama"),
        chat_request("a", "b", "c", max_tokens=12, temperature=0.0),
        completion(f"{written}<|im_start|>assistant\n", max_tokens=12),
    )
    assert chat.text == complete.text
    assert chat.usage.prompt_tokens == complete.usage.prompt_tokens


def test_a_template_of_ones_own_takes_the_place_of_the_models(tmp_path: Path, new_model: Any, ask_writer: Any) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("the fox: {{ messages[0].content }}")
    expected = completion("the fox: hi", max_tokens=8)
    for template in (str(file), file.read_text()):
        chat, complete = ask_writer(
            new_model("llama", chat_template=template), chat_request("hi", max_tokens=8, temperature=0.0), expected
        )
        assert (chat.text, chat.usage.prompt_tokens) == (complete.text, complete.usage.prompt_tokens)


def test_a_template_that_refuses_is_the_requests_fault(new_model: Any, ask_writer: Any) -> None:
    model = new_model("llama", chat_template="{{ raise_exception('roles must alternate') }}")
    with pytest.raises(BadRequest, match="roles must alternate") as caught:
        ask_writer(model, chat_request("a"))
    assert caught.value.param == "messages"


def test_a_model_without_a_template_gets_the_plain_format(tmp_path: Path, new_model: Any, ask_writer: Any) -> None:
    script = ["A lla", "ma.", "\n\nUs", "er:\n", "Really?"]
    model = new_model(make_gguf_scripted(tmp_path / "plain.gguf", script, chat_template=None))
    (answer,) = ask_writer(model, chat_request("What is that?"))
    assert (answer.text, answer.reason) == ("A llama.", "stop")


def test_several_text_parts_are_one_text(shared_model: Any, ask_writer: Any) -> None:
    one = chat_request("hello world", max_tokens=6, temperature=0.0)
    parts = ChatMessage(role="user", content=(TextPart(text="hello "), TextPart(text="world")))
    two = type(one)(messages=(parts,), max_tokens=6, temperature=0.0)
    assert len({answer.text for answer in ask_writer(shared_model("llama"), one, two)}) == 1


def test_a_seed_gives_the_same_text_whatever_runs_beside_it(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("llama")
    request = completion("hello", max_tokens=20, temperature=1.5, seed=7)
    first = ask_writer(model, request)[0]
    crowd = [completion("other", max_tokens=30, temperature=1.0) for _ in range(5)]
    assert ask_writer(model, *crowd, request)[-1].by_index == first.by_index
    assert ask_writer(model, completion("hello", max_tokens=20, temperature=1.5, seed=8))[0].text != first.text


@pytest.mark.parametrize("name", ["llama", "mamba"])
@pytest.mark.parametrize("slots", [1, 2, 8])
def test_n_answers_are_told_apart_and_the_prompt_counts_once(
    name: str, slots: int, shared_model: Any, ask_writer: Any
) -> None:
    model = shared_model(name, slots=slots)
    request = completion("hello world", n=5, max_tokens=10, temperature=1.0, seed=5, logit_bias=NEVER_ENDS)
    (answer,) = ask_writer(model, request)
    assert sorted(answer.by_index) == [0, 1, 2, 3, 4]
    assert len({found.text for found in answer.by_index.values()}) == 5
    (single,) = ask_writer(
        model, completion("hello world", max_tokens=10, temperature=1.0, seed=5, logit_bias=NEVER_ENDS)
    )
    assert answer.by_index[0] == single.by_index[0]
    assert answer.usage.prompt_tokens == single.usage.prompt_tokens
    assert answer.usage.completion_tokens == 50


def test_many_more_answers_than_the_context_has_sequences(shared_model: Any, ask_writer: Any) -> None:
    request = completion("hello world", n=64, max_tokens=5, temperature=1.0, seed=5)
    (narrow,), (wide,) = (ask_writer(shared_model("llama", slots=slots), request) for slots in (2, 8))
    assert narrow.by_index == wide.by_index


def test_echo_comes_first_and_alone_runs_nothing(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("llama")
    echoed, plain, alone = ask_writer(
        model,
        completion("hello", echo=True, max_tokens=4),
        completion("hello", max_tokens=4),
        completion("hello", echo=True, max_tokens=0, n=2),
    )
    assert echoed.text == "hello" + plain.text
    assert [found.text for found in alone.by_index.values()] == ["hello", "hello"]
    assert (alone.reason, alone.usage.completion_tokens) == ("length", 0)


def test_logprobs_of_an_answer_are_those_of_its_tokens(shared_model: Any, ask_writer: Any) -> None:
    (answer,) = ask_writer(
        shared_model("llama"), completion("hello world", max_tokens=6, logprobs=3, logit_bias=NEVER_ENDS)
    )
    entries = answer.by_index[0].logprobs
    assert len(entries) == 6
    for entry in entries:
        values = [other.logprob for other in entry.alternatives]
        assert values == sorted(values, reverse=True)
        assert math.fsum(map(math.exp, values)) <= 1
        if entry.data == entry.alternatives[0].data:
            assert entry.logprob == values[0]


def test_logit_bias_forces_a_token(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("llama")
    (token,) = model._vocabulary.encode("z", special=False)
    (answer,) = ask_writer(model, completion("hello", max_tokens=4, temperature=1.0, logit_bias={token: 100.0}))
    assert answer.text == "zzzz"


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [({"max_tokens": 600}, ("512", "8 tokens", "600", "608")), ({"max_tokens": 505}, ("512", "8 tokens", "513"))],
)
def test_an_overflow_is_refused_with_the_numbers(
    fields: Any, numbers: tuple[str, ...], shared_model: Any, ask_writer: Any
) -> None:
    with pytest.raises(ContextLengthExceeded) as caught:
        ask_writer(shared_model("llama"), completion(tuple(range(10, 18)), **fields))
    assert all(number in caught.value.message for number in numbers)


def test_a_smaller_context_is_the_end_of_an_answer(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("llama")
    (answer,) = ask_writer(model, completion((7,) * 12, n_ctx=20, logit_bias=NEVER_ENDS))
    assert (answer.reason, answer.usage.total_tokens) == ("length", 20)
    with pytest.raises(ContextLengthExceeded, match="20"):
        ask_writer(model, completion((7,) * 12, n_ctx=20, max_tokens=9))


def test_a_larger_context_is_made_beside_the_usual_one(new_model: Any, ask_writer: Any) -> None:
    model = new_model("llama", n_ctx=64)
    request = completion("hello world", max_tokens=40, logit_bias=NEVER_ENDS)
    long = completion((60, 61, 62) * 40, max_tokens=20, n_ctx=200)
    usual, larger, again = ask_writer(model, request, long, completion("hello world", max_tokens=40, n_ctx=100))
    assert larger.usage.prompt_tokens == 120
    (expected,) = ask_writer(new_model("llama"), completion((60, 61, 62) * 40, max_tokens=20))
    assert larger.text == expected.text
    assert again.text == ask_writer(model, completion("hello world", max_tokens=40))[0].text
    assert usual.usage.completion_tokens == 40
    with pytest.raises(ContextLengthExceeded, match="64"):
        ask_writer(model, completion((7,) * 65))


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
def test_what_is_wrong_is_refused_by_name(request_: Any, param: str, shared_model: Any, ask_writer: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        ask_writer(shared_model("llama"), request_)
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["llama", "gemma3", "mamba"])
def test_the_next_turn_computes_only_what_is_new_and_says_the_same_as_a_fresh_model(
    name: str, new_model: Any, ask_writer: Any
) -> None:
    model = new_model(name)
    settings = {"max_tokens": 40, "temperature": 0.0, "logit_bias": NEVER_ENDS, "logprobs": 0}
    turns, read = ["the quick brown fox jumps over the lazy dog"], 0
    for turn in range(3):
        (answer,) = ask_writer(model, chat_request(*turns, **settings))
        (fresh,) = ask_writer(new_model(name), chat_request(*turns, **settings))
        assert agree(answer, fresh, TIES.get(name, 0.0))
        assert fresh.usage.cached_tokens == 0
        if turn and name != "mamba":
            assert answer.usage.cached_tokens >= read
        read = answer.usage.prompt_tokens
        turns += [answer.text, f"and {turn}?"]


def test_the_answer_itself_is_a_part_of_what_the_next_turn_need_not_compute(new_model: Any, ask_writer: Any) -> None:
    model = new_model("scripted")
    (first,) = ask_writer(model, chat_request("hi"))
    (second,) = ask_writer(model, chat_request("hi", first.text, "and now?"))
    assert second.text == first.text
    assert second.usage.cached_tokens == first.usage.prompt_tokens + 6


def test_a_conversation_whose_window_was_overwritten_is_read_again(new_model: Any, ask_writer: Any) -> None:
    model = new_model("gemma3", slots=2)
    settings = {"max_tokens": 24, "logit_bias": NEVER_ENDS, "logprobs": 0}
    prompts = [completion(f"number {place} is here", **settings) for place in range(9)]
    expected = [ask_writer(new_model("gemma3"), prompt)[0] for prompt in prompts]
    for found in (ask_writer(model, *prompts), [ask_writer(model, prompt)[0] for prompt in prompts]):
        assert all(agree(*pair, TIES["gemma3"]) for pair in zip(found, expected, strict=True))


def test_when_the_cache_is_full_all_answers_are_those_of_their_solo_runs(new_model: Any, ask_writer: Any) -> None:
    prompts = [[60 + (place * step) % 300 for place in range(40)] for step in range(1, 9)]
    requests = [completion(tuple(prompt), max_tokens=60, logit_bias=NEVER_ENDS) for prompt in prompts]
    alone = [ask_writer(new_model("llama"), request)[0].text for request in requests]
    # A context of 256 tokens, the least that llama.cpp makes, for 8 answers of 100.
    model = new_model("llama", n_ctx=128, cache_tokens=256)
    assert model._contexts.usual._decoder.cells == 256
    for _ in range(2):
        assert [answer.text for answer in ask_writer(model, *requests)] == alone


def test_cancelling_while_a_prompt_is_read_or_an_answer_written_frees_everything(new_model: Any) -> None:
    model = new_model("llama", n_ctx=512, n_batch=16)

    async def scenario() -> Answers:
        for prompt, most in (((60,) * 400, 1), ((60, 61), 400)):
            stream = model.complete(completion(prompt, max_tokens=most, logit_bias=NEVER_ENDS))
            task = asyncio.create_task(anext(stream))
            if most == 1:
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await stream.aclose()
        return await gather(model.complete(completion("hello", max_tokens=3)))

    asyncio.run(scenario())
    turns, cache = model._contexts.usual.engine._scheduler, model._contexts.usual.engine._runner._cache
    assert turns.idle
    assert not cache._running
    assert cache.available == cache.size


def test_one_of_several_streams_leaves_and_the_others_go_on(new_model: Any, ask_writer: Any) -> None:
    model = new_model("llama")
    requests = [completion(prompt, max_tokens=30, logit_bias=NEVER_ENDS) for prompt in PROMPTS[4:9]]
    expected = [answer.text for answer in ask_writer(model, *requests)]

    async def leave() -> None:
        async with aclosing(model.complete(completion("x", max_tokens=400, n=3, logit_bias=NEVER_ENDS))) as events:
            await anext(events)

    async def scenario() -> list[str]:
        found, *_ = await asyncio.gather(ask_all(model, *requests), *(leave() for _ in range(4)))
        return [answer.text for answer in found]

    assert asyncio.run(scenario()) == expected


def test_closing_a_busy_model_ends_its_answers(gguf_file: Any) -> None:
    model = load(gguf_file("llama"))

    async def scenario() -> None:
        streams = [model.complete(completion("x", max_tokens=400, logit_bias=NEVER_ENDS)) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        await asyncio.to_thread(model.close)
        for stream in streams:
            with pytest.raises(UniversalError):
                await gather(stream)
        with pytest.raises(UniversalError):
            await gather(model.complete(completion("x", max_tokens=4)))

    asyncio.run(scenario())
    assert not [thread for thread in threading.enumerate() if thread is model._contexts.usual.engine._thread]


def test_thirty_requests_at_once_equal_their_solo_runs(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("llama")
    requests = [
        completion(
            PROMPTS[place % 16][place % 6 :], max_tokens=3 + place, temperature=0.9 * (place % 2), seed=place, top_p=0.9
        )
        for place in range(30)
    ]
    together = ask_writer(model, *requests)
    assert [one.by_index for one in together] == [ask_writer(model, request)[0].by_index for request in requests]


def test_requests_from_several_loops_one_after_another(shared_model: Any) -> None:
    model, request = shared_model("llama"), completion("hello", max_tokens=4)
    one, two = (asyncio.run(gather(model.complete(request))) for _ in range(2))
    assert one.by_index == two.by_index


def test_settings_that_the_file_recommends_hold_where_a_request_has_none(
    tmp_path: Path, gguf_file: Any, new_model: Any, ask_writer: Any
) -> None:
    (tmp_path / "own").mkdir()
    model = new_model(add_text(gguf_file("llama"), tmp_path / "own" / "model.gguf", "general.sampling.temp", "0.0"))
    said, best = ask_writer(
        model, completion("hello", max_tokens=20, temperature=None), completion("hello", max_tokens=20)
    )
    assert said.text == best.text
