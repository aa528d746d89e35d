"""Which speech-to-text backend offers to run which model, and what is said where its libraries are missing."""

from pathlib import Path
from typing import Any

import pytest

import universal_audio
from listening import model_folder
from tiny.folder import info_of
from universal_audio import listen_claim
from universal_audio.listen.names import SHORT_NAMES
from universal_core import Claim, ModelFile, ModelInfo, ModelRef


def info_for(*names: str, **documents: Any) -> ModelInfo:
    return ModelInfo(
        id="some/model",
        ref=ModelRef.parse("some/model"),
        source="test",
        files=tuple(ModelFile(name, 1000) for name in names),
        documents={f"{name}.json": content for name, content in documents.items()},
    )


def offers(info: ModelInfo) -> dict[str, Claim]:
    return {claim.backend: claim for claim in listen_claim.claims(info)}


def test_a_converted_whisper_is_for_faster_whisper_alone() -> None:
    found = offers(info_of(model_folder("converted")))
    assert list(found) == ["whisper"]
    claim = found["whisper"]
    assert claim.tasks == ("transcribe", "translate", "listen")
    assert "CTranslate2" in claim.reason


def test_other_models_in_that_format_are_not_ours() -> None:
    translator = info_for("model.bin", "shared_vocabulary.json", "config.json", config={"add_source_bos": False})
    assert offers(translator) == {}
    without = info_for("model.bin", "config.json", config={"alignment_heads": []})
    assert offers(without) == {}


def test_a_whisper_of_transformers_is_run_by_it_and_converted_for_who_asks() -> None:
    found = offers(info_of(model_folder("whisper")))
    assert found["speech-recognition"].rank > found["whisper"].rank
    assert found["speech-recognition"].tasks == ("transcribe", "translate")
    assert "converted" in found["whisper"].reason


def test_other_recognizers_transcribe_alone() -> None:
    (claim,) = offers(info_of(model_folder("wav2vec2"))).values()
    assert (claim.backend, claim.tasks, claim.fields) == ("speech-recognition", ("transcribe",), ("words",))


@pytest.mark.parametrize(
    "info",
    [
        info_for("model.safetensors", config={"architectures": ["LlamaForCausalLM"]}),
        info_for("model.safetensors", config={"architectures": ["BertForCTC"]}),
        info_for("pytorch_model.bin", config={"architectures": ["WhisperForConditionalGeneration"]}),
        info_for("model.safetensors"),
    ],
    ids=["text", "no sound", "no safetensors", "no configuration"],
)
def test_what_is_no_recognizer_is_left_alone(info: ModelInfo) -> None:
    assert offers(info) == {}


def test_only_the_needed_files_are_downloaded() -> None:
    info = info_of(model_folder("whisper"))
    for claim in listen_claim.claims(info):
        chosen = {file.name for file in info.matching(*claim.files)}
        assert {"model.safetensors", "config.json", "tokenizer.json"} <= chosen
    more = info_for(*chosen, "pytorch_model.bin", "flax_model.msgpack", "model.fp32-00001-of-00002.safetensors")
    assert {file.name for file in more.matching(*claim.files)} == chosen


@pytest.mark.parametrize(
    ("name", "full"), [("tiny", "Systran/faster-whisper-tiny"), ("Large-V3", SHORT_NAMES["large-v3"])]
)
def test_short_names_stand_for_repositories(name: str, full: str) -> None:
    assert universal_audio.expand_name(ModelRef.parse(name)) == full
    assert universal_audio.expand_name(ModelRef.parse(f"somebody/{name}")) is None


def test_every_name_of_the_library_is_known() -> None:
    from faster_whisper.utils import _MODELS

    assert {name: SHORT_NAMES.get(name) for name in _MODELS} == _MODELS


def test_a_backend_without_its_libraries_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(listen_claim, "is_installed", lambda name: name != "whisper")
    assert [backend.name for backend in listen_claim.backends()] == ["speech-recognition"]
    assert offers(info_of(model_folder("converted"))) == {}
    assert list(offers(info_of(model_folder("whisper")))) == ["speech-recognition"]
