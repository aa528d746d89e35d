"""Both speech backends keep the contract that the core's kit checks, in real worker processes."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from universal_core.testing import BackendContract


class TestKokoro(BackendContract):
    options: ClassVar[dict[str, Any]] = {"device": "cpu", "threads": 1}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, kokoro: Path) -> None:
        type(self).model = str(kokoro)


class TestTransformers(BackendContract):
    options: ClassVar[dict[str, Any]] = {"device": "cpu", "threads": 1}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, vits: Path) -> None:
        type(self).model = str(vits)
