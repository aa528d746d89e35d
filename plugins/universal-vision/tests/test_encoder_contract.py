"""The backend of labels and vectors keeps the contract of the core's kit, in real worker processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from universal_core.testing import BackendContract


class _Contract(BackendContract):
    made: ClassVar[str]
    model: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {"dtype": "float32", "device": "cpu", "threads": 1}

    @pytest.fixture(autouse=True)
    def _model(self, folder: Callable[[str], Path]) -> None:
        type(self).model = str(folder(f"vision.{self.made}"))


class TestClassifier(_Contract):
    made = "vit"


class TestMatcher(_Contract):
    made = "clip"


class TestEncoder(_Contract):
    made = "dinov2"
