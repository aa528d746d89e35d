"""What models that hear and speak are told to take: weights as they are loaded, and more for more at a time."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from listening import model_folder
from tiny.folder import info_of
from tiny.speech import convert_whisper
from universal_audio import claim_model, estimate_memory
from universal_audio.converted import read_weights
from universal_core import LoadFailed, MemoryEstimate, ModelFile, ModelInfo, ModelRef


def told(info: ModelInfo, backend: str, device: str = "cpu", **options: Any) -> MemoryEstimate:
    claim = next(claim for claim in claim_model(info) if claim.backend == backend)
    kind = next(each.options for each in _backends() if each.name == backend)
    found = estimate_memory(info, claim, kind(**options), device)
    assert found is not None
    return found


def _backends() -> list[Any]:
    import universal_audio

    return list(universal_audio.register_backends())


@pytest.mark.parametrize("quantization", ["float32", "float16", "int8"])
def test_the_weights_of_a_converted_model_are_those_that_the_library_wrote(tmp_path: Path, quantization: str) -> None:
    folder = convert_whisper(model_folder("whisper"), tmp_path / "model", quantization)
    found = read_weights(folder / "model.bin")
    size = (folder / "model.bin").stat().st_size
    assert 0.8 * size < sum(weight.size for weight in found.values()) < size
    assert found["decoder/embeddings/weight"].shape[1] == found["encoder/conv2/weight"].shape[0]


def test_weights_take_what_they_are_computed_in_however_they_are_stored(tmp_path: Path) -> None:
    infos = [
        info_of(convert_whisper(model_folder("whisper"), tmp_path / kind, kind)) for kind in ("float16", "float32")
    ]
    for info in infos:
        whole = told(info, "whisper", compute_type="float32").weights
        assert whole == told(infos[0], "whisper", compute_type="float32").weights
        assert told(info, "whisper", "cuda:0", compute_type="float16").weights == whole // 2
        assert whole / 4 < told(info, "whisper", compute_type="int8").weights < whole / 2


@pytest.mark.parametrize(("less", "more"), [({"batch_size": 2}, {}), ({}, {"batch_size": 16})])
def test_more_windows_take_more(less: dict[str, Any], more: dict[str, Any]) -> None:
    info = info_of(model_folder("converted"))
    assert told(info, "whisper", **less).total < told(info, "whisper", **more).total


def test_more_guesses_take_more_where_they_outgrow_what_the_encoder_takes() -> None:
    info = info_of(model_folder("converted"))
    one, usual, many = (told(info, "whisper", beam_size=beams) for beams in (1, 5, 50))
    assert one.cache < usual.cache
    assert one.total == usual.total < many.total


def test_a_converted_model_that_is_not_whole_is_estimated_by_its_size(tmp_path: Path) -> None:
    folder = convert_whisper(model_folder("whisper"), tmp_path / "model", "float16")
    whole = info_of(folder)
    file = folder / "model.bin"
    file.write_bytes(file.read_bytes()[:50_000])
    with pytest.raises(LoadFailed, match="not whole"):
        read_weights(file)
    assert 0 < told(info_of(folder), "whisper").weights < told(whole, "whisper", compute_type="float32").weights
    file.write_bytes(b"something else")
    with pytest.raises(LoadFailed, match="not known"):
        read_weights(file)
    assert told(info_of(folder), "whisper").total > 0


def test_the_weights_of_a_saved_model_are_its_parameters_by_their_format() -> None:
    import torch
    from transformers import WhisperForConditionalGeneration

    folder = model_folder("whisper")
    for dtype in (torch.float32, torch.bfloat16):
        model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=dtype)
        taken = sum(parameter.nbytes for parameter in model.parameters())
        name = str(dtype).removeprefix("torch.")
        assert told(info_of(folder), "speech-recognition", dtype=name).weights == pytest.approx(taken, rel=0.1)


@pytest.mark.parametrize("name", ["whisper", "wav2vec2"])
def test_fewer_windows_and_a_smaller_format_take_less(name: str) -> None:
    info = info_of(model_folder(name))
    usual = told(info, "speech-recognition")
    assert told(info, "speech-recognition", batch_size=1).total < usual.total
    assert told(info, "speech-recognition", dtype="bfloat16").total < usual.total
    assert told(info, "speech-recognition", "cuda:0").weights == usual.weights // 2


@pytest.mark.parametrize(
    ("name", "backend"),
    [("converted", "whisper"), ("whisper", "whisper"), ("whisper", "speech-recognition")],
)
def test_advice_takes_less_indeed_the_most_first(name: str, backend: str) -> None:
    info = info_of(model_folder(name))
    found = told(info, backend)
    assert found.smaller
    assert [one.total for one in found.smaller] == sorted((one.total for one in found.smaller), reverse=True)
    for one in found.smaller:
        assert told(info, backend, **msgspec.toml.decode(one.advice)).total == one.total < found.total


def test_a_model_that_is_not_here_is_told_by_the_sizes_of_its_files() -> None:
    files = (ModelFile("model.bin", 10**9), ModelFile("vocabulary.json", 1000))
    document = {"alignment_heads": [[0, 0]]}
    ref = ModelRef.parse("org/whisper")
    info = ModelInfo(id="org/whisper", ref=ref, source="test", files=files, documents={"config.json": document})
    assert told(info, "whisper", compute_type="float32").weights == 2 * 10**9
    assert told(info, "whisper", compute_type="int8").weights == 5 * 10**8


def test_kokoro_takes_its_weights_and_a_little_more_for_its_voices(kokoro: Path) -> None:
    info = info_of(kokoro)
    found = told(info, "kokoro")
    assert found.weights == (kokoro / "kokoro-v1_0.pth").stat().st_size
    assert found.working > 0


def test_other_backends_are_asked_elsewhere(kokoro: Path) -> None:
    (claim,) = claim_model(info_of(kokoro))
    assert estimate_memory(info_of(kokoro), msgspec.structs.replace(claim, backend="another"), None, "cpu") is None
