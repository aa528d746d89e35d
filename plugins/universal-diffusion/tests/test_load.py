"""Loading: every family whole and in the number format asked for, and words that help where it cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from tiny.diffusion import make_guarded, make_pickled, make_stable_diffusion
from tiny.folder import info_of
from universal_core import LoadFailed, Progress
from universal_diffusion.load import load
from universal_diffusion.options import DiffusionOptions

FAMILIES = ("stable_diffusion", "inpainting", "instruct_pix2pix", "sdxl", "sd3", "flux", "pixart", "sana")
CPU = DiffusionOptions(device="cpu", dtype="float32", threads=1)


def weights_of(pipeline: Any) -> dict[str, torch.Tensor]:
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


@pytest.mark.parametrize("family", [*FAMILIES, "legacy_tokenizer"])
def test_every_family_is_loaded_as_diffusers_itself_loads_it(folder: Callable[[str], Path], family: str) -> None:
    reference = DiffusionPipeline.from_pretrained(folder(family), local_files_only=True)
    found = load(info_of(folder(family)), CPU)
    assert type(found.pipeline) is type(reference)
    ours, theirs = weights_of(found.pipeline), weights_of(reference)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not found.pipeline.vae.training


def test_components_come_in_the_format_asked_for(folder: Callable[[str], Path]) -> None:
    found = load(info_of(folder("sdxl")), msgspec.structs.replace(CPU, dtype="bfloat16"))
    assert {value.dtype for value in weights_of(found.pipeline).values() if value.is_floating_point()} == {
        torch.bfloat16
    }
    assert found.dtype == torch.bfloat16


def test_a_16_bit_variant_is_loaded_where_there_is_nothing_else(folder: Callable[[str], Path]) -> None:
    found = load(info_of(folder("half")), CPU)
    assert found.pipeline.unet.dtype == torch.float32


def test_loading_tells_how_far_it_is(folder: Callable[[str], Path]) -> None:
    told: list[Progress] = []
    load(info_of(folder("stable_diffusion")), CPU, told.append)
    assert {"loading unet", "loading vae", "loading text_encoder"} <= {progress.stage for progress in told}
    fractions = [progress.fraction for progress in told if progress.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_safety_checker_is_used_unless_switched_off(folder: Callable[[str], Path]) -> None:
    info = info_of(folder("guarded"))
    assert load(info, CPU).pipeline.safety_checker is not None
    assert load(info, msgspec.structs.replace(CPU, safety_checker=False)).pipeline.safety_checker is None


def test_pickles_are_refused_unless_the_model_is_trusted_with_them(
    folder: Callable[[str], Path], tmp_path: Path
) -> None:
    info = info_of(folder("pickled"))
    with pytest.raises(LoadFailed, match=r"no complete safetensors for text_encoder, unet, vae.*allow_pickle = true"):
        load(info, CPU)
    found = load(info, msgspec.structs.replace(CPU, allow_pickle=True))
    theirs = weights_of(load(info_of(folder("stable_diffusion")), CPU).pipeline)
    assert all(torch.equal(value, theirs[name]) for name, value in weights_of(found.pipeline).items())


class Trap:
    """An object whose pickle runs a program when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


def test_a_pickle_that_is_allowed_still_runs_no_code(tmp_path: Path) -> None:
    path = make_pickled(tmp_path / "model")
    torch.save({"weight": Trap(tmp_path / "trapped")}, path / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(LoadFailed):
        load(info_of(path), msgspec.structs.replace(CPU, allow_pickle=True))
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(("part", "file"), [("unet", "diffusion_pytorch_model"), ("text_encoder", "model")])
def test_weights_with_holes_are_refused(tmp_path: Path, part: str, file: str) -> None:
    path = make_stable_diffusion(tmp_path) / part / f"{file}.safetensors"
    weights = load_file(path)
    lost = min(weights)
    save_file({name: value for name, value in weights.items() if name != lost}, path, metadata={"format": "pt"})
    with pytest.raises(LoadFailed, match=f"the files of its {part} lack 1 weights"):
        load(info_of(tmp_path), CPU)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = make_stable_diffusion(tmp_path) / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LoadFailed, match="could not be loaded"):
        load(info_of(tmp_path), CPU)


def test_a_component_that_is_missing_is_named(tmp_path: Path) -> None:
    (make_stable_diffusion(tmp_path) / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(LoadFailed, match="no complete safetensors for vae"):
        load(info_of(tmp_path), CPU)


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    path = make_stable_diffusion(tmp_path)
    index = json.loads((path / "model_index.json").read_text())
    (path / "model_index.json").write_text(json.dumps(index | {"unet": ["my_unet", "MyUNet"]}))
    (path / "unet" / "my_unet.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(LoadFailed, match=r"its own Python code for unet.*trust_remote_code = true"):
        load(info_of(path), CPU)


def test_offloading_is_for_models_on_a_gpu(folder: Callable[[str], Path]) -> None:
    with pytest.raises(LoadFailed, match="cpu_offload is for models on a GPU"):
        load(info_of(folder("stable_diffusion")), msgspec.structs.replace(CPU, cpu_offload="model"))


def test_options_ask_for_slices_and_the_channels_last_layout(tmp_path: Path) -> None:
    options = msgspec.structs.replace(CPU, attention_slicing=True, channels_last=True)
    pipeline = load(info_of(make_guarded(tmp_path)), options).pipeline
    assert "Sliced" in type(next(iter(pipeline.unet.attn_processors.values()))).__name__
    assert pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert pipeline.vae.use_slicing


def test_without_optimizations_nothing_is_sliced(folder: Callable[[str], Path]) -> None:
    pipeline = load(
        info_of(folder("stable_diffusion")), msgspec.structs.replace(CPU, enable_optimizations=False)
    ).pipeline
    assert not pipeline.vae.use_slicing
