"""All backends keep the contract that the core's kit checks, in real worker processes."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tiny.causal import make_llama
from tiny.classifiers import make_classifier, make_judge, make_token_classifier
from tiny.encoders import make_sentence_transformer
from universal_core.testing import BackendContract


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llama(tmp_path_factory.mktemp("contract") / "llama")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sentence_transformer(tmp_path_factory.mktemp("contract") / "encoder")


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("contract") / "ranker", labels=("relevant",))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("contract") / "classifier")


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_token_classifier(tmp_path_factory.mktemp("contract") / "finder")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judge(tmp_path_factory.mktemp("contract") / "judge")


class TestCausal(BackendContract):
    options: ClassVar[dict[str, Any]] = {"dtype": "float32"}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, llama: Path) -> None:
        type(self).model = str(llama)


class TestEncoder(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, encoder: Path) -> None:
        type(self).model = str(encoder)


class TestRanker(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, ranker: Path) -> None:
        type(self).model = str(ranker)


class TestClassifier(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, classifier: Path) -> None:
        type(self).model = str(classifier)


class TestFinder(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, finder: Path) -> None:
        type(self).model = str(finder)


class TestJudge(BackendContract):
    model: ClassVar[str]
    backend: ClassVar[str | None] = "text-ranking"

    @pytest.fixture(autouse=True)
    def _model(self, judge: Path) -> None:
        type(self).model = str(judge)
