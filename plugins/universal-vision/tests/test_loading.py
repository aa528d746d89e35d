"""Loading: what can go wrong is said in words that help."""

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification

from tiny.folder import info_of
from tiny.vision import make_vit
from universal_core import ContextLengthExceeded, EmbedRequest, LoadFailed
from universal_vision.encoders.model import EncoderModel
from universal_vision.encoders.options import EncoderOptions
from universal_vision.loading import load_image_processor, load_model

Folder = Callable[[str], Path]
CPU = EncoderOptions(device="cpu", dtype="float32", threads=1)


def copied(path: Path, target: Path) -> Path:
    return Path(shutil.copytree(path, target))


def test_a_model_is_loaded_in_the_dtype_asked_for(folder: Folder) -> None:
    options = EncoderOptions(device="cpu", dtype="bfloat16", threads=1)
    loaded = load_model(info_of(folder("vision.vit")), AutoModelForImageClassification, options)
    assert (loaded.device.type, loaded.dtype, loaded.model.training) == ("cpu", torch.bfloat16, False)


def test_weights_with_holes_are_refused(tmp_path: Path) -> None:
    path = make_vit(tmp_path)
    weights = load_file(path / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadFailed, match=r"lack 1 of the model's weights \(classifier.weight\)"):
        load_model(info_of(path), AutoModelForImageClassification, CPU)


def test_a_model_that_does_not_say_how_to_prepare_pictures_is_refused(folder: Folder, tmp_path: Path) -> None:
    path = copied(folder("vision.vit"), tmp_path / "model")
    (path / "preprocessor_config.json").unlink()
    with pytest.raises(LoadFailed, match=r"no preprocessor_config.json"):
        load_image_processor(info_of(path), CPU)


def test_an_image_processor_that_is_not_known_is_named(folder: Folder, tmp_path: Path) -> None:
    path = copied(folder("vision.vit"), tmp_path / "model")
    (path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "NewImageProcessor"}))
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    with pytest.raises(LoadFailed, match=r"(?i)image processor"):
        load_image_processor(info_of(path), CPU)


@pytest.mark.parametrize("kind", ["ViTImageProcessor", "ViTImageProcessorFast", "ViTFeatureExtractor"])
def test_processors_under_their_older_names_are_read(kind: str, folder: Folder, tmp_path: Path) -> None:
    path = copied(folder("vision.vit"), tmp_path / "model")
    settings = json.loads((path / "preprocessor_config.json").read_text())
    name = "feature_extractor_type" if kind.endswith("Extractor") else "image_processor_type"
    settings.pop("image_processor_type")
    (path / "preprocessor_config.json").write_text(json.dumps({**settings, name: kind}))
    assert load_image_processor(info_of(path), CPU).size["height"] == 32


def test_code_of_an_unknown_model_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    path = make_vit(tmp_path)
    config = json.loads((path / "config.json").read_text())
    own = {"AutoModelForImageClassification": "modeling_new.New"}
    (path / "config.json").write_text(json.dumps({**config, "model_type": "brand_new", "auto_map": own}))
    with pytest.raises(LoadFailed, match="trust_remote_code"):
        EncoderModel(info_of(path), CPU)


@pytest.mark.parametrize("name", ["vision.siglip", "vision.vit_without_pooler"])
def test_the_library_remarks_on_nothing_while_a_model_is_loaded(
    name: str, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder(name)
    caplog.clear()
    EncoderModel(info_of(path), CPU).close()
    assert caplog.text == ""


def test_nor_while_it_refuses_a_text_that_is_too_long(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    with closing(EncoderModel(info_of(folder("vision.clip")), CPU)) as model:
        caplog.clear()
        with pytest.raises(ContextLengthExceeded):
            asyncio.run(model.embed(EmbedRequest(input=("a cat " * 200,))))
    assert [record for record in caplog.records if record.name.startswith("transformers")] == []


def test_models_of_timm_say_which_package_they_need(tmp_path: Path) -> None:
    path = make_vit(tmp_path)
    own = {"architecture": "vit_tiny_patch16_224", "num_classes": 5, "pretrained_cfg": {"input_size": [3, 32, 32]}}
    (path / "config.json").write_text(json.dumps(own))
    with pytest.raises(LoadFailed, match="timm") as raised:
        EncoderModel(info_of(path), CPU)
    assert "\n" not in raised.value.message


def test_code_that_is_trusted_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    path = make_vit(tmp_path / "model")
    code = (
        "from transformers import ViTConfig, ViTForImageClassification\n"
        "class OwnConfig(ViTConfig):\n    model_type = 'own'\n"
        "class OwnModel(ViTForImageClassification):\n    config_class = OwnConfig\n"
    )
    (path / "own.py").write_text(code)
    config = json.loads((path / "config.json").read_text())
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForImageClassification": "own.OwnModel"}
    (path / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": classes}))
    options = EncoderOptions(device="cpu", threads=1, trust_remote_code=True)
    model = load_model(info_of(path), AutoModelForImageClassification, options).model
    assert type(model).__name__ == "OwnModel"
