"""The backend that writes text keeps the contract that the core's kit checks, in real worker processes."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tiny.writing import EXACT
from universal_core.testing import BackendContract

SMALL: dict[str, Any] = {"n_ctx": 512, "slots": 4, "n_threads": 1, **EXACT}


class TestGeneration(BackendContract):
    options: ClassVar[dict[str, Any]] = SMALL
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, gguf_file: Any) -> None:
        path: Path = gguf_file("llama")
        type(self).model = str(path)


class TestRecurrent(BackendContract):
    options: ClassVar[dict[str, Any]] = SMALL
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, gguf_file: Any) -> None:
        path: Path = gguf_file("mamba")
        type(self).model = str(path)
