"""Which models the speech backends offer to run, and with what."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tiny.folder import info_of
from universal_audio.speech_claim import KOKORO, TRANSFORMERS, backends, claims, expand_name
from universal_core import ModelFile, ModelInfo, ModelRef

HEAVY = ("torch", "transformers", "kokoro", "misaki", "spacy", "av", "numpy", "sentencex")


def info(*files: str, architecture: str = "", **config: object) -> ModelInfo:
    document = {"architectures": [architecture] if architecture else [], **config}
    found = tuple(ModelFile(name, 10) for name in files)
    return ModelInfo(id="m", ref=ModelRef.parse("m"), source="test", files=found, documents={"config.json": document})


def kokoro_info(*files: str) -> ModelInfo:
    return info("config.json", *files, istftnet={}, plbert={}, vocab={})


def test_the_folder_of_a_kokoro_model_is_claimed_with_its_voices(kokoro: Path) -> None:
    (claim,) = claims(info_of(kokoro))
    assert (claim.backend, claim.tasks) == ("kokoro", ("speak", "list_voices"))
    assert "kokoro-v1_0.pth and 5 voices" in claim.reason
    assert claim.files == ("config.json", "kokoro-v1_0.pth", "voices/*.pt")
    assert set(claim.fields) == {"speed", "language", "seed"}


@pytest.mark.parametrize(
    "model",
    [
        kokoro_info("kokoro-v1_0.pth"),
        kokoro_info("voices/af_heart.pt"),
        kokoro_info("a.pth", "b.pth", "voices/af_heart.pt"),
        info("config.json", "kokoro-v1_0.pth", "voices/af_heart.pt"),
    ],
    ids=["no voices", "no weights", "two weights", "another config"],
)
def test_what_is_no_whole_kokoro_model_is_not_claimed(model: ModelInfo) -> None:
    assert claims(model) == ()


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [("VitsModel", {"seed", "speed"}), ("SpeechT5ForTextToSpeech", {"seed"}), ("BarkModel", {"seed"})],
)
def test_speech_models_of_transformers_are_claimed(architecture: str, fields: set[str]) -> None:
    (claim,) = claims(info("config.json", "model.safetensors", "pytorch_model.bin", architecture=architecture))
    assert claim.backend == "text-to-speech"
    assert architecture in claim.reason
    assert set(claim.fields) == fields
    assert "model.safetensors" in claim.files
    assert "pytorch_model.bin" not in claim.files


def test_weights_in_the_old_format_are_taken_where_there_are_no_others() -> None:
    (claim,) = claims(info("config.json", "pytorch_model.bin", architecture="BarkModel"))

    assert "pytorch_model.bin" in claim.files


@pytest.mark.parametrize("model", [info("model.safetensors", architecture="BertModel"), info(architecture="VitsModel")])
def test_other_models_and_such_without_weights_are_not_claimed(model: ModelInfo) -> None:
    assert claims(model) == ()


def test_kokoro_is_the_name_of_a_repository() -> None:
    assert expand_name(ModelRef.parse("kokoro")) == "hexgrad/Kokoro-82M"
    assert expand_name(ModelRef.parse("Kokoro")) == "hexgrad/Kokoro-82M"
    assert expand_name(ModelRef.parse("somebody/kokoro")) is None


def test_both_backends_are_there_with_their_libraries() -> None:
    pytest.importorskip("kokoro")
    assert backends() == (KOKORO, TRANSFORMERS)


@pytest.mark.parametrize(("missing", "left"), [("kokoro", ["text-to-speech"]), ("sentencex", [])])
def test_without_its_libraries_a_backend_is_not_there(
    monkeypatch: pytest.MonkeyPatch, kokoro: Path, missing: str, left: list[str]
) -> None:
    import universal_audio.speech_claim as module

    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else object())
    assert [backend.name for backend in backends()] == left
    assert claims(info_of(kokoro)) == ()


def test_a_claim_loads_no_library() -> None:
    code = f"import sys, universal_audio; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_what_is_preloaded_touches_no_accelerator_and_starts_no_thread() -> None:
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "import threading, torch\n"
        "print(torch.cuda.is_initialized(), threading.active_count())"
    )
    for backend in backends():
        command = [sys.executable, "-c", code, *backend.preload]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False 1\n"


def test_options_say_what_they_are_for() -> None:
    for backend in backends():
        described = msgspec.json.schema(backend.options)["$defs"][backend.options.__name__]["properties"]
        assert all(field.get("description") for field in described.values())
