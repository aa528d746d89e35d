"""Which models are offered to be embedded with, told from files and config.json and never from a name."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiny.embedding import real_model
from tiny.encoders import make_bert, make_sentence_transformer
from tiny.folder import info_of
from universal_core import Claim, ModelFile, ModelInfo, ModelRef
from universal_text.encoder.claim import claim_encoder

LAYOUT = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
]
FILES = ("model.safetensors", "config.json", "modules.json", "1_Pooling/config.json")


def claim(
    architecture: str, model_type: str, modules: Any = None, files: tuple[str, ...] = FILES, **documents: Any
) -> Claim | None:
    config = {"architectures": [architecture], "model_type": model_type, "hidden_size": 64}
    info = ModelInfo(
        id="some/name",
        ref=ModelRef.parse("some/name"),
        source="test",
        files=tuple(ModelFile(name, 1000) for name in files),
        documents={"config.json": config, "modules.json": modules, **documents},
    )
    return claim_encoder(info)


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("BertModel", "bert"),
        ("BertForMaskedLM", "bert"),
        ("BertForPreTraining", "bert"),
        ("RobertaModel", "roberta"),
        ("XLMRobertaModel", "xlm-roberta"),
        ("MPNetForMaskedLM", "mpnet"),
        ("NomicBertModel", "nomic_bert"),
        ("ModernBertForMaskedLM", "modernbert"),
        ("DistilBertModel", "distilbert"),
    ],
)
def test_a_bare_encoder_is_claimed_with_rank_40(architecture: str, model_type: str) -> None:
    found = claim(architecture, model_type)
    assert found is not None
    assert found.rank == 40
    assert architecture in found.reason
    assert "mean" in found.reason


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("BertForSequenceClassification", "bert"),
        ("BertForTokenClassification", "bert"),
        ("BertLMHeadModel", "bert"),
        ("Qwen3ForCausalLM", "qwen3"),
        ("Qwen3Model", "qwen3"),
        ("ViTModel", "vit"),
        ("CLIPModel", "clip"),
        ("WhisperModel", "whisper"),
    ],
)
def test_what_is_no_bare_encoder_is_not_claimed(architecture: str, model_type: str) -> None:
    assert claim(architecture, model_type) is None


@pytest.mark.parametrize(
    ("architecture", "model_type"), [("BertModel", "bert"), ("Qwen3ForCausalLM", "qwen3"), ("T5EncoderModel", "t5")]
)
def test_a_layout_is_claimed_with_rank_60_whatever_the_architecture(architecture: str, model_type: str) -> None:
    found = claim(architecture, model_type, LAYOUT)
    assert found is not None
    assert found.rank == 60
    assert f"Transformer + Pooling + Dense over {architecture}" in found.reason
    assert set(found.fields) == {"dimensions", "normalize", "prompt_name"}
    assert found.slots > 1


@pytest.mark.parametrize("kind", ["CLIPModel", "StaticEmbedding", "MLMTransformer"])
def test_a_layout_without_a_text_transformer_is_not_claimed(kind: str) -> None:
    modules = [{"path": "", "type": f"sentence_transformers.models.{kind}"}]
    assert claim("BertModel", "bert", modules) is None


@pytest.mark.parametrize("kind", ["CrossEncoder", "SparseEncoder"])
def test_a_reranker_or_sparse_encoder_in_a_layout_is_not_claimed(kind: str) -> None:
    general = {"config_sentence_transformers.json": {"model_type": kind}}
    assert claim("BertModel", "bert", LAYOUT, **general) is None
    assert claim("BertForSequenceClassification", "bert", LAYOUT) is None


def test_a_decoder_that_judges_documents_is_not_claimed() -> None:
    judge = [LAYOUT[0], {"idx": 1, "path": "1_LogitScore", "type": "sentence_transformers.cross_encoder.LogitScore"}]
    assert claim("Qwen3ForCausalLM", "qwen3", judge) is None


@pytest.mark.parametrize("modules", [None, LAYOUT])
@pytest.mark.parametrize(
    "file",
    ["pytorch_model.bin", "onnx/model.safetensors", "model-00001-of-00002.safetensors", "model.fp16.safetensors"],
)
def test_without_whole_safetensors_there_is_no_claim(file: str, modules: Any) -> None:
    assert claim("BertModel", "bert", modules, files=(file, "config.json")) is None


def test_only_the_files_that_are_needed_are_asked_for() -> None:
    unwanted = ("pytorch_model.bin", "onnx/model.onnx", "openvino/openvino_model.xml", "model.fp16.safetensors")
    needed = (*FILES, "tokenizer.json", "vocab.txt", "2_Dense/config.json", "2_Dense/model.safetensors")
    needed += ("sentence_bert_config.json", "config_sentence_transformers.json")
    files = (*unwanted, *needed, "2_Dense/pytorch_model.bin", "README.md")
    found = claim("BertModel", "bert", LAYOUT, files=files)
    assert found is not None
    info = ModelInfo(id="x", ref=ModelRef.parse("x"), source="test", files=tuple(ModelFile(name, 1) for name in files))
    assert {file.name for file in info.matching(*found.files)} == set(needed)


def test_pickled_weights_are_asked_for_where_a_dense_layer_has_no_others() -> None:
    found = claim("BertModel", "bert", LAYOUT, files=(*FILES, "2_Dense/config.json", "2_Dense/pytorch_model.bin"))
    assert found is not None
    assert "2_Dense/pytorch_model.bin" in found.files


def test_parts_and_their_index_count_as_weights() -> None:
    parts = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json")
    found = claim("BertModel", "bert", files=parts)
    assert found is not None
    assert set(parts) <= set(found.files)


def test_real_folders_are_claimed(tmp_path: Path) -> None:
    bare, layout = make_bert(tmp_path / "bare"), make_sentence_transformer(tmp_path / "layout")
    for path, rank in ((bare, 40), (layout, 60), (real_model(), 60)):
        found = claim_encoder(info_of(path))
        assert found is not None
        assert found.rank == rank
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Claim) == found


def test_claiming_imports_no_machine_learning() -> None:
    code = (
        "import sys, universal_text.encoder, universal_text.encoder.claim, universal_text.encoder.layout\n"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
