"""The backend that says where things are keeps the contract of the core's kit, in real worker processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from universal_core.testing import BackendContract

OPTIONS = {"dtype": "float32", "device": "cpu", "threads": 1}


class TestBoxesAndMasks(BackendContract):
    model: ClassVar[str]
    options: ClassVar[dict[str, Any]] = OPTIONS

    @pytest.fixture(autouse=True)
    def _model(self, folder: Callable[[str], Path]) -> None:
        type(self).model = str(folder("regions.detr_segmentation"))


class TestDescribed(BackendContract):
    model: ClassVar[str]
    options: ClassVar[dict[str, Any]] = OPTIONS

    @pytest.fixture(autouse=True)
    def _model(self, folder: Callable[[str], Path]) -> None:
        type(self).model = str(folder("regions.owlvit"))


class TestDepths(BackendContract):
    model: ClassVar[str]
    options: ClassVar[dict[str, Any]] = OPTIONS

    @pytest.fixture(autouse=True)
    def _model(self, folder: Callable[[str], Path]) -> None:
        type(self).model = str(folder("regions.depth_anything"))
