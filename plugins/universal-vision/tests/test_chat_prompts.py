"""Prompts of chat models that see: cut to fit, written with a configured template, scored."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import torch

from tiny.answers import completion
from tiny.chatting import answers, load
from tiny.conversations import converse, see
from tiny.media import BLUE, GREEN, RED, encoded, picture
from universal_core import ContextLengthExceeded, ImagePart, UnsupportedField
from universal_vision.chat.model import VisionChatModel

RED_PART, GREEN_PART, BLUE_PART = (ImagePart(data=encoded(picture(color))) for color in (RED, GREEN, BLUE))
NAMES = ("llava", "qwen2_vl")


@pytest.fixture
def loaded(folder: Any) -> Iterator[Callable[..., VisionChatModel]]:
    with ExitStack() as stack:

        def make(name: str = "llava", **options: Any) -> VisionChatModel:
            return stack.enter_context(closing(load(folder(f"visual_chat.{name}"), **options)))

        yield make


@pytest.mark.parametrize("name", NAMES)
def test_turns_with_pictures_are_left_out_and_the_last_picture_is_seen(name: str, loaded: Any) -> None:
    turns = (("first", RED_PART), ("yes",), ("then", GREEN_PART), ("yes",), ("and this?", BLUE_PART))
    (last,) = answers(loaded(name), converse(*turns[-1:], max_tokens=8))
    model = loaded(name, n_ctx=last.usage.prompt_tokens + 10)
    with pytest.raises(ContextLengthExceeded):
        answers(model, converse(*turns, max_tokens=8))
    (cut,) = answers(model, converse(*turns, max_tokens=8, truncation="auto"))
    assert (cut.dropped, cut.text, cut.usage) == (4, last.text, last.usage)


def test_a_configured_template_goes_before_the_models_own(loaded: Any) -> None:
    request = see("what is it?", max_tokens=1)
    (own,) = answers(loaded(), request)
    (other,) = answers(loaded(chat_template="{{ messages[0].content }}"), request)
    assert other.usage.prompt_tokens < own.usage.prompt_tokens


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_is_scored_as_by_one_forward_pass(name: str, loaded: Any) -> None:
    model = loaded(name, prefill_chunk=4)
    request = completion("the quick brown fox jumps over", echo=True, logprobs=2, max_tokens=2)
    (answer,) = answers(model, request)
    tokens = model._vocabulary.encode(request.prompt, special=True)
    with torch.inference_mode():
        rows = model._engine._runner._model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
    first, *told = answer.by_index[0].logprobs[: len(tokens)]
    assert first.logprob is None
    expected = [float(row[token]) for row, token in zip(rows, tokens[1:], strict=False)]
    assert [entry.logprob for entry in told] == pytest.approx(expected, abs=1e-4)


def test_a_model_without_marks_refuses_a_suffix_by_name(loaded: Any) -> None:
    with pytest.raises(UnsupportedField) as caught:
        answers(loaded(), completion("a", suffix="b"))
    assert caught.value.param == "suffix"
