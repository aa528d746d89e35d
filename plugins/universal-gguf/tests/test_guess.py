"""Guessing ahead: the answer is the same as without, in fewer steps."""

from pathlib import Path
from typing import Any

import pytest

from tiny.answers import Answers, chat_request, completion
from tiny.gguf import make_gguf_llama, make_gguf_scripted
from tiny.writing import agree
from universal_core import LoadFailed

NEVER_ENDS = {0: -100.0, 2: -100.0}
PHRASE = "the quick brown fox jumps over the lazy dog, "
REQUESTS = [
    completion(PHRASE * 5, max_tokens=40, logit_bias=NEVER_ENDS),
    completion(PHRASE * 5, max_tokens=40, temperature=0.8, seed=3, top_p=0.9, logit_bias=NEVER_ENDS),
    completion("0 1 2 0 1 2 0 1", max_tokens=30, temperature=1.2, seed=4, repetition_penalty=1.1),
    completion("hello world " * 8, max_tokens=30, n=3, temperature=1.0, seed=6),
    completion("hello world", max_tokens=25, presence_penalty=0.5, logprobs=2),
    chat_request("a b a b a b", "a b a b", "a b", max_tokens=20, temperature=0.0),
]


def counting_steps(model: Any) -> list[int]:
    """Return a list to which every step of a model adds how many tokens it reads."""
    decoder, steps = model._contexts.usual._decoder, []
    step = decoder.step

    def counted(pieces: Any) -> int:
        steps.append(sum(len(piece.tokens) for piece in pieces))
        return int(step(pieces))

    decoder.step = counted
    return steps


def same(one: Answers, other: Answers) -> bool:
    """Whether answers say the same; log-probabilities are rounded, since a step of several adds up in another order."""
    return [(found.text, found.reason) for found in one.by_index.values()] == [
        (found.text, found.reason) for found in other.by_index.values()
    ] and (one.usage.completion_tokens == other.usage.completion_tokens)


@pytest.fixture(params=["lookup", "draft"])
def guessing(request: pytest.FixtureRequest, gguf_file: Any) -> dict[str, Any]:
    """Return the options of a model that guesses; a draft model that is the model itself is nearly always right."""
    return {"lookup_tokens": 4} if request.param == "lookup" else {"draft_model": str(gguf_file("llama"))}


@pytest.mark.parametrize("together", [False, True])
def test_answers_are_the_same_with_and_without(
    together: bool, guessing: dict[str, Any], new_model: Any, ask_writer: Any
) -> None:
    plain, guessed = new_model("llama"), new_model("llama", **guessing)
    for requests in [REQUESTS] if together else [[request] for request in REQUESTS]:
        for one, other in zip(ask_writer(plain, *requests), ask_writer(guessed, *requests), strict=True):
            assert same(one, other)


def test_a_window_and_guesses_go_together(new_model: Any, ask_writer: Any) -> None:
    plain, guessed = new_model("gemma3"), new_model("gemma3", lookup_tokens=6)
    settings = {"max_tokens": 40, "logit_bias": NEVER_ENDS, "logprobs": 0}
    requests = [completion(PHRASE[place:] * 3, **settings) for place in range(6)]
    for one, other in zip(ask_writer(plain, *requests), ask_writer(guessed, *requests), strict=True):
        assert agree(one, other, 0.01)


def test_a_recurrent_model_does_not_guess(new_model: Any, ask_writer: Any) -> None:
    plain, guessed = new_model("mamba"), new_model("mamba", lookup_tokens=6)
    for one, other in zip(ask_writer(plain, *REQUESTS), ask_writer(guessed, *REQUESTS), strict=True):
        assert same(one, other)


SCRIPT = ("One", " two", " three", " four", " five", " six")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return make_gguf_scripted(tmp_path / "scripted.gguf", SCRIPT)


def test_an_answer_that_repeats_its_prompt_takes_fewer_steps(script: Path, new_model: Any, ask_writer: Any) -> None:
    model = new_model(script, lookup_tokens=4)
    steps = counting_steps(model)
    (answer,) = ask_writer(model, chat_request("".join(SCRIPT), temperature=1.0))
    assert answer.text == "".join(SCRIPT)
    assert answer.usage.completion_tokens == 7
    assert len(steps) <= 4, "the prompt, two tokens to look up, and the rest at once"


def test_a_draft_model_that_is_right_takes_fewer_steps(gguf_file: Any, new_model: Any, ask_writer: Any) -> None:
    model = new_model("scripted", draft_model=str(gguf_file("scripted")), draft_tokens=4)
    steps = counting_steps(model)
    (answer,) = ask_writer(model, chat_request("hi", temperature=1.0))
    assert answer.text == "Hello, world! See you."
    assert len(steps) <= 4


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        ({"max_tokens": 3}, "One two three", "length"),
        ({"max_tokens": 4}, "One two three four", "length"),
        ({"stop": ("four",)}, "One two three ", "stop"),
        ({"stop": ("e f",)}, "One two thre", "stop"),
        ({}, "One two three four five six", "stop"),
    ],
)
def test_an_answer_may_end_among_the_guesses(
    fields: Any, text: str, reason: str, script: Path, new_model: Any, ask_writer: Any
) -> None:
    model = new_model(script, lookup_tokens=6)
    request = chat_request("".join(SCRIPT), temperature=1.0, **fields)
    for _ in range(2):
        (answer,) = ask_writer(model, request)
        assert (answer.text, answer.reason) == (text, reason)
        assert answer.usage.completion_tokens <= fields.get("max_tokens", 7)
    (several,) = ask_writer(model, chat_request("".join(SCRIPT), temperature=1.0, n=3, **fields))
    assert [found.text for found in several.by_index.values()] == [text] * 3


def test_what_was_guessed_wrong_is_not_taken_for_read(
    guessing: dict[str, Any], new_model: Any, ask_writer: Any
) -> None:
    model = new_model("llama", **guessing)
    text = PHRASE * 3
    for turn in range(4):
        (answer,) = ask_writer(model, completion(text, max_tokens=6, echo=False, logit_bias=NEVER_ENDS))
        (fresh,) = ask_writer(new_model("llama"), completion(text, max_tokens=6, logit_bias=NEVER_ENDS))
        assert answer.text == fresh.text
        assert turn == 0 or answer.usage.cached_tokens > 20
        text += "the quick brown " if turn % 2 else PHRASE


def test_guesses_give_way_where_the_cache_is_full(new_model: Any, ask_writer: Any) -> None:
    prompts = [tuple(60 + (place * step) % 7 for place in range(40)) for step in range(1, 7)]
    requests = [completion(prompt, max_tokens=60, logit_bias=NEVER_ENDS) for prompt in prompts]
    expected = [ask_writer(new_model("llama"), request)[0].text for request in requests]
    model = new_model("llama", n_ctx=128, cache_tokens=256, lookup_tokens=8)
    assert [answer.text for answer in ask_writer(model, *requests)] == expected


def test_a_draft_model_with_other_tokens_is_refused(tmp_path: Path, gguf_file: Any, new_model: Any) -> None:
    other = make_gguf_llama(tmp_path / "other.gguf", vocabulary=300)
    with pytest.raises(LoadFailed, match=r"other.gguf knows 300 tokens"):
        new_model("llama", draft_model=str(other))
    with pytest.raises(LoadFailed, match="state that cannot go back"):
        new_model("llama", draft_model=str(gguf_file("mamba")))
