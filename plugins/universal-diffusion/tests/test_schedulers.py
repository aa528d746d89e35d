"""Schedulers by name: those that go with a model, and what is said of the others."""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import diffusers
import numpy
import pytest
import torch

from universal_core import BadRequest, Event, GenerateImageRequest, Picture
from universal_core.pictures import Pixels
from universal_diffusion.model import DiffusionModel
from universal_diffusion.schedulers import DIFFUSION, FLOW, KNOWN, Schedulers

# numpy says so of the tensors that diffusers' schedulers make arrays of.
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")

Open = Callable[..., DiffusionModel]
Ask = Callable[..., list[list[Event]]]
Paint = Callable[..., list[Pixels]]
OF_THE_ISSUE = {"ddim", "pndm", "lms", "euler", "euler_a", "dpm++", "dpm++_karras", "unipc", "lcm", "heun"}


def asked(scheduler: str | None, **changes: Any) -> GenerateImageRequest:
    usual: dict[str, Any] = {"prompt": "cat", "size": (32, 32), "num_inference_steps": 4, "seed": 1}
    return GenerateImageRequest(**usual | changes, scheduler=scheduler)


def bare(path: Any) -> Any:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(path, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def painted(pipeline: Any) -> Pixels:
    generator = torch.Generator("cpu").manual_seed(1)
    if "generator" in inspect.signature(pipeline.scheduler.step).parameters:
        pipeline.scheduler.step = wraps(pipeline.scheduler.step)(partial(pipeline.scheduler.step, generator=generator))
    images = pipeline("cat", width=32, height=32, num_inference_steps=4, generator=generator).images
    return numpy.asarray(images[0])


def test_there_are_twelve_and_those_that_users_expect_are_among_them() -> None:
    assert set(KNOWN) >= OF_THE_ISSUE
    assert len(KNOWN) >= 12


@pytest.mark.parametrize("name", DIFFUSION)
def test_each_paints_what_the_pipeline_paints_with_it(name: str, folder: Any, open_model: Open, paint: Paint) -> None:
    kind, settings = DIFFUSION[name]
    pipeline = bare(folder("stable_diffusion"))
    pipeline.scheduler = getattr(diffusers, kind).from_config(pipeline.scheduler.config, **known(kind, settings))
    assert numpy.array_equal(paint(open_model("stable_diffusion"), asked(name))[0], painted(pipeline))


@pytest.mark.parametrize("name", FLOW)
def test_each_goes_with_flow_matching(name: str, folder: Any, open_model: Open, paint: Paint) -> None:
    kind, settings = FLOW[name]
    pipeline = bare(folder("sd3"))
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 1.0}
    settings = known(kind, {**settings, **flow})
    pipeline.scheduler = getattr(diffusers, kind).from_config(pipeline.scheduler.config, **settings)
    assert numpy.array_equal(paint(open_model("sd3"), asked(name))[0], painted(pipeline))


@pytest.mark.parametrize("name", [name for name in FLOW if name != "heun"])
def test_each_goes_with_a_flux_that_was_made_without_shifting(name: str, open_model: Open, ask: Ask) -> None:
    (events,) = ask(open_model("flux"), asked(name))
    assert isinstance(events[-1], Picture)


def known(kind: str, settings: Any) -> dict[str, Any]:
    """Return the settings that a scheduler has."""
    taken = getattr(diffusers, kind).__init__.__wrapped__.__code__.co_varnames
    return {name: value for name, value in settings.items() if name in taken}


@pytest.mark.parametrize("name", DIFFUSION)
def test_one_step_is_enough_for_each(name: str, open_model: Open, paint: Paint) -> None:
    assert len(paint(open_model("stable_diffusion"), asked(name, num_inference_steps=1))) == 1


def test_lcm_has_few_steps_and_says_so(open_model: Open, ask: Ask, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    with pytest.raises(BadRequest, match="num_inference_steps: expected 1 to 50 with this scheduler, got 51") as caught:
        ask(model, asked("lcm", num_inference_steps=51))
    assert caught.value.param == "num_inference_steps"
    # Twice the pipeline's 50 steps would be too many.
    assert paint(model, asked("lcm", num_inference_steps=None, quality="high"))


def test_an_unknown_name_is_refused_with_those_that_are_known(open_model: Open, ask: Ask) -> None:
    with pytest.raises(BadRequest, match=r"none called 'eular'; known are ddim, .*lcm") as caught:
        ask(open_model("stable_diffusion"), asked("eular"))
    assert caught.value.param == "scheduler"


def test_one_of_another_kind_is_refused_with_those_that_go_with_the_model(open_model: Open, ask: Ask) -> None:
    with pytest.raises(BadRequest, match=r"ddim does not go with this model; these go with it: euler, heun, lcm"):
        ask(open_model("sd3"), asked("ddim"))
    # Flux gives its scheduler the noise levels itself, which this one does not take.
    with pytest.raises(BadRequest, match=r"heun does not go with this model; these go with it: euler, lcm, dpm\+\+"):
        ask(open_model("flux"), asked("heun"))


def test_the_option_is_used_where_a_request_names_none(open_model: Open, paint: Paint) -> None:
    configured = open_model("stable_diffusion", scheduler="euler")
    plain = open_model("stable_diffusion")
    assert numpy.array_equal(paint(configured, asked(None))[0], paint(plain, asked("euler"))[0])
    assert numpy.array_equal(paint(configured, asked("ddim"))[0], paint(plain, asked("ddim"))[0])


def test_what_ran_before_changes_nothing(open_model: Open, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    before = paint(model, asked(None))[0]
    for name in ("dpm++_karras", "lcm", "unipc"):
        paint(model, asked(name))
    assert numpy.array_equal(paint(model, asked(None))[0], before)


def test_karras_noise_levels_are_those_of_the_name_alone(folder: Any) -> None:
    """A model configured with them does not hand them on to a scheduler that is named without."""
    pipeline = bare(folder("stable_diffusion"))
    config = pipeline.scheduler.config
    pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=True)
    schedulers = Schedulers(pipeline)
    assert schedulers.make(None).config.use_karras_sigmas
    assert schedulers.make("dpm++_karras").config.use_karras_sigmas
    assert not schedulers.make("dpm++").config.use_karras_sigmas
    assert not schedulers.make("euler").config.use_karras_sigmas
