"""A captioner, a model for questions and Florence-2 keep the contract of the core's kit, in real worker processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tiny.captioning import PICTURES, describe, question
from universal_core import Request
from universal_core.testing import BackendContract


class _Contract(BackendContract):
    made: ClassVar[str]
    model: ClassVar[str]
    backend = "vision-captions"
    options: ClassVar[dict[str, Any]] = {"device": "cpu", "threads": 1}
    samples: ClassVar[dict[str, tuple[Request, Request]]] = {
        "caption": (describe(PICTURES[0]), describe(PICTURES[2])),
        "answer_question": (question(PICTURES[0]), question(PICTURES[2], "how many")),
    }

    @pytest.fixture(autouse=True)
    def _model(self, folder: Callable[[str], Path]) -> None:
        type(self).model = str(folder(f"captions.{self.made}"))


class TestBlip(_Contract):
    made = "blip"


class TestBlipForQuestions(_Contract):
    made = "blip_vqa"


class TestFlorence2(_Contract):
    made = "florence2"
    samples: ClassVar[dict[str, tuple[Request, Request]]] = {
        **_Contract.samples,
        "caption": (describe(PICTURES[0], "<OD>"), describe(PICTURES[2], "<CAPTION>")),
    }
