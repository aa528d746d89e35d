"""What is claimed: the tasks that a pipeline can do, the files that it needs, and why."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiny import diffusion
from tiny.causal import make_llama
from tiny.folder import info_of
from universal_core import Claim, ModelFile, ModelInfo, ModelNotFound, ModelRef
from universal_diffusion.claims import BACKEND, claim

EVERYTHING = ("generate_image", "edit_image", "vary_image")


def claimed(path: Path) -> Claim:
    found = claim(info_of(path))
    assert found is not None
    return found


def described(kind: Any, *, files: tuple[str, ...] = (), **documents: Any) -> ModelInfo:
    """Return what the hub would say of a pipeline of some class."""
    index = {"_class_name": kind, "unet": ["diffusers", "UNet2DConditionModel"], **documents.pop("index", {})}
    return ModelInfo(
        id="some/model",
        ref=ModelRef.parse("some/model"),
        source="HuggingFace hub",
        files=tuple(ModelFile(name, 1000) for name in ("model_index.json", *files)),
        documents={"model_index.json": index, **documents},
    )


def wanted_files(found: Claim, info: ModelInfo) -> set[str]:
    return {file.name for file in info.files if any(fnmatchcase(file.name, pattern) for pattern in found.files)}


@pytest.mark.parametrize(
    ("family", "tasks"),
    [
        ("stable_diffusion", EVERYTHING),
        ("sdxl", EVERYTHING),
        ("sd3", EVERYTHING),
        ("flux", EVERYTHING),
        ("pixart", ("generate_image",)),
        ("sana", ("generate_image",)),
        ("inpainting", ("edit_image",)),
        ("instruct_pix2pix", ("edit_image",)),
    ],
)
def test_a_claim_lists_just_what_the_pipeline_can_do(
    folder: Callable[[str], Path], family: str, tasks: tuple[str, ...]
) -> None:
    found = claimed(folder(family))
    assert found.tasks == tasks
    assert found.backend == BACKEND.name
    assert "model_index.json names" in found.reason


@pytest.mark.parametrize(
    ("kind", "tasks"),
    [
        ("QwenImagePipeline", EVERYTHING),
        ("QwenImageEditPipeline", ("edit_image",)),
        ("FluxKontextPipeline", ("generate_image", "edit_image")),
        ("FluxFillPipeline", ("edit_image",)),
        ("StableDiffusionXLImg2ImgPipeline", EVERYTHING),
        ("ZImagePipeline", EVERYTHING),
        ("KolorsPipeline", EVERYTHING),
    ],
)
def test_classes_are_known_from_the_tables_of_diffusers(kind: str, tasks: tuple[str, ...]) -> None:
    found = claim(described(kind))
    assert found is not None
    assert found.tasks == tasks


@pytest.mark.parametrize(
    "kind",
    [
        *("WanPipeline", "HeliosPipeline", "StableVideoDiffusionPipeline", "StableAudioPipeline"),
        *(
            "StableDiffusionControlNetPipeline",
            "FluxControlPipeline",
            "KandinskyV22Pipeline",
            "QwenImageLayeredPipeline",
        ),
        *("NobodyKnowsPipeline", "os.system", ["pipeline", "MyPipeline"], None),
    ],
)
def test_films_sounds_controls_and_strangers_are_not_claimed(kind: Any) -> None:
    assert claim(described(kind)) is None


def test_a_refiner_makes_no_pictures_of_text_alone() -> None:
    found = claim(described("StableDiffusionXLImg2ImgPipeline", index={"requires_aesthetics_score": True}))
    assert found is not None
    assert found.tasks == ("edit_image", "vary_image")


def test_models_of_text_are_not_claimed(tmp_path: Path) -> None:
    assert claim(info_of(make_llama(tmp_path))) is None


def test_fields_go_by_what_the_pipelines_take(folder: Callable[[str], Path]) -> None:
    assert set(claimed(folder("stable_diffusion")).fields) == {
        *("scheduler", "guidance_scale", "negative_prompt", "clip_skip", "mask", "strength", "loras")
    }
    assert set(claimed(folder("pixart")).fields) == {"scheduler", "guidance_scale", "negative_prompt"}


def test_only_what_is_loaded_is_downloaded(folder: Callable[[str], Path]) -> None:
    info = info_of(folder("guarded"))
    extra = (
        *("unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors"),
        *("unet/diffusion_flax_model.msgpack", "unet/model.onnx", "text_encoder/pytorch_model.bin"),
        *("v1-5-pruned.ckpt", "v1-5-pruned.safetensors", "README.md", "assets/picture.png"),
    )
    told = msgspec.structs.replace(info, path=None, files=(*info.files, *(ModelFile(name, 10**9) for name in extra)))
    found = claim(told)
    assert found is not None
    assert wanted_files(found, told) == {file.name for file in info.files}


def test_a_variant_is_taken_where_it_is_all_there_is_or_asked_for() -> None:
    both = ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors")
    usual = described("StableDiffusionPipeline", files=both)
    asked = msgspec.structs.replace(usual, ref=ModelRef.parse("some/model:fp16"))
    alone = described("StableDiffusionPipeline", files=both[1:])
    for info, weights in ((usual, both[0]), (asked, both[1]), (alone, both[1])):
        found = claim(info)
        assert found is not None
        assert wanted_files(found, info) == {"model_index.json", weights}


def test_a_variant_that_is_not_there_is_refused_with_those_that_are() -> None:
    info = described("StableDiffusionPipeline", files=("unet/diffusion_pytorch_model.fp16.safetensors",))
    with pytest.raises(ModelNotFound, match="no weights of variant 'bf16': it has fp16"):
        claim(msgspec.structs.replace(info, ref=ModelRef.parse("some/model:bf16")))


def test_a_quantization_of_gguf_files_is_left_to_others() -> None:
    info = described("FluxPipeline", files=("flux-Q4_K_M.gguf",))
    assert claim(info) is not None
    assert claim(msgspec.structs.replace(info, ref=ModelRef.parse("some/model:Q4_K_M"))) is None


def test_weights_in_parts_need_all_parts_and_their_index() -> None:
    parts = tuple(f"transformer/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2))
    index = "transformer/diffusion_pytorch_model.safetensors.index.json"
    entry = {"unet": [None, None], "transformer": ["diffusers", "FluxTransformer2DModel"]}
    whole = described("FluxPipeline", files=(*parts, index), index=entry)
    found = claim(whole)
    assert found is not None
    assert wanted_files(found, whole) == {"model_index.json", *parts, index}
    holes = claim(described("FluxPipeline", files=(parts[0], index), index=entry))
    assert holes is not None
    assert "no safetensors for transformer" in holes.reason


def test_pickles_are_not_downloaded_and_the_claim_says_so(folder: Callable[[str], Path]) -> None:
    info = info_of(folder("pickled"))
    found = claim(info)
    assert found is not None
    assert "no safetensors for text_encoder, unet, vae, so that it needs allow_pickle" in found.reason
    assert not any(name.endswith(".bin") for name in wanted_files(found, info))


def with_free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for module in ("planning", "claims"):
        monkeypatch.setattr(f"universal_diffusion.{module}.available_memory", lambda device: count)


def test_the_reason_says_what_is_done_to_fit_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = diffusion.make_stable_diffusion(tmp_path, sample_size=256)
    monkeypatch.setattr("universal_diffusion.planning.accelerator", lambda _: None)
    with_free(monkeypatch, 64 * 10**9)
    plenty = claimed(path)
    assert "to fit" not in plenty.reason
    with_free(monkeypatch, 10**8)
    short = claimed(path)
    assert "; to fit into 0.1 GB: VAE tiling above" in short.reason


def test_a_gpu_without_room_for_everything_gets_a_component_at_a_time(
    folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = claimed(folder("sd3"))
    assert "to fit" not in whole.reason
    monkeypatch.setattr("universal_diffusion.claims.usual_device", lambda: "cuda:0")
    with_free(monkeypatch, 1_500_000)
    found = claimed(folder("sd3"))
    assert "each component is on the GPU only while it computes" in found.reason
