"""Requests for pictures from text: what each field does, and what is refused."""

import json
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import diffusers
import numpy
import pytest
import torch
from PIL import Image

from tiny.diffusion import make_stable_diffusion
from tiny.drawings import pixels_of
from tiny.folder import info_of
from universal_core import (
    BadRequest,
    ContentPolicyViolation,
    Event,
    GenerateImageRequest,
    Notice,
    Picture,
    Preview,
    Step,
    TaskNotSupported,
    UnsupportedField,
)
from universal_core.pictures import Pixels
from universal_diffusion.model import DiffusionModel
from universal_diffusion.options import DiffusionOptions

# numpy says so of the tensors that diffusers' schedulers make arrays of.
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")

Open = Callable[..., DiffusionModel]
Ask = Callable[..., list[list[Event]]]
Paint = Callable[..., list[Pixels]]


def asked(**changes: Any) -> GenerateImageRequest:
    usual: dict[str, Any] = {"prompt": "the cat", "size": (32, 32), "num_inference_steps": 3, "seed": 1}
    return GenerateImageRequest(**usual | changes)


def steps_of(events: list[Event]) -> int:
    return next(event.total for event in events if isinstance(event, Step))


def refused(open_model: Open, ask: Ask, name: str, words: str, **changes: Any) -> BadRequest:
    with pytest.raises(BadRequest, match=words) as caught:
        ask(open_model(name), asked(**changes))
    return caught.value


def test_pictures_have_their_seeds_and_come_in_order(open_model: Open, ask: Ask) -> None:
    pictures = [event for event in ask(open_model("stable_diffusion"), asked(n=3))[0] if isinstance(event, Picture)]
    assert [(picture.index, picture.seed) for picture in pictures] == [(0, 1), (1, 2), (2, 3)]
    assert {(picture.width, picture.height, picture.format) for picture in pictures} == {(32, 32, "png")}


def test_one_without_a_seed_tells_the_one_it_got(open_model: Open, ask: Ask, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    events = ask(model, asked(seed=None))[0]
    seed = next(event.seed for event in events if isinstance(event, Picture))
    assert numpy.array_equal(pixels_of(events)[0], paint(model, asked(seed=seed))[0])


def test_the_same_seed_is_the_same_file(open_model: Open, ask: Ask) -> None:
    model = open_model("stable_diffusion")
    first, second = (ask(model, asked())[0][-1] for _ in range(2))
    assert first == second
    assert first != ask(model, asked(seed=2))[0][-1]


def test_the_file_tells_what_made_it(open_model: Open, ask: Ask) -> None:
    picture = ask(open_model("stable_diffusion"), asked(guidance_scale=3.0, scheduler="ddim"))[0][-1]
    assert isinstance(picture, Picture)
    parameters = Image.open(BytesIO(picture.data)).info["parameters"]
    assert parameters.startswith("the cat\nSteps: 3, Sampler: ddim, CFG scale: 3.0, Seed: 1, Size: 32x32, Model: ")


def test_the_file_does_not_tell_where_the_server_has_the_model(
    folder: Callable[[str], Path], open_model: Open, ask: Ask
) -> None:
    path = folder("stable_diffusion")
    (*_, picture) = ask(open_model("stable_diffusion"), asked())[0]
    assert isinstance(picture, Picture)
    told = Image.open(BytesIO(picture.data)).info
    assert f"Model: {path.name}," in told["parameters"]
    assert json.loads(told["request"])["model"] == path.name
    assert str(path.parent).encode() not in picture.data


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_every_format_is_what_it_says(form: str, open_model: Open, ask: Ask) -> None:
    events = ask(open_model("stable_diffusion"), asked(format=form, compression=80, previews=1))[0]
    files = [event.data for event in events if isinstance(event, Picture | Preview)]
    assert [Image.open(BytesIO(data)).format for data in files] == [form.upper()] * 2


@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl", "sd3", "flux", "pixart", "sana"])
def test_previews_come_between_the_steps_and_grow_towards_the_picture(name: str, open_model: Open, ask: Ask) -> None:
    events = ask(open_model(name), asked(num_inference_steps=8, previews=3))[0]
    previews = [event for event in events if isinstance(event, Preview)]
    assert [(preview.index, preview.number) for preview in previews] == [(0, 0), (0, 1), (0, 2)]
    shown = [numpy.asarray(Image.open(BytesIO(preview.data)).convert("RGB"), int) for preview in previews]
    final = pixels_of(events)[0].astype(int)
    assert {image.shape for image in shown} == {final.shape}
    off = [abs(image - final).mean() for image in shown]
    assert off[2] < off[0]


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpm++", "unipc", "pndm", "deis", "heun", "lcm"])
def test_the_last_preview_is_near_the_picture_with_every_kind_of_scheduler(
    scheduler: str, open_model: Open, ask: Ask
) -> None:
    events = ask(open_model("stable_diffusion"), asked(num_inference_steps=30, previews=29, scheduler=scheduler))[0]
    shown = [numpy.asarray(Image.open(BytesIO(event.data)), int) for event in events if isinstance(event, Preview)]
    assert len(shown) == 29
    final = pixels_of(events)[0].astype(int)
    assert abs(shown[-1] - final).mean() < abs(shown[0] - final).mean()
    assert abs(shown[-1] - final).mean() < 12


def test_previews_change_nothing(open_model: Open, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    assert numpy.array_equal(paint(model, asked(previews=2))[0], paint(model, asked())[0])


def test_there_are_fewer_previews_than_steps(open_model: Open, ask: Ask) -> None:
    events = ask(open_model("stable_diffusion"), asked(num_inference_steps=2, previews=3))[0]
    assert [event.number for event in events if isinstance(event, Preview)] == [0]
    events = ask(open_model("stable_diffusion"), asked(num_inference_steps=1, previews=3))[0]
    assert not [event for event in events if isinstance(event, Preview)]


def test_steps_are_the_request_s_the_option_s_or_the_pipeline_s(open_model: Open, ask: Ask) -> None:
    plain, configured = open_model("stable_diffusion"), open_model("stable_diffusion", default_steps=6)
    assert steps_of(ask(plain, asked(num_inference_steps=2))[0]) == 2
    assert steps_of(ask(plain, asked(num_inference_steps=None))[0]) == 50
    assert steps_of(ask(configured, asked(num_inference_steps=None))[0]) == 6
    assert steps_of(ask(configured, asked(num_inference_steps=2, quality="high"))[0]) == 2


@pytest.mark.parametrize(("quality", "steps"), [("low", 3), ("medium", 6), ("high", 12)])
def test_quality_is_half_or_twice_the_usual_steps(quality: str, steps: int, open_model: Open, ask: Ask) -> None:
    model = open_model("stable_diffusion", default_steps=6)
    assert steps_of(ask(model, asked(num_inference_steps=None, quality=quality))[0]) == steps


def test_the_usual_size_is_the_option_s_or_the_model_s(open_model: Open, paint: Paint) -> None:
    assert paint(open_model("stable_diffusion"), asked(size=None))[0].shape == (32, 32, 3)
    configured = open_model("stable_diffusion", default_size="48x40")
    assert paint(configured, asked(size=None))[0].shape == (40, 48, 3)


def test_the_usual_guidance_is_the_option_s(open_model: Open, paint: Paint) -> None:
    configured = open_model("stable_diffusion", default_guidance=2.0)
    expected = paint(open_model("stable_diffusion"), asked(guidance_scale=2.0))
    assert numpy.array_equal(paint(configured, asked())[0], expected[0])


def test_a_size_that_is_impossible_is_refused_with_the_nearest(open_model: Open, ask: Ask) -> None:
    words = "size: 30x33 is not possible with this model: .* multiples of 8; the nearest are 24x32 or 32x40"
    assert refused(open_model, ask, "stable_diffusion", words, size=(30, 33)).param == "size"
    refused(open_model, ask, "stable_diffusion", "the nearest are 8x32", size=(0, 32))


def test_a_size_with_too_many_pixels_is_refused(open_model: Open, ask: Ask) -> None:
    with pytest.raises(BadRequest, match="size: 64x32 has 2048 pixels, and at most 1024 are allowed"):
        ask(open_model("stable_diffusion", max_pixels=1024), asked(size=(64, 32)))


@pytest.mark.parametrize("steps", [0, -1, 1000, 10**9])
def test_a_number_of_steps_that_makes_no_sense_is_refused(steps: int, open_model: Open, ask: Ask) -> None:
    error = refused(
        open_model, ask, "stable_diffusion", "expected 1 to 999 with this scheduler, got", num_inference_steps=steps
    )
    assert error.param == "num_inference_steps"


def test_what_the_pipeline_itself_refuses_is_a_bad_request(tmp_path: Path, ask: Ask) -> None:
    settings = make_stable_diffusion(tmp_path) / "scheduler" / "scheduler_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "timestep_spacing": "strange"}))
    with (
        closing(DiffusionModel(info_of(tmp_path), DiffusionOptions(device="cpu"), lambda _: None)) as model,
        pytest.raises(BadRequest, match="the model cannot do this: strange is not supported"),
    ):
        ask(model, asked(scheduler="ddim"))


def test_clip_skip_is_what_diffusers_means_by_it(folder: Any, open_model: Open, paint: Paint) -> None:
    """diffusers looks for CLIP's last layer where transformers no longer has it: put there, both are the same."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder("stable_diffusion"), dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    object.__setattr__(pipeline.text_encoder, "text_model", pipeline.text_encoder)
    generator = torch.Generator("cpu").manual_seed(1)
    settings: dict[str, Any] = {"num_inference_steps": 3, "width": 32, "height": 32, "negative_prompt": "dog"}
    expected = pipeline("the cat", clip_skip=1, generator=generator, **settings).images[0]
    model = open_model("stable_diffusion")
    skipped = paint(model, asked(clip_skip=1, negative_prompt="dog"))[0]
    assert numpy.array_equal(skipped, numpy.asarray(expected))
    assert not numpy.array_equal(skipped, paint(model, asked(negative_prompt="dog"))[0])
    assert numpy.array_equal(paint(model, asked(clip_skip=0))[0], paint(model, asked())[0])


@pytest.mark.parametrize("name", ["sdxl", "sd3"])
def test_clip_skip_goes_to_the_pipelines_that_do_it_themselves(
    name: str, folder: Any, open_model: Open, paint: Paint
) -> None:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder(name), dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    skip = 0
    generator = torch.Generator("cpu").manual_seed(1)
    expected = pipeline("the cat", clip_skip=skip, generator=generator, num_inference_steps=3, width=32, height=32)
    assert numpy.array_equal(paint(open_model(name), asked(clip_skip=skip))[0], numpy.asarray(expected.images[0]))


def test_more_layers_than_there_are_cannot_be_skipped(open_model: Open, ask: Ask) -> None:
    refused(open_model, ask, "stable_diffusion", "clip_skip: expected 0 to 1 layers", clip_skip=2)
    refused(open_model, ask, "stable_diffusion", "clip_skip: expected 0 to 1 layers", clip_skip=-1)


@pytest.mark.parametrize(("name", "field"), [("flux", {"clip_skip": 1}), ("pixart", {"clip_skip": 1})])
def test_a_field_that_the_pipeline_does_not_take_is_refused(
    name: str, field: dict[str, Any], open_model: Open, ask: Ask
) -> None:
    error = refused(open_model, ask, name, next(iter(field)), **field)
    assert isinstance(error, UnsupportedField)
    assert error.param == next(iter(field))


def test_a_negative_prompt_that_would_do_nothing_is_refused(open_model: Open, ask: Ask) -> None:
    words = "negative_prompt: it would have no effect, since guidance_scale is 1.0"
    for name in ("stable_diffusion", "flux"):
        error = refused(open_model, ask, name, words, negative_prompt="dog", guidance_scale=1.0)
        assert error.param == "negative_prompt"


def test_a_negative_prompt_changes_the_picture(open_model: Open, paint: Paint) -> None:
    for name in ("stable_diffusion", "sdxl", "sd3", "flux", "pixart", "sana"):
        model = open_model(name)
        assert not numpy.array_equal(paint(model, asked(negative_prompt="dog"))[0], paint(model, asked())[0]), name


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int, open_model: Open, ask: Ask) -> None:
    assert refused(open_model, ask, "stable_diffusion", "seed: expected 0 to", seed=seed).param == "seed"


def test_a_prompt_that_is_too_long_is_cut_and_the_client_is_told(open_model: Open, ask: Ask) -> None:
    long = "cat " * 100
    events = ask(open_model("stable_diffusion"), asked(prompt=long, negative_prompt=long, n=2))[0]
    assert [event.text for event in events if isinstance(event, Notice)] == [
        f"{name}: of its 102 tokens the first 77 were read; this model reads no further"
        for name in ("prompt", "negative_prompt")
    ]
    # Flux reads 512 tokens with its other encoder, whatever CLIP makes of them.
    assert not any(isinstance(event, Notice) for event in ask(open_model("flux"), asked(prompt=long))[0])


def test_what_the_safety_checker_hides_is_no_picture(
    open_model: Open, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_model("guarded")
    assert len(pixels_of(ask(model, asked())[0])) == 1
    checker = model._pipelines.loaded.safety_checker
    with torch.no_grad():
        # Below every cosine, so that everything is objectionable.
        checker.concept_embeds_weights.fill_(-2)
    try:
        with pytest.raises(ContentPolicyViolation, match="safety checker hides picture 1"):
            ask(model, asked())
    finally:
        with torch.no_grad():
            checker.concept_embeds_weights.fill_(2)


def test_weights_that_need_a_picture_make_none_from_text(open_model: Open, ask: Ask) -> None:
    for name in ("inpainting", "instruct_pix2pix"):
        with pytest.raises(TaskNotSupported, match="no pictures from text alone"):
            ask(open_model(name), asked())


def test_a_model_that_is_closed_ends_what_it_paints(folder: Any) -> None:
    import asyncio

    from tiny.folder import info_of
    from universal_core import InternalError
    from universal_diffusion.options import DiffusionOptions

    model = DiffusionModel(info_of(folder("stable_diffusion")), DiffusionOptions(device="cpu"), lambda _: None)

    async def run() -> None:
        stream = model.generate_image(asked(num_inference_steps=900))
        await anext(stream)
        await asyncio.to_thread(model.close)
        with pytest.raises(InternalError, match="unloaded"):
            async for _ in stream:
                pass

    asyncio.run(run())
