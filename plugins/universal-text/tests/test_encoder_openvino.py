"""OpenVINO gives the vectors that PyTorch gives, or says at load why it cannot."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch

from tiny.embedding import load, real_model, vectors
from tiny.encoders import make_sentence_transformer
from universal_core import LoadFailed
from universal_core.pytorch import has_native_bfloat16
from universal_text.encoder.openvino import check_openvino, openvino_forward

TEXTS = ["hello world", "the quick brown fox jumps over", "", "Lazy DOG!", "a tiny cat " * 60, "  querying  "]
LAYOUTS: dict[str, dict[str, Any]] = {
    "mean": {},
    "unpooled prompt": {"default_prompt": "passage", "include_prompt": False},
    "positions that start late": {"arch": "roberta", "max_seq_length": None},
    "decoder": {"arch": "qwen3", "pooling": "last"},
}
CPU = torch.device("cpu")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_float32_the_vectors_are_those_of_pytorch(layout: str, tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, **LAYOUTS[layout])
    ours = vectors(load(tmp_path, engine="openvino"), TEXTS)
    assert numpy.abs(ours - vectors(load(tmp_path), TEXTS)).max() < 1e-5


def test_a_text_has_the_same_vector_alone_and_among_others_of_all_lengths(tmp_path: Path) -> None:
    model = load(make_sentence_transformer(tmp_path), engine="openvino")
    texts = ["cat " * count for count in (1, 90, 2, 3, 88, 7, 3, 40)]
    alone = numpy.concatenate([vectors(model, [text]) for text in texts])
    assert numpy.abs(vectors(model, texts) - alone).max() < 1e-5


@pytest.fixture(scope="module")
def of_pytorch() -> Any:
    """Return the vectors of the real texts as PyTorch has them in float32."""
    return vectors(load(real_model()), real_texts())


def test_a_real_model_has_the_vectors_of_pytorch_up_to_its_longest_text(of_pytorch: Any) -> None:
    ours = vectors(load(real_model(), engine="openvino"), real_texts())
    assert numpy.abs(ours - of_pytorch).max() < 1e-5


@pytest.mark.skipif(not has_native_bfloat16(CPU), reason="this processor does not compute in bfloat16")
def test_a_real_model_keeps_its_directions_in_bfloat16(of_pytorch: Any) -> None:
    ours = vectors(load(real_model(), engine="openvino", dtype="bfloat16"), real_texts())
    assert (ours * of_pytorch).sum(axis=1).min() >= 0.9999


def test_without_the_package_the_load_fails_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sentence_transformer(tmp_path)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(LoadFailed, match=r'pip install "universal-text\[openvino\]"'):
        load(tmp_path, engine="openvino")


def test_another_device_than_the_processor_is_refused() -> None:
    with pytest.raises(LoadFailed, match='the device is cuda: set device = "cpu"'):
        check_openvino(torch.device("cuda"), torch.float32)


def test_float16_is_refused(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    with pytest.raises(LoadFailed, match=r"float32 or bfloat16, not in torch\.float16"):
        load(tmp_path, engine="openvino", dtype="float16")


def test_a_model_whose_recorded_steps_hold_for_one_length_alone_is_refused() -> None:
    with pytest.raises(LoadFailed, match=r"OpenVINO cannot run stubborn .*not those of PyTorch"):
        openvino_forward(Stubborn(), torch.float32, filler=0, threads=1)  # type: ignore[arg-type]


def test_a_model_that_cannot_be_recorded_is_refused() -> None:
    with pytest.raises(LoadFailed, match="OpenVINO cannot run stubborn"):
        openvino_forward(Stubborn(fails=True), torch.float32, filler=0, threads=1)  # type: ignore[arg-type]


def test_nothing_is_told_about_the_use_of_the_library(tmp_path: Path) -> None:
    load(make_sentence_transformer(tmp_path), engine="openvino")
    telemetry = sys.modules["openvino.tools.ovc.telemetry_utils"].tm  # type: ignore[attr-defined]
    assert telemetry.__name__ == "openvino.tools.ovc.telemetry_stub"


class Stubborn(torch.nn.Module):
    """Adds up vectors in a way that Python decides by the number of tokens."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.config = SimpleNamespace(model_type="stubborn")
        self.vectors = torch.nn.Embedding(32, 8)
        self.fails = fails

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        if self.fails:
            raise ValueError("no")
        places = torch.linspace(-1, 1, steps=8) * float(input_ids.shape[1])
        return SimpleNamespace(last_hidden_state=self.vectors(input_ids) + places)


def real_texts() -> list[str]:
    """Return the parts of a model card, a single letter, and a text that has to be cut."""
    card = (real_model() / "README.md").read_text(encoding="utf-8")
    return [*card.split("\n\n")[:12], "a", "", card]
