"""The backend keeps the contract that the core's kit checks, in real worker processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from universal_core.testing import BackendContract

Folder = Callable[[str], Path]


class TestStableDiffusion(BackendContract):
    options: ClassVar[dict[str, Any]] = {"dtype": "float32"}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, folder: Folder) -> None:
        type(self).model = str(folder("stable_diffusion"))


class TestFlux(BackendContract):
    options: ClassVar[dict[str, Any]] = {"dtype": "float32"}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, folder: Folder) -> None:
        type(self).model = str(folder("flux"))
