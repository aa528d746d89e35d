"""Pipelines in one file: known by their tensors, loaded with the configuration beside them, never from the network."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny.checkpoint import make_checkpoint, without_configuration
from tiny.folder import info_of
from universal_core import LoadFailed, ModelFile, ModelInfo, ModelRef
from universal_diffusion.claims import claim
from universal_diffusion.load import load
from universal_diffusion.options import DiffusionOptions

CPU = DiffusionOptions(device="cpu", dtype="float32", threads=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Stable Diffusion in one file, with its configurations beside it."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def info_of_file(path: Path) -> ModelInfo:
    """Return what the source of local paths says of a file."""
    return ModelInfo(
        id=path.name,
        ref=ModelRef.parse(str(path)),
        source="local file",
        path=str(path),
        files=(ModelFile(path.name, path.stat().st_size),),
    )


def same_weights(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
    expected = theirs.state_dict()
    found = ours.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("describe", [lambda path: info_of_file(path), lambda path: info_of(path.parent)])
def test_one_file_is_the_same_pipeline_as_its_folders(
    folder: Callable[[str], Path], checkpoint: Path, describe: Callable[[Path], ModelInfo]
) -> None:
    info = describe(checkpoint)
    found = claim(info)
    assert found is not None
    assert found.tasks == ("generate_image", "edit_image", "vary_image")
    assert "model.safetensors has the tensors of a StableDiffusionPipeline" in found.reason
    ours = load(info, CPU).pipeline
    theirs = load(info_of(folder("stable_diffusion")), CPU).pipeline
    assert all(same_weights(getattr(ours, name), getattr(theirs, name)) for name in ("unet", "vae", "text_encoder"))


def test_the_channels_of_its_first_layer_tell_an_inpainting_model(tmp_path: Path) -> None:
    found = claim(info_of_file(make_checkpoint(tmp_path, in_channels=9)))
    assert found is not None
    assert found.tasks == ("edit_image",)


def test_without_its_configuration_a_file_is_refused_with_what_to_do(checkpoint: Path, tmp_path: Path) -> None:
    alone = without_configuration(checkpoint, tmp_path)
    assert claim(info_of_file(alone)) is not None
    for config in (None, str(tmp_path / "nowhere")):
        with pytest.raises(LoadFailed, match="its configuration is not at hand"):
            load(info_of_file(alone), msgspec.structs.replace(CPU, config=config))


def test_a_configuration_elsewhere_is_named_by_an_option(checkpoint: Path, tmp_path: Path) -> None:
    alone = without_configuration(checkpoint, tmp_path)
    found = load(info_of_file(alone), msgspec.structs.replace(CPU, config=str(checkpoint.parent)))
    assert type(found.pipeline).__name__ == "StableDiffusionPipeline"
    assert found.needs.weights > 0
    assert found.needs.shape.usual_size == (32, 32)


def test_a_file_with_holes_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint)
    del weights["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(LoadFailed, match="the file lacks some of the weights"):
        load(info_of_file(tmp_path / "model.safetensors"), msgspec.structs.replace(CPU, config=str(checkpoint.parent)))


def test_a_file_of_something_else_is_not_claimed(tmp_path: Path) -> None:
    save_file({"model.layers.0.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 20)
    assert claim(info_of_file(tmp_path / "model.safetensors")) is None
    assert claim(info_of_file(tmp_path / "broken.safetensors")) is None
