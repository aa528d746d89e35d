"""What a request gets is what diffusers gives when its pipeline is called directly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy
import pytest
import torch

from tiny.drawings import file_of, hole, noise
from universal_core import EditImageRequest, GenerateImageRequest, VaryImageRequest
from universal_diffusion.model import DiffusionModel

# numpy says so of the tensors that diffusers' schedulers make arrays of.
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")

FAMILIES = ("stable_diffusion", "sdxl", "sd3", "flux")
TEXT_ONLY = ("pixart", "sana")
BARE: dict[str, dict[str, Any]] = {name: {"use_resolution_binning": False} for name in TEXT_ONLY}


def bare(path: Path, kind: Any = diffusers.DiffusionPipeline) -> Any:
    pipeline = kind.from_pretrained(path, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def seeded(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


@pytest.mark.parametrize("name", FAMILIES + TEXT_ONLY)
def test_text_to_image_equals_the_pipeline(
    name: str, folder: Callable[..., Any], open_model: Callable[..., DiffusionModel], paint: Callable[..., Any]
) -> None:
    request = GenerateImageRequest(prompt="the cat", size=(64, 32), num_inference_steps=3, guidance_scale=4.0, seed=7)
    expected = bare(folder(name))(
        "the cat",
        width=64,
        height=32,
        num_inference_steps=3,
        guidance_scale=4.0,
        generator=seeded(7),
        **BARE.get(name, {}),
    )
    assert numpy.array_equal(paint(open_model(name), request)[0], numpy.asarray(expected.images[0]))


@pytest.mark.parametrize("name", FAMILIES)
def test_image_to_image_equals_the_pipeline(
    name: str, folder: Callable[..., Any], open_model: Callable[..., DiffusionModel], paint: Callable[..., Any]
) -> None:
    request = VaryImageRequest(
        prompt="cat", image=file_of(noise()), strength=0.7, num_inference_steps=4, guidance_scale=4.0, seed=7
    )
    pipeline = bare(folder(name), diffusers.AutoPipelineForImage2Image)
    expected = pipeline(
        "cat", image=noise(), strength=0.7, num_inference_steps=4, guidance_scale=4.0, generator=seeded(7), **own(name)
    )
    assert numpy.array_equal(paint(open_model(name), request)[0], numpy.asarray(expected.images[0]))


@pytest.mark.parametrize("name", [*FAMILIES, "inpainting"])
def test_inpainting_equals_the_pipeline(
    name: str, folder: Callable[..., Any], open_model: Callable[..., DiffusionModel], paint: Callable[..., Any]
) -> None:
    request = EditImageRequest(
        prompt="cat",
        images=(file_of(noise()),),
        mask=file_of(hole()),
        num_inference_steps=4,
        guidance_scale=4.0,
        seed=7,
    )
    pipeline = bare(folder(name), diffusers.AutoPipelineForInpainting)
    expected = pipeline(
        "cat",
        image=noise(),
        mask_image=hole(),
        num_inference_steps=4,
        guidance_scale=4.0,
        generator=seeded(7),
        width=32,
        height=32,
    )
    assert numpy.array_equal(paint(open_model(name), request)[0], numpy.asarray(expected.images[0]))


def test_an_instruction_edit_equals_the_pipeline(
    folder: Callable[..., Any], open_model: Callable[..., DiffusionModel], paint: Callable[..., Any]
) -> None:
    request = EditImageRequest(prompt="cat", images=(file_of(noise()),), num_inference_steps=3, seed=7, n=2)
    pipeline = bare(folder("instruct_pix2pix"), diffusers.StableDiffusionInstructPix2PixPipeline)
    pictures = paint(open_model("instruct_pix2pix"), request)
    for seed, picture in zip((7, 8), pictures, strict=True):
        expected = pipeline("cat", image=noise(), num_inference_steps=3, generator=seeded(seed))
        assert numpy.array_equal(picture, numpy.asarray(expected.images[0]))


def test_a_negative_prompt_equals_the_pipelines(
    folder: Callable[..., Any], open_model: Callable[..., DiffusionModel], paint: Callable[..., Any]
) -> None:
    request = GenerateImageRequest(
        prompt="cat", negative_prompt="dog", size=(32, 32), num_inference_steps=3, guidance_scale=3.0, seed=7
    )
    asked: dict[str, Any] = {"negative_prompt": "dog", "num_inference_steps": 3, "width": 32, "height": 32}
    plain = bare(folder("sdxl"))("cat", guidance_scale=3.0, generator=seeded(7), **asked)
    assert numpy.array_equal(paint(open_model("sdxl"), request)[0], numpy.asarray(plain.images[0]))
    # Flux has guidance built in; a negative prompt acts by a second scale.
    true = bare(folder("flux"))("cat", true_cfg_scale=3.0, generator=seeded(7), **asked)
    assert numpy.array_equal(paint(open_model("flux"), request)[0], numpy.asarray(true.images[0]))


def own(name: str) -> dict[str, int]:
    """Return the size, for image-to-image pipelines that take one; the others take that of the picture."""
    return {"width": 32, "height": 32} if name in ("flux", "sd3") else {}
