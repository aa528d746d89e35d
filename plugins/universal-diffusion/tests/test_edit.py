"""Edits and variations: which pipeline does them, in which size, how far, and what is refused."""

from collections.abc import Callable
from typing import Any

import diffusers
import numpy
import pytest
import torch
from PIL import Image

from tiny.drawings import file_of, hole, noise
from universal_core import (
    BadRequest,
    EditImageRequest,
    Event,
    ImageRequest,
    Picture,
    Step,
    TaskNotSupported,
    UnsupportedField,
    VaryImageRequest,
)
from universal_core.pictures import Pixels
from universal_diffusion.arguments import Desk, takes_several_images
from universal_diffusion.inputs import Inputs
from universal_diffusion.model import DiffusionModel
from universal_diffusion.options import DiffusionOptions
from universal_diffusion.pipelines import Pipelines, parameters
from universal_diffusion.schedulers import Schedulers

# numpy says so of the tensors that diffusers' schedulers make arrays of.
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")

Open = Callable[..., DiffusionModel]
Ask = Callable[..., list[list[Event]]]
Paint = Callable[..., list[Pixels]]
FAMILIES = ["stable_diffusion", "sdxl", "sd3", "flux"]


def edit(image: Image.Image | None = None, mask: Image.Image | None = None, **changes: Any) -> EditImageRequest:
    usual: dict[str, Any] = {"prompt": "cat", "num_inference_steps": 4, "seed": 1}
    return EditImageRequest(
        images=(file_of(image or noise()),), mask=None if mask is None else file_of(mask), **usual | changes
    )


def vary(image: Image.Image | None = None, **changes: Any) -> VaryImageRequest:
    usual: dict[str, Any] = {"num_inference_steps": 4, "seed": 1}
    return VaryImageRequest(image=file_of(image or noise()), **usual | changes)


def refused(model: DiffusionModel, ask: Ask, request: ImageRequest, words: str) -> BadRequest:
    with pytest.raises(BadRequest, match=words) as caught:
        ask(model, request)
    return caught.value


@pytest.mark.parametrize("name", FAMILIES)
def test_one_set_of_weights_does_all(name: str, open_model: Open) -> None:
    model = open_model(name)
    made = [model._pipelines.get(way) for way in ("text", "image", "inpaint")]
    assert len({type(pipeline) for pipeline in made}) == 3
    assert made[0] is model._pipelines.loaded
    modules = [
        {part: module for part, module in pipeline.components.items() if isinstance(module, torch.nn.Module)}
        for pipeline in made
    ]
    for part, module in modules[0].items():
        assert all(other[part] is module for other in modules)
    assert model._pipelines.get("inpaint") is made[2]


def test_the_weights_keep_their_dtype(folder: Any) -> None:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder("stable_diffusion"), dtype=torch.bfloat16)
    pipelines = Pipelines(pipeline)
    assert pipelines.get("image").unet.dtype == pipelines.get("inpaint").vae.dtype == torch.bfloat16


def test_a_variation_goes_as_far_as_its_strength(open_model: Open, ask: Ask, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    steps = [event for event in ask(model, vary(strength=0.5))[0] if isinstance(event, Step)]
    assert [step.done for step in steps] == [1, 2]
    original = numpy.asarray(noise(), int)
    off = [abs(paint(model, vary(strength=strength))[0] - original).mean() for strength in (0.25, 1.0)]
    assert off[0] < off[1]


def test_an_edit_without_a_mask_changes_the_whole_picture(open_model: Open, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    assert numpy.array_equal(paint(model, edit())[0], paint(model, vary(prompt="cat", strength=0.75))[0])


def test_the_transparency_of_an_image_is_its_mask(open_model: Open, paint: Paint) -> None:
    image = noise().convert("RGBA")
    image.putalpha(Image.eval(hole(), lambda value: 255 - value))
    model = open_model("stable_diffusion")
    flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert numpy.array_equal(paint(model, edit(image))[0], paint(model, edit(flat, hole()))[0])


@pytest.mark.parametrize("make", [edit, vary])
def test_the_usual_size_is_the_picture_s_own(make: Any, open_model: Open, paint: Paint) -> None:
    assert paint(open_model("stable_diffusion"), make(noise(size=(45, 37))))[0].shape == (32, 40, 3)
    assert paint(open_model("stable_diffusion"), make(noise(size=(45, 37)), size=(24, 48)))[0].shape == (48, 24, 3)


def test_a_mask_is_resized_with_its_picture(open_model: Open, paint: Paint) -> None:
    request = edit(noise(size=(45, 37)), hole(size=(45, 37)))
    assert paint(open_model("stable_diffusion"), request)[0].shape == (32, 40, 3)


def test_an_editor_by_instruction_needs_no_mask(open_model: Open, ask: Ask) -> None:
    model = open_model("instruct_pix2pix")
    pictures = [event for event in ask(model, edit(n=2, previews=1))[0] if isinstance(event, Picture)]
    assert [picture.seed for picture in pictures] == [1, 2]
    error = refused(model, ask, edit(mask=hole()), "mask: this model paints within no mask")
    assert isinstance(error, UnsupportedField)
    assert refused(model, ask, edit(strength=0.5), "strength: this model does as it is told").param == "strength"


def test_weights_that_read_a_mask_need_one(open_model: Open, ask: Ask, paint: Paint) -> None:
    model = open_model("inpainting")
    assert paint(model, edit(mask=hole()))[0].shape == (32, 32, 3)
    assert refused(model, ask, edit(), "paints within a mask alone").param == "mask"
    with pytest.raises(TaskNotSupported, match="no pictures from other pictures"):
        ask(model, vary())


def test_a_model_of_text_alone_edits_nothing(open_model: Open, ask: Ask) -> None:
    for request in (edit(), edit(mask=hole()), vary()):
        with pytest.raises(TaskNotSupported, match="PixArtSigmaPipeline makes no"):
            ask(open_model("pixart"), request)


def test_several_pictures_are_refused_where_one_is_edited(open_model: Open, ask: Ask) -> None:
    request = EditImageRequest(prompt="cat", images=(file_of(noise()),) * 2)
    for name in ("stable_diffusion", "instruct_pix2pix"):
        error = refused(open_model(name), ask, request, "image: this model edits one picture, and 2 were sent")
        assert error.param == "image"


@pytest.mark.parametrize(
    ("kind", "several"),
    [
        ("QwenImageEditPlusPipeline", True),
        ("Flux2Pipeline", True),
        ("QwenImageEditPipeline", False),
        ("FluxKontextPipeline", False),
        ("StableDiffusionInstructPix2PixPipeline", False),
    ],
)
def test_editors_that_take_several_pictures_are_known_by_their_code(kind: str, several: bool) -> None:
    pipeline = object.__new__(getattr(diffusers, kind))
    assert "strength" not in parameters(pipeline)
    assert takes_several_images(pipeline) is several


def kontext(folder: Any) -> Any:
    """Return an editor that looks at pictures in a size of its own; running it takes minutes, however small it is."""
    flux = diffusers.DiffusionPipeline.from_pretrained(folder("flux"), dtype=torch.float32)
    return diffusers.FluxKontextPipeline(**flux.components)


@pytest.mark.parametrize(
    ("asked", "size"), [(None, (1448, 720)), ((64, 32), (64, 32))], ids=["usual size", "size of the request"]
)
def test_an_editor_with_rules_of_its_own_makes_its_usual_number_of_pixels(
    asked: tuple[int, int] | None, size: tuple[int, int], folder: Any
) -> None:
    pipeline = kontext(folder)
    desk = Desk(Pipelines(pipeline), Schedulers(pipeline), DiffusionOptions())
    image = noise(size=(96, 48))
    order = desk.order(EditImageRequest(prompt="cat", images=(b"",), size=asked), Inputs((image,)))
    keywords = dict(order.settings.keywords)
    assert order.settings.way == "instruct"
    assert order.settings.size == (keywords["width"], keywords["height"]) == size
    assert keywords["max_area"] == size[0] * size[1]
    assert order.rows[0].inputs.images[0] is image


def test_an_editor_that_needs_no_picture_makes_one_from_text(folder: Any) -> None:
    pipelines = Pipelines(kontext(folder))
    assert pipelines.get("text") is pipelines.get("instruct") is pipelines.loaded
    assert pipelines.find("image") is None


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.5])
def test_a_strength_out_of_range_is_refused(strength: float, open_model: Open, ask: Ask) -> None:
    words = "strength: expected more than 0 and at most 1"
    assert refused(open_model("stable_diffusion"), ask, vary(strength=strength), words).param == "strength"


def test_a_strength_that_leaves_no_step_is_refused_with_one_that_does(open_model: Open, ask: Ask) -> None:
    words = r"strength: 0.2 of 4 steps is less than one step, .* at least 0.25"
    assert refused(open_model("stable_diffusion"), ask, vary(strength=0.2), words).param == "strength"


def test_a_picture_that_is_none_is_refused(open_model: Open, ask: Ask) -> None:
    request = VaryImageRequest(image=b"no picture")
    assert refused(open_model("stable_diffusion"), ask, request, "image: expected a picture").param == "image"
