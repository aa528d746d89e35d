"""Pictures as files, with what made them in the metadata."""

from io import BytesIO
from typing import Literal

import msgspec
import numpy
import pytest
from PIL import Image

from tiny.drawings import noise
from universal_diffusion.encoding import Facts, encode

FACTS = Facts(
    model="org/model",
    prompt="a cat, 日本",
    negative_prompt="dog",
    steps=20,
    scheduler="euler_a",
    guidance_scale=7.5,
    seed=3,
    size=(32, 32),
    strength=0.75,
    clip_skip=1,
    loras=(("org/style", 0.5),),
)
TEXT = (
    "a cat, 日本\nNegative prompt: dog\nSteps: 20, Sampler: euler_a, CFG scale: 7.5, Seed: 3, Size: 32x32, "
    "Model: org/model, Denoising strength: 0.75, Clip skip: 2, Lora: org/style:0.5, Version: Universal Runtime"
)


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def test_a_png_has_the_pixels_and_what_made_them() -> None:
    found = opened(encode(noise(), "png", 100, FACTS))
    assert numpy.array_equal(numpy.asarray(found), numpy.asarray(noise()))
    assert found.info["parameters"] == TEXT
    assert msgspec.json.decode(str(found.info["request"])) == {
        "model": "org/model",
        "prompt": "a cat, 日本",
        "negative_prompt": "dog",
        "num_inference_steps": 20,
        "scheduler": "euler_a",
        "guidance_scale": 7.5,
        "seed": 3,
        "size": "32x32",
        "strength": 0.75,
        "clip_skip": 1,
        "loras": [{"model": "org/style", "scale": 0.5}],
    }


def test_what_does_not_apply_is_left_out() -> None:
    plain = Facts("m", "cat", None, 4, "euler", None, 1, (32, 32))
    assert plain.text() == "cat\nSteps: 4, Sampler: euler, Seed: 1, Size: 32x32, Model: m, Version: Universal Runtime"
    assert set(msgspec.json.decode(plain.json())) == {
        *("model", "prompt", "num_inference_steps", "scheduler", "seed", "size"),
    }


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_other_formats_say_it_in_exif(form: Literal["jpeg", "webp"]) -> None:
    found = opened(encode(noise(), form, 90, FACTS))
    assert found.format == form.upper()
    comment = found.getexif().get_ifd(0x8769)[0x9286]
    assert comment == b"UNICODE\0" + TEXT.encode("utf-16-be")


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_compression_is_their_quality(form: Literal["jpeg", "webp"]) -> None:
    sizes = [len(encode(noise(size=(64, 64)), form, quality)) for quality in (0, 50, 100)]
    assert sizes == sorted(set(sizes))


def test_a_prompt_that_is_too_long_for_exif_is_cut_there_alone() -> None:
    facts = Facts("m", "x" * 100_000, None, 4, "euler", None, 1, (32, 32))
    assert opened(encode(noise(), "jpeg", 90, facts)).size == (32, 32)
    assert opened(encode(noise(), "png", 90, facts)).info["parameters"].startswith("x" * 100_000)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_the_same_picture_is_the_same_file(form: Literal["png", "jpeg", "webp"]) -> None:
    assert encode(noise(), form, 80, FACTS) == encode(noise(), form, 80, FACTS)
