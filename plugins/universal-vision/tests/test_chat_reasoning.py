"""Chat models that see and think."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tiny.chatting import answers, load
from tiny.conversations import see
from tiny.media import BLUE, encoded, picture
from tiny.visual_chat import chat_template, make_llava
from universal_core import BadRequest, CaptionRequest, ImagePart, ResponseFormat

PICTURE = ImagePart(data=encoded(picture(BLUE, (64, 48))))
START = "<|im_start|>assistant\n{% endif -%}"


def template(beginning: str) -> str:
    """Return a template that begins every answer with a text."""
    plain = chat_template("<image>")
    assert START in plain
    return plain.replace(START, START.replace("{%", beginning + "{%"))


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a model whose template opens a thought."""
    model = load(make_llava(tmp_path_factory.mktemp("thinking"), template=template("<think>\n")))
    yield model
    model.close()


def test_a_thought_about_a_picture_ends_with_its_budget(thinking: Any) -> None:
    (answer,) = answers(thinking, see("what?", PICTURE, thinking_budget=4, max_tokens=40))
    assert answer.reasoning
    assert "</think>" not in answer.reasoning + answer.text
    closing = len("\n</think>\n\n")
    assert 4 <= answer.usage.reasoning_tokens <= 4 + 3 + closing


def test_the_answer_to_a_picture_has_its_form_after_the_thought(thinking: Any) -> None:
    form = ResponseFormat(type="choice", choices=("blue", "red"))
    (answer,) = answers(thinking, see("what?", PICTURE, thinking_budget=4, max_tokens=60, response_format=form))
    assert answer.reasoning
    assert answer.text in ("blue", "red")
    assert answer.reason == "stop"


def test_thinking_about_pictures_can_be_switched_off(thinking: Any, tmp_path: Path) -> None:
    closed = load(make_llava(tmp_path, template=template("<think>\n\n</think>\n\n")))
    (expected,) = answers(closed, see("what?", PICTURE, max_tokens=8))
    (answer,) = answers(thinking, see("what?", PICTURE, max_tokens=8, reasoning_effort="none"))
    closed.close()
    assert (answer.reasoning, answer.usage.reasoning_tokens) == ("", 0)
    assert (answer.text, answer.usage.prompt_tokens) == (expected.text, expected.usage.prompt_tokens)


def test_a_caption_is_written_without_thinking(thinking: Any) -> None:
    found = asyncio.run(thinking.caption(CaptionRequest(image=PICTURE.data, max_length=8)))
    (answer,) = answers(thinking, see(PICTURE, "Describe this image.", max_tokens=8, reasoning_effort="none"))
    assert (found.caption, found.usage) == (answer.text.strip(), answer.usage)
    assert found.usage.reasoning_tokens == 0


def test_a_model_that_does_not_think_cannot_be_asked_to(tmp_path: Path) -> None:
    model = load(make_llava(tmp_path))
    with pytest.raises(BadRequest) as caught:
        answers(model, see("what?", PICTURE, reasoning_effort="high"))
    model.close()
    assert caught.value.param == "reasoning_effort"
