"""Which models are offered to classify with, told from files and config.json and never from a name."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import universal_text
from tiny.classifiers import NLI, make_classifier, make_token_classifier
from tiny.folder import info_of
from universal_core import Claim, ModelFile, ModelInfo, ModelRef
from universal_text.classifier.claim import claim_classifier

FILES = ("model.safetensors", "config.json", "tokenizer.json")
CROSS_ENCODER = [{"idx": 0, "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]


def claim(
    architecture: str,
    model_type: str,
    *,
    labels: tuple[str, ...] = (),
    files: tuple[str, ...] = FILES,
    modules: Any = None,
    **config: Any,
) -> Claim | None:
    config |= {"architectures": [architecture], "model_type": model_type, "hidden_size": 64}
    config |= {"id2label": {str(place): label for place, label in enumerate(labels)}} if labels else {}
    info = ModelInfo(
        id="some/name",
        ref=ModelRef.parse("some/name"),
        source="test",
        files=tuple(ModelFile(name, 1000) for name in files),
        documents={"config.json": config, **({"modules.json": modules} if modules else {})},
    )
    return claim_classifier(info)


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("BertForSequenceClassification", "bert"),
        ("XLMRobertaForSequenceClassification", "xlm-roberta"),
        ("ModernBertForSequenceClassification", "modernbert"),
        ("BartForSequenceClassification", "bart"),
        ("Qwen3ForSequenceClassification", "qwen3"),
    ],
)
def test_a_classifier_of_texts_is_claimed(architecture: str, model_type: str) -> None:
    found = claim(architecture, model_type, labels=("bad", "good"))
    assert found is not None
    assert (found.backend, found.tasks) == ("text-classification", ("classify", "tokenize", "detokenize"))
    assert f"{architecture} with 2 labels" in found.reason
    assert (found.rank, found.fields) == (70, ())
    assert found.slots > 1


@pytest.mark.parametrize("told", [{"labels": ("relevant",)}, {"num_labels": 1}])
def test_one_with_a_single_label_ranks_documents_too(told: dict[str, Any]) -> None:
    found = claim("BertForSequenceClassification", "bert", **told)
    assert found is not None
    assert found.tasks == ("rerank", "classify", "tokenize", "detokenize")
    assert "one label" in found.reason


@pytest.mark.parametrize(
    ("labels", "fields"),
    [
        (NLI, ("labels",)),
        (("ENTAILMENT", "not_entailment"), ("labels",)),
        (("not_entailed", "bad"), ()),
        ((), ()),
    ],
)
def test_one_that_knows_what_follows_takes_labels_of_the_request(
    labels: tuple[str, ...], fields: tuple[str, ...]
) -> None:
    found = claim("BertForSequenceClassification", "bert", labels=labels)
    assert found is not None
    assert found.fields == fields


def test_a_classifier_of_tokens_is_claimed() -> None:
    found = claim("BertForTokenClassification", "bert", labels=("O", "B-PER"))
    assert found is not None
    assert (found.backend, found.tasks) == ("token-classification", ("classify_tokens", "tokenize", "detokenize"))


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("BertModel", "bert"),
        ("BertForMaskedLM", "bert"),
        ("BertForQuestionAnswering", "bert"),
        ("Qwen3ForCausalLM", "qwen3"),
        ("ViTForImageClassification", "vit"),
        ("Wav2Vec2ForSequenceClassification", "wav2vec2"),
        ("LayoutLMv3ForSequenceClassification", "layoutlmv3"),
        ("LayoutLMv3ForTokenClassification", "layoutlmv3"),
        ("TapasForSequenceClassification", "tapas"),
    ],
)
def test_what_does_not_classify_plain_texts_is_not_claimed(architecture: str, model_type: str) -> None:
    assert claim(architecture, model_type) is None


def test_a_class_of_the_models_own_code_is_claimed() -> None:
    own = {"AutoModelForSequenceClassification": "modeling.NewForSequenceClassification"}
    found = claim("NewForSequenceClassification", "new", auto_map=own, files=(*FILES, "modeling.py"))
    assert found is not None
    assert "modeling.py" in found.files
    assert claim("NewForSequenceClassification", "new") is None


def test_the_layout_of_a_cross_encoder_is_claimed_and_one_with_more_layers_is_not() -> None:
    more = [*CROSS_ENCODER, {"idx": 1, "path": "1_Dense", "type": "sentence_transformers.base.modules.dense.Dense"}]
    assert claim("BertForSequenceClassification", "bert", modules=CROSS_ENCODER) is not None
    assert claim("BertForSequenceClassification", "bert", modules=more) is None


@pytest.mark.parametrize("file", ["pytorch_model.bin", "onnx/model.safetensors", "model-00001-of-00002.safetensors"])
def test_without_whole_safetensors_there_is_no_claim(file: str) -> None:
    assert claim("BertForSequenceClassification", "bert", files=(file, "config.json")) is None


def test_only_the_files_that_are_needed_are_asked_for() -> None:
    needed = (*FILES, "vocab.txt", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
    files = (*needed, "pytorch_model.bin", "onnx/model.onnx", "README.md", "modeling.py")
    found = claim("BertForSequenceClassification", "bert", files=files, modules=CROSS_ENCODER)
    assert found is not None
    info = ModelInfo(id="x", ref=ModelRef.parse("x"), source="test", files=tuple(ModelFile(name, 1) for name in files))
    assert {file.name for file in info.matching(*found.files)} == set(needed)


def test_real_folders_are_claimed_by_no_other_backend(tmp_path: Path) -> None:
    made = {
        "text-classification": make_classifier(tmp_path / "texts"),
        "token-classification": make_token_classifier(tmp_path / "tokens", arch="qwen3"),
    }
    for backend, path in made.items():
        (found,) = universal_text.claim_model(info_of(path))
        assert found.backend == backend


def test_claiming_imports_no_machine_learning() -> None:
    code = (
        "import sys; from universal_text.classifier.claim import claim_classifier\n"
        "from universal_core import ModelInfo, ModelRef\n"
        "claim_classifier(ModelInfo(id='x', ref=ModelRef.parse('x'), source='test'))\n"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
