"""Requests that wait together are painted together; what each gets is what it would get alone."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tiny.drawings import events_of, file_of, hole, noise, pixels_of
from universal_core import (
    EditImageRequest,
    Event,
    GenerateImageRequest,
    ImageRequest,
    InsufficientMemory,
    InternalError,
    Step,
    VaryImageRequest,
)
from universal_core.pictures import Pixels
from universal_diffusion import engine, painter
from universal_diffusion.engine import Job
from universal_diffusion.model import DiffusionModel
from universal_diffusion.order import Order
from universal_diffusion.painter import Painter
from universal_diffusion.previews import Expectation

# numpy says so of the tensors that diffusers' schedulers make arrays of.
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")

Open = Callable[..., DiffusionModel]
Ask = Callable[..., list[list[Event]]]
Paint = Callable[[DiffusionModel, ImageRequest], list[Pixels]]


def text(seed: int, **changes: Any) -> GenerateImageRequest:
    usual: dict[str, Any] = {"prompt": f"the cat {seed}", "size": (32, 32), "num_inference_steps": 3, "seed": seed}
    return GenerateImageRequest(**usual | changes)


def variation(seed: int) -> VaryImageRequest:
    return VaryImageRequest(prompt=f"cat {seed}", image=file_of(noise(seed)), num_inference_steps=3, seed=seed)


def edit(seed: int) -> EditImageRequest:
    return EditImageRequest(
        prompt=f"cat {seed}", images=(file_of(noise(seed)),), mask=file_of(hole(seed)), num_inference_steps=3, seed=seed
    )


def near(one: list[Pixels], other: list[Pixels]) -> bool:
    return len(one) == len(other) and all(
        int(abs(a.astype(int) - b.astype(int)).max()) <= 1 for a, b in zip(one, other, strict=True)
    )


def together(model: DiffusionModel, *requests: ImageRequest) -> list[list[Event]]:
    """Let requests wait together, for one that is left when all are there, and return the events of each."""

    async def run() -> list[list[Event]]:
        other = model.generate_image(text(0, num_inference_steps=900))
        await anext(other)
        waiting = [asyncio.create_task(events_of(model, request)) for request in requests]
        async for _ in other:
            if model.requests > len(requests):
                break
        await other.aclose()
        return await asyncio.gather(*waiting)

    return asyncio.run(run())


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of pictures of each call of a pipeline."""
    found: list[int] = []
    paint = Painter.paint

    def counted(self: Painter, settings: Any, rows: Any, watch: Any) -> Any:
        found.append(len(rows))
        return paint(self, settings, rows, watch)

    monkeypatch.setattr(Painter, "paint", counted)
    return found


@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl", "sd3", "flux"])
@pytest.mark.parametrize("make", [text, variation, edit])
def test_pictures_made_together_are_those_made_alone(
    name: str, make: Callable[[int], ImageRequest], open_model: Open, ask: Ask, paint: Paint, calls: list[int]
) -> None:
    model = open_model(name)
    requests = [make(1), make(2), make(3)]
    answers = together(model, *requests)
    assert calls == [1, 3]
    for request, events in zip(requests, answers, strict=True):
        assert near(pixels_of(events), paint(model, request))


@pytest.mark.parametrize("scheduler", ["euler_a", "ddpm", "lcm", "dpm++_sde", "kdpm2_a"])
def test_schedulers_that_add_noise_have_each_picture_s_own(
    scheduler: str, open_model: Open, ask: Ask, paint: Paint, calls: list[int]
) -> None:
    model = open_model("stable_diffusion")
    requests = [text(1, scheduler=scheduler), text(2, scheduler=scheduler)]
    answers = together(model, *requests)
    assert calls == [1, 2]
    for request, events in zip(requests, answers, strict=True):
        assert near(pixels_of(events), paint(model, request))


@pytest.mark.parametrize("scheduler", ["lcm", "dpm++_sde"])
def test_so_have_they_with_flow_matching(scheduler: str, open_model: Open, paint: Paint) -> None:
    """diffusers' own pipelines would leave these to PyTorch's generator, which is the same for a whole batch."""
    model = open_model("sd3")
    requests = [text(1, scheduler=scheduler), text(2, scheduler=scheduler)]
    for request, events in zip(requests, together(model, *requests), strict=True):
        assert near(pixels_of(events), paint(model, request))


def test_several_pictures_of_a_request_have_the_seeds_that_follow(open_model: Open, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    several = paint(model, text(5, prompt="cat", n=3))
    assert near(several, [paint(model, text(seed, prompt="cat"))[0] for seed in (5, 6, 7)])


def test_a_batch_has_at_most_as_many_pictures_as_the_option_says(open_model: Open, ask: Ask, calls: list[int]) -> None:
    together(open_model("stable_diffusion", max_batch=2), text(1, n=3), text(2))
    assert calls == [1, 2, 2]


def test_batches_are_counted_with_their_pictures(
    open_model: Open, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(engine, "note_batch", counted.append)
    together(open_model("stable_diffusion"), text(1, n=3), text(2))
    assert counted == calls == [1, 4]


def test_as_many_are_painted_together_as_there_is_memory_for(
    open_model: Open, ask: Ask, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_model("stable_diffusion")
    needs = model._engine._painter._loaded.needs
    monkeypatch.setattr(painter, "free_memory", lambda device: needs.picture((32, 32), 2, guided=True))
    assert len(pixels_of(ask(model, text(1, n=3))[0])) == 3
    assert calls == [2, 1]
    with pytest.raises(InsufficientMemory, match="a picture of 64x64 would take about") as caught:
        ask(model, text(1, size=(64, 64), n=2))
    assert caught.value.param == "size"
    assert len(pixels_of(ask(model, text(1))[0])) == 1


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), InsufficientMemory, "out of memory .* 32x32: ask for a smaller"),
        (RuntimeError("shapes"), InternalError, "the model failed while it made the picture: RuntimeError: shapes"),
    ],
)
def test_what_goes_wrong_is_told_and_the_next_request_runs(
    error: Exception, kind: type[Exception], words: str, open_model: Open, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    model = open_model("stable_diffusion")
    with monkeypatch.context() as patch:
        patch.setattr(Painter, "paint", fail)
        with pytest.raises(kind, match=words):
            ask(model, text(1))
    assert len(pixels_of(ask(model, text(1))[0])) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"size": (48, 32)},
        {"num_inference_steps": 2},
        {"scheduler": "ddim"},
        {"guidance_scale": 2.0},
        {"clip_skip": 1},
        {"negative_prompt": "dog"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_in_its_settings_is_painted_apart(
    other: dict[str, Any], open_model: Open, ask: Ask, calls: list[int]
) -> None:
    together(open_model("stable_diffusion"), text(1), text(2, **other), text(3))
    assert calls == [1, 2, 1] or calls == [1, 1, 2]


def test_the_oldest_request_is_in_the_next_batch(open_model: Open, calls: list[int]) -> None:
    """A stream of requests of one kind does not keep one of another kind waiting."""
    model = open_model("stable_diffusion", max_batch=2)
    order: list[str] = []

    async def finish(name: str, request: GenerateImageRequest) -> None:
        async for _ in model.generate_image(request):
            pass
        order.append(name)

    async def run() -> None:
        same = [finish(f"same {number}", text(number)) for number in range(4)]
        await asyncio.gather(*same[:2], finish("other", text(9, num_inference_steps=2)), *same[2:])

    asyncio.run(run())
    assert set(order[:2]) == {"same 0", "same 1"}
    assert order[2] == "other"


def test_steps_go_up_to_those_of_all_pictures(open_model: Open, ask: Ask) -> None:
    events = ask(open_model("stable_diffusion", max_batch=2), text(1, n=3))[0]
    steps = [(event.done, event.total) for event in events if isinstance(event, Step)]
    assert steps == [(2, 9), (4, 9), (6, 9), (7, 9), (8, 9), (9, 9)]


def test_of_steps_that_follow_too_fast_the_first_and_the_last_of_a_batch_are_told(
    open_model: Open, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STEP_INTERVAL", 1e9)
    events = ask(open_model("stable_diffusion", max_batch=2), text(1, n=3))[0]
    assert [(event.done, event.total) for event in events if isinstance(event, Step)] == [(2, 9), (6, 9), (9, 9)]


def test_a_reader_that_leaves_stops_the_pipeline_at_the_next_step(open_model: Open, paint: Paint) -> None:
    model = open_model("stable_diffusion")
    seen: list[Event] = []

    async def run() -> None:
        stream = model.generate_image(text(1, num_inference_steps=500))
        async for event in stream:
            seen.append(event)
            break
        await stream.aclose()
        # Were it still running, this one would wait for 500 steps.
        seen.extend(await events_of(model, text(2)))

    asyncio.run(run())
    assert len(seen) == 1 + 3 + 1


def test_nothing_of_a_request_stays_in_memory(open_model: Open, ask: Ask) -> None:
    before = living()
    model = open_model("stable_diffusion", threads=1)
    assert ask(model, text(1, previews=1), edit(2))
    # Its thread lets go of its last work a moment after that has answered.
    model.close()
    assert living() <= before


def living() -> Counter[type]:
    gc.collect()
    return Counter(type(found) for found in gc.get_objects() if type(found) in (Job, Order, Expectation))


def test_one_that_leaves_a_batch_does_not_disturb_the_others(open_model: Open, paint: Paint, calls: list[int]) -> None:
    model = open_model("stable_diffusion")

    async def leave() -> None:
        stream = model.generate_image(text(1))
        await anext(stream)
        await stream.aclose()

    async def run() -> list[Event]:
        _, found = await asyncio.gather(leave(), events_of(model, text(2)))
        return found

    found = asyncio.run(run())
    assert calls == [2]
    assert near(pixels_of(found), paint(model, text(2)))


def test_requests_that_fail_together_are_tried_alone(
    open_model: Open, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = Painter.paint

    def alone(self: Painter, settings: Any, rows: Any, watch: Any) -> Any:
        if len(rows) > 1:
            raise RuntimeError("one at a time")
        return paint(self, settings, rows, watch)

    monkeypatch.setattr(Painter, "paint", alone)
    answers = ask(open_model("stable_diffusion"), text(1, n=2), text(2))
    assert [len(pixels_of(events)) for events in answers] == [2, 1]
