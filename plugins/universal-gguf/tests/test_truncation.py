"""Conversations that are too long lose their oldest turns where that is asked for, those with pictures too."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiny.answers import chat_request
from tiny.conversations import converse
from tiny.gguf import make_gguf_scripted
from tiny.media import BLUE, GREEN, RED, encoded, picture
from tiny.projectors import make_gguf_qwen2vl, make_qwen2vl_projector
from tiny.writing import answers, load
from universal_core import ContextLengthExceeded, ImagePart
from universal_gguf.generation.model import GenerationModel

LONG = [f"turn number {place} of many" for place in range(41)]
PICTURES = [ImagePart(data=encoded(picture(color, (140, 90)))) for color in (RED, GREEN, BLUE)]


def test_the_oldest_turns_are_left_out(new_model: Any, ask_writer: Any) -> None:
    model = new_model("llama", n_ctx=512)
    fields = {"max_tokens": 16, "temperature": 0.0, "n_ctx": 200}
    with pytest.raises(ContextLengthExceeded, match="200 tokens"):
        ask_writer(model, chat_request(*LONG, **fields))
    (cut,) = ask_writer(model, chat_request(*LONG, truncation="auto", **fields))
    (short,) = ask_writer(model, chat_request(*LONG[cut.dropped :], **fields))
    assert cut.dropped > 0
    assert (cut.text, cut.usage.prompt_tokens, short.dropped) == (short.text, short.usage.prompt_tokens, 0)
    with pytest.raises(ContextLengthExceeded):
        ask_writer(model, chat_request(*LONG[cut.dropped - 2 :], **fields))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], GenerationModel]]:
    """Return a function that loads a model that sees, with a context."""
    folder = tmp_path_factory.mktemp("seeing")
    make_gguf_qwen2vl(folder / "model.gguf")
    make_qwen2vl_projector(folder / "mmproj-model.gguf")
    opened: list[GenerationModel] = []

    def make(context: int) -> GenerationModel:
        opened.append(load(folder / "model.gguf", n_ctx=context))
        return opened[-1]

    yield make
    for model in opened:
        model.close()


def test_turns_with_pictures_are_left_out_and_the_last_picture_is_seen(seeing: Any) -> None:
    red, green, blue = PICTURES
    turns = (("first", red), ("yes",), ("then", green), ("yes",), ("and this?", blue))
    fields = {"max_tokens": 8}
    (last,) = answers(seeing(512), converse(*turns[-1:], **fields))
    context = last.usage.prompt_tokens + 10
    model = seeing(context)
    with pytest.raises(ContextLengthExceeded):
        answers(model, converse(*turns, **fields))
    (cut,) = answers(model, converse(*turns, truncation="auto", **fields))
    assert (cut.dropped, cut.text, cut.usage.prompt_tokens) == (4, last.text, last.usage.prompt_tokens)
    with pytest.raises(ContextLengthExceeded, match=f"context is {context} tokens"):
        answers(model, converse(("look", *PICTURES), truncation="auto", **fields))


@pytest.mark.parametrize("template", [True, False])
def test_the_last_turn_goes_on_with_its_spaces(template: bool, tmp_path: Path, new_model: Any, ask_writer: Any) -> None:
    script = ["Hello", ", wor", "ld", "! S", "ee", " you."]
    plain = {} if template else {"chat_template": None}
    model = new_model(make_gguf_scripted(tmp_path / "model.gguf", script, **plain))
    continued = {"continue_final_message": True}
    one, two = ask_writer(
        model,
        chat_request("hi", "Hello", chat_template_kwargs=continued),
        chat_request("hi", "Hello, world! See", chat_template_kwargs=continued),
    )
    assert (one.text, two.text) == (", world! See you.", " you.")
    assert one.by_index[0].pieces == script[1:]
