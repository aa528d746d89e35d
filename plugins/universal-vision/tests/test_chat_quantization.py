"""Options of the models that write which those that see have too, or refuse."""

from contextlib import closing
from typing import Any

import pytest

from tiny.chatting import answers, load
from tiny.conversations import see
from tiny.media import RED, encoded, picture
from universal_core import ImagePart, LoadFailed

RED_PART = ImagePart(data=encoded(picture(RED, (64, 48))))


def test_a_model_that_sees_is_quantized_as_it_is_loaded(folder: Any) -> None:
    with closing(load(folder("visual_chat.llava"), quantization="torchao-int8")) as model:
        first, second = answers(model, *[see("?", RED_PART, max_tokens=4)] * 2)
    assert first.text == second.text
    assert first.usage.completion_tokens > 0


def test_a_model_that_sees_is_not_compiled(folder: Any) -> None:
    with pytest.raises(LoadFailed, match="compile cannot be had with this model: it reads more than tokens"):
        load(folder("visual_chat.llava"), compile=True)
