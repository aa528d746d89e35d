"""Pictures through a real server and a tiny Stable Diffusion: OpenAI's SDK, files, streams, batches, progress."""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

import openai
from server import Server, running_server
from tiny.diffusion import make_lora

MODEL = "painter"
STEPS = 3
SEED = 7
LONG = 900
"""Steps that are far from done when a test looks at the request."""


@pytest.fixture(scope="module")
def server(folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("server")
    path = folder("stable_diffusion")
    options = {
        "dtype": "float32",
        "threads": 1,
        "default_steps": STEPS,
        "default_size": "32x32",
        "loras": {"ink": str(make_lora(base / "ink", path))},
    }
    config = base / "universal.toml"
    config.write_text(toml_of(str(path), options))
    with running_server(
        "--config", str(config), "--device", "cpu", "--images-outputs", str(base / "pictures")
    ) as found:
        yield found


def toml_of(path: str, options: dict[str, Any]) -> str:
    """Return the configuration of the model as TOML, which JSON's texts and numbers are too."""
    lines = [f"[model.{MODEL}]", f"model = {json.dumps(path)}", f"[model.{MODEL}.options]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in options.items() if not isinstance(value, dict)]
    lines += [f"[model.{MODEL}.options.loras]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in options["loras"].items()]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def pipeline(folder: Callable[[str], Path]) -> Any:
    """Return the same model through diffusers alone."""
    found = StableDiffusionPipeline.from_pretrained(folder("stable_diffusion"), local_files_only=True)
    found.set_progress_bar_config(disable=True)
    return found


def expected(pipeline: Any, prompt: str = "the cat", *, seed: int = SEED) -> Any:
    generator = torch.Generator().manual_seed(seed)
    image = pipeline(prompt, num_inference_steps=STEPS, width=32, height=32, generator=generator).images[0]
    return np.asarray(image)


def generate(client: openai.OpenAI, prompt: str = "the cat", **fields: Any) -> Any:
    seeded = {"seed": SEED, **fields.pop("extra_body", {})}
    return client.images.generate(model=MODEL, prompt=prompt, extra_body=seeded, **fields)


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)))


def decoded(image: Any) -> Any:
    return pixels(base64.b64decode(image.b64_json))


def png(color: str = "red", size: tuple[int, int] = (32, 32), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_sdk_gets_the_pixels_that_diffusers_makes(client: openai.OpenAI, pipeline: Any) -> None:
    answer = generate(client, response_format="b64_json")
    assert np.array_equal(decoded(answer.data[0]), expected(pipeline))
    assert answer.data[0].seed == SEED
    assert answer.size == "32x32"


def test_the_url_answers_with_a_file_that_tells_what_made_it(client: openai.OpenAI, pipeline: Any) -> None:
    image = generate(client).data[0]
    response = httpx.get(image.url)
    assert response.headers["content-type"] == "image/png"
    assert np.array_equal(pixels(response.content), expected(pipeline))
    assert re.fullmatch(rf"{MODEL}_\d{{8}}_\d{{6}}_{SEED}_0(-\d+)?\.png", Path(image.path).name)
    assert Path(image.path).read_bytes() == response.content
    written = " ".join(map(str, Image.open(io.BytesIO(response.content)).info.values()))
    assert "the cat" in written
    assert str(SEED) in written


def test_each_of_several_pictures_has_a_seed_that_makes_it_again(client: openai.OpenAI, pipeline: Any) -> None:
    found = generate(client, n=3, response_format="b64_json").data
    assert [image.seed for image in found] == [SEED, SEED + 1, SEED + 2]
    for image in found:
        difference = np.abs(decoded(image).astype(int) - expected(pipeline, seed=image.seed).astype(int))
        assert difference.max() <= 1


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_files_come_in_the_format_asked_for(client: openai.OpenAI, format: Any) -> None:
    image = generate(client, output_format=format).data[0]
    response = httpx.get(image.url)
    assert response.headers["content-type"] == f"image/{format}"
    assert (Image.open(io.BytesIO(response.content)).format or "").lower() == format


def test_the_sdk_edits_within_a_mask(client: openai.OpenAI) -> None:
    mask = Image.new("RGBA", (32, 32), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 16, 32))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    answer = client.images.edit(
        model=MODEL,
        image=("red.png", png(), "image/png"),
        mask=("mask.png", buffer.getvalue(), "image/png"),
        prompt="the cat",
        response_format="b64_json",
        extra_body={"seed": SEED, "strength": 1.0},
    )
    assert answer.data is not None
    assert decoded(answer.data[0]).shape == (32, 32, 3)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own service of variations ends
def test_the_sdk_makes_variations(client: openai.OpenAI) -> None:
    answer = client.images.create_variation(
        model=MODEL, image=("red.png", png(), "image/png"), n=2, response_format="b64_json", extra_body={"seed": SEED}
    )
    assert answer.data is not None
    first, second = map(decoded, answer.data)
    assert first.shape == (32, 32, 3)
    assert not np.array_equal(first, second)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize(("mode", "color"), [("RGBA", "red"), ("L", "gray"), ("P", "red"), ("1", "white")])
def test_pictures_of_every_mode_are_read(client: openai.OpenAI, mode: str, color: str) -> None:
    answer = client.images.create_variation(
        model=MODEL, image=("some.png", png(color, mode=mode), "image/png"), response_format="b64_json"
    )
    assert answer.data is not None
    assert decoded(answer.data[0]).shape == (32, 32, 3)


def test_the_sdk_streams_unfinished_pictures_and_the_finished_one(client: openai.OpenAI, pipeline: Any) -> None:
    stream = generate(client, stream=True, partial_images=2)
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:-1]] == [0, 1]
    assert all(decoded(event).shape == (32, 32, 3) for event in events)
    assert np.array_equal(decoded(events[-1]), expected(pipeline))


def test_a_stream_tells_how_far_it_is_up_to_the_last_step(server: Server) -> None:
    body = {"model": MODEL, "prompt": "the cat", "stream": True}
    text = httpx.post(f"{server.url}/v1/images/generations", json=body, timeout=60).text
    told = [int(step) for step in re.findall(rf"^: step (\d+) of {STEPS}$", text, re.MULTILINE)]
    assert told == sorted(set(told))
    assert (told[0], told[-1]) == (1, STEPS)


def test_a_picture_that_is_none_is_named_as_the_client_sent_it(server: Server) -> None:
    good, broken = (base64.b64encode(data).decode() for data in (png(), b"no picture"))
    sent = {"image": [good, broken], "images": [broken]}
    found = []
    for name, images in sent.items():
        for stream in (False, True):
            body = {"model": MODEL, "prompt": "the cat", "stream": stream, name: images}
            error = httpx.post(f"{server.url}/v1/images/edits", json=body, timeout=60).json()["error"]
            found.append((error["param"], error["message"].partition(":")[0]))
    assert found == [("image[1]", "image[1]")] * 2 + [("images[0]", "images[0]")] * 2


def test_adapters_change_the_picture_and_leave_nothing_behind(client: openai.OpenAI, pipeline: Any) -> None:
    plain = expected(pipeline)
    inked = generate(client, response_format="b64_json", extra_body={"loras": [{"model": "ink", "scale": 0.8}]})
    assert not np.array_equal(decoded(inked.data[0]), plain)
    assert np.array_equal(decoded(generate(client, response_format="b64_json").data[0]), plain)


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"size": "33x32"}, 400, "size"),
        ({"size": "4096x4096"}, 400, "size"),
        ({"scheduler": "nobody"}, 400, "scheduler"),
        ({"loras": ["/etc/passwd"]}, 403, "loras"),
        ({"loras": ["nobody"]}, 404, "loras"),
        ({"clip_skip": 9}, 400, "clip_skip"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(
    client: openai.OpenAI, fields: dict[str, Any], status: int, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        generate(client, extra_body=fields)
    assert caught.value.status_code == status
    assert caught.value.body["param"] == param  # type: ignore[index]  # the SDK gives what was sent


def test_requests_that_wait_together_are_made_together(client: openai.OpenAI, server: Server, pipeline: Any) -> None:
    prompts = [f"cat {number}" for number in range(4)]
    body = {"model": MODEL, "prompt": "first", "num_inference_steps": LONG, "stream": True}
    with (
        ThreadPoolExecutor(len(prompts)) as threads,
        httpx.stream("POST", f"{server.url}/v1/images/generations", json=body, timeout=60) as busy,
    ):
        lines = busy.iter_lines()
        next(line for line in lines if "step 1 of" in line)
        waiting = [threads.submit(generate, client, prompt, response_format="b64_json") for prompt in prompts]
        while server.model(MODEL).get("active") != len(prompts) + 1:
            next(line for line in lines if "step" in line)
        # The first leaves, and those that have waited for it begin together.
        busy.close()
        answers = [each.result() for each in waiting]
    for prompt, answer in zip(prompts, answers, strict=True):
        difference = np.abs(decoded(answer.data[0]).astype(int) - expected(pipeline, prompt).astype(int))
        assert difference.max() <= 1


def test_health_tells_how_far_a_request_is_and_a_client_that_leaves_stops_it(server: Server) -> None:
    body = {"model": MODEL, "prompt": "slow", "num_inference_steps": LONG, "stream": True}
    name = "the-slow-one"
    with httpx.stream(
        "POST", f"{server.url}/v1/images/generations", json=body, headers={"x-request-id": name}, timeout=60
    ) as response:
        lines = response.iter_lines()
        assert len([next(line for line in lines if "step" in line) for _ in range(2)]) == 2
        (progress,) = server.model(MODEL)["progress"]  # type: ignore[misc]  # a list, as JSON has it
        assert progress["request_id"] == name
        assert progress["total"] == LONG
        assert 2 <= progress["done"] < LONG
    # All that is over when this one, which waits behind it, is answered.
    httpx.post(f"{server.url}/v1/images/generations", json={"model": MODEL, "prompt": "next"}, timeout=60)
    assert server.model(MODEL)["progress"] == []
    assert server.model(MODEL)["active"] == 0
