"""LoRA adapters over a chat model that sees: what universal-text does with them, with pictures too."""

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiny.adapters import make_adapter
from tiny.chatting import answers, load
from tiny.conversations import see
from tiny.media import BLUE, RED, encoded, picture
from universal_core import ImagePart

PICTURES = [ImagePart(data=encoded(picture(color, (40, 33)))) for color in (RED, BLUE)]


@pytest.fixture
def adapters(folder: Any, tmp_path: Path) -> dict[str, str]:
    base = folder("visual_chat.qwen25_vl")
    return {
        name: str(make_adapter(tmp_path / name, base, seed=seed, kind="AutoModelForImageTextToText"))
        for seed, name in enumerate(("one", "two"))
    }


def test_several_at_once_each_write_what_they_write_alone(folder: Any, adapters: dict[str, str]) -> None:
    path = folder("visual_chat.qwen25_vl")
    plain = [see("what is it?", one, max_tokens=8, temperature=0.0) for one in PICTURES]
    requests = [msgspec.structs.replace(one, adapter=name) for one in plain for name in (None, "one", "two")]
    with closing(load(path, adapters=adapters, slots=4)) as model:
        together = answers(model, *requests)
        assert together == [answers(model, request)[0] for request in requests]
    assert len({answer.text for answer in together[:3]}) == 3
    with closing(load(path)) as model:
        assert answers(model, *plain) == [together[0], together[3]]
