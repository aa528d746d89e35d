"""POST /v1/images/…: what reaches the model, what is answered, and what is refused."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.testclient import TestClient

from clients import outcome
from universal_core.app import create_app
from universal_core.config import Config, ImagesConfig, MediaConfig, ServerConfig
from universal_core.errors import StorageFailed, UnsupportedField
from universal_core.gallery import Gallery
from universal_core.messages import GenerateImageRequest, Notice, Picture
from universal_core.openai.image_answers import ImageEvents, Shelf, whole_answer
from universal_core.openai.image_bodies import SEEDS, EditBody
from universal_core.openai.naming import naming
from universal_core.runtime import Runtime
from universal_core.testing.png import texts_of

GENERATIONS, EDITS, VARIATIONS = "/v1/images/generations", "/v1/images/edits", "/v1/images/variations"
FILE = b"not really a picture"
DATA_URL = "data:image/png;base64," + base64.b64encode(FILE).decode()
PICTURE = {"image": DATA_URL}
ENDPOINTS = [(GENERATIONS, {}), (EDITS, PICTURE), (VARIATIONS, PICTURE)]


@contextmanager
def client_of(config: Config) -> Iterator[TestClient]:
    with TestClient(create_app(Runtime(config)), raise_server_exceptions=False) as found:
        yield found


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def client(media: Path) -> Iterator[TestClient]:
    images = ImagesConfig(outputs=str(media / "outputs"))
    with client_of(Config(images=images, media=MediaConfig(roots=(str(media),)))) as found:
        yield found


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "prompt": "a cat", **fields}


def create(client: TestClient, path: str = GENERATIONS, **fields: Any) -> dict[str, Any]:
    response = client.post(path, json=body(**fields))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def asked(response: httpx.Response, index: int = 0) -> dict[str, Any]:
    """Return the request as the model saw it, which the echo backend writes into its pictures."""
    assert response.status_code == 200, response.text
    picture = base64.b64decode(response.json()["data"][index]["b64_json"])
    found: dict[str, Any] = json.loads(texts_of(picture)["request"])
    return found


def request_of(client: TestClient, path: str = GENERATIONS, **fields: Any) -> dict[str, Any]:
    return asked(client.post(path, json=body(response_format="b64_json", **fields)))


@pytest.mark.parametrize(("path", "more"), ENDPOINTS)
def test_a_request_that_says_little_leaves_the_rest_to_the_model(
    client: TestClient, path: str, more: dict[str, Any]
) -> None:
    found = request_of(client, path, **more)
    assert found["prompt"] == "a cat"
    assert (found["n"], found["size"], found["num_inference_steps"], found["quality"]) == (1, None, None, "medium")
    assert (found["guidance_scale"], found["negative_prompt"], found["loras"]) == (None, None, [])
    assert (found["format"], found["compression"], found["previews"]) == ("png", 100, 0)


@pytest.mark.parametrize(("path", "more"), ENDPOINTS)
def test_every_field_reaches_the_model(client: TestClient, path: str, more: dict[str, Any]) -> None:
    loras = ["org/style", {"model": "org/face", "scale": 0.5, "weight_name": "face.safetensors"}]
    found = request_of(
        client,
        path,
        n=2,
        size="24x16",
        quality="hd",
        num_inference_steps=3,
        guidance_scale=7,
        seed=5,
        negative_prompt="a dog",
        loras=loras,
        **more,
    )
    assert (found["n"], found["size"], found["quality"], found["num_inference_steps"]) == (2, [24, 16], "high", 3)
    assert (found["guidance_scale"], found["seed"], found["negative_prompt"]) == (7, 5, "a dog")
    assert found["loras"] == [
        {"model": "org/style", "scale": 1.0, "weight_name": None},
        {"model": "org/face", "scale": 0.5, "weight_name": "face.safetensors"},
    ]


@pytest.mark.parametrize(
    ("quality", "meant"),
    [("auto", "medium"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("standard", "medium")],
)
def test_a_quality_of_any_of_openais_models_is_understood(client: TestClient, quality: str, meant: str) -> None:
    assert request_of(client, quality=quality)["quality"] == meant


@pytest.mark.parametrize(("path", "more"), ENDPOINTS)
def test_null_is_the_same_as_leaving_a_field_out(client: TestClient, path: str, more: dict[str, Any]) -> None:
    names = (
        *("n", "size", "quality", "num_inference_steps", "guidance_scale", "seed", "negative_prompt", "scheduler"),
        *("response_format", "output_format", "output_compression", "stream", "partial_images", "loras", "clip_skip"),
        *("background", "style", "user", "moderation", "safety_identifier", "svg", "markup"),
    )
    assert create(client, path, **dict.fromkeys(names), **more)["data"][0]["url"]


def test_what_changes_nothing_passes(client: TestClient) -> None:
    harmless = {"user": "me", "safety_identifier": "me", "moderation": "low", "background": "opaque", "size": "auto"}
    assert create(client, **harmless, output_compression=100, partial_images=0, clip_skip=0)["background"] == "opaque"
    assert create(client, EDITS, **PICTURE, input_fidelity="low", background="auto")["data"]


def test_pictures_have_seeds_that_make_them_again(client: TestClient, tmp_path: Path) -> None:
    first = create(client, n=3, response_format="b64_json")
    seeds = [picture["seed"] for picture in first["data"]]
    assert seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]
    assert (
        create(client, n=3, response_format="b64_json", seed=seeds[0])["data"][1]["b64_json"]
        == first["data"][1]["b64_json"]
    )
    assert create(client)["data"][0]["seed"] != create(client)["data"][0]["seed"]


@pytest.mark.parametrize(("seed", "number"), [(0, 1), (SEEDS - 1, 1), (SEEDS - 10, 10)])
def test_every_seed_of_32_bits_is_taken(client: TestClient, seed: int, number: int) -> None:
    assert create(client, seed=seed, n=number)["data"][-1]["seed"] == seed + number - 1


def test_the_answer_has_urls_unless_asked_otherwise(client: TestClient) -> None:
    answer = create(client, n=2, size="24x16")
    assert {name: answer[name] for name in ("size", "quality", "output_format", "background")} == {
        "size": "24x16",
        "quality": "medium",
        "output_format": "png",
        "background": "opaque",
    }
    assert answer["created"] > 10**9
    assert "usage" not in answer
    for picture in answer["data"]:
        assert set(picture) == {"url", "seed", "path"}
        assert picture["url"] == f"http://testserver/v1/images/files/{Path(picture['path']).name}"


def test_the_picture_itself_is_the_one_that_was_saved(client: TestClient) -> None:
    (picture,) = create(client, response_format="b64_json")["data"]
    assert set(picture) == {"b64_json", "seed", "path"}
    assert Path(picture["path"]).read_bytes() == base64.b64decode(picture["b64_json"])


def test_usage_has_the_shape_that_openai_gives_it(client: TestClient) -> None:
    assert create(client, prompt="count to three")["usage"] == {
        "input_tokens": 3,
        "output_tokens": 4,
        "total_tokens": 7,
        "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
    }


def test_a_request_without_a_model_is_told(client: TestClient) -> None:
    response = client.post(GENERATIONS, json={"prompt": "a cat"})
    assert outcome(response) == (400, "invalid_value", "model")


@pytest.mark.parametrize(
    ("image", "param"),
    [
        (DATA_URL, "image"),
        (base64.b64encode(FILE).decode(), "image"),
        ([DATA_URL], "image"),
        ({"image_url": DATA_URL}, "image"),
        ([{"image_url": DATA_URL}], "images"),
        ([DATA_URL], "images"),
    ],
)
def test_a_picture_may_come_in_any_of_these_ways(client: TestClient, image: Any, param: str) -> None:
    assert request_of(client, EDITS, **{param: image})["images"] == [len(FILE)]


@pytest.mark.parametrize(
    ("fields", "told", "named"),
    [
        ({"image": "a"}, "image", "image"),
        ({"image": ["a"]}, "image", "image[0]"),
        ({"images": ["a"]}, "image", "images[0]"),
        ({"image": ["a", "b"]}, "image[1]", "image[1]"),
        ({"images": ["a", "b"]}, "image[1]", "images[1]"),
        ({"images": ["a", "b"]}, "image", "images"),
        ({"images": ["a", "b"], "mask": "c"}, "mask", "mask"),
        ({"image": "a"}, "size", "size"),
        ({"image": "a"}, None, None),
    ],
)
def test_what_a_model_says_of_a_picture_is_said_of_the_field_that_the_client_used(
    fields: dict[str, Any], told: str | None, named: str | None
) -> None:
    found = msgspec.convert({"prompt": "a cat", **fields}, EditBody)
    with pytest.raises(UnsupportedField) as caught, naming(found.named):
        raise UnsupportedField(f"{told}: it is of no use", param=told)
    assert (caught.value.param, caught.value.message) == (named, f"{named}: it is of no use")


def test_a_picture_may_be_a_file_of_an_allowed_folder(client: TestClient, media: Path) -> None:
    (media / "picture.png").write_bytes(FILE)
    image = str(media / "picture.png")
    assert request_of(client, EDITS, image=[image, DATA_URL], mask=image)["images"] == [len(FILE)] * 2
    assert request_of(client, VARIATIONS, image=image)["image"] == len(FILE)


def test_edits_have_pictures_and_a_mask_and_a_strength(client: TestClient) -> None:
    mask = "data:;base64," + base64.b64encode(b"mask").decode()
    found = request_of(client, EDITS, image=[DATA_URL] * 16, mask=mask, strength=0.3)
    assert (found["images"], found["mask"], found["strength"]) == ([len(FILE)] * 16, 4, 0.3)
    assert request_of(client, EDITS, **PICTURE, mask={"image_url": mask})["mask"] == 4
    assert request_of(client, EDITS, **PICTURE)["mask"] is None


def test_variations_need_no_prompt_and_go_three_quarters_of_the_way(client: TestClient) -> None:
    found = request_of(client, VARIATIONS, **PICTURE, prompt=None)
    assert (found["prompt"], found["strength"]) == ("", 0.75)
    assert request_of(client, VARIATIONS, **PICTURE, strength=0)["strength"] == 0


@pytest.mark.parametrize("name", ["image", "image[]"])
@pytest.mark.parametrize("number", [1, 2, 16])
def test_a_form_says_the_same_as_json(client: TestClient, name: str, number: int) -> None:
    files: list[tuple[str, Any]] = [(name, ("a.png", FILE, "image/png"))] * number
    fields = {
        "n": "2",
        "seed": "5",
        "size": "24x16",
        "guidance_scale": "7.5",
        "num_inference_steps": "3",
        "strength": "0.5",
        "response_format": "b64_json",
        "stream": "false",
        "negative_prompt": "a dog",
    }
    response = client.post(EDITS, data=body(**fields), files=[*files, ("mask", ("mask.png", b"mask"))])
    assert response.status_code == 200, response.text
    found = asked(response)
    assert (found["images"], found["mask"], found["strength"]) == ([len(FILE)] * number, 4, 0.5)
    assert (found["n"], found["seed"], found["size"]) == (2, 5, [24, 16])
    assert (found["guidance_scale"], found["num_inference_steps"], found["negative_prompt"]) == (7.5, 3, "a dog")


def test_a_form_of_variations_says_the_same_as_json(client: TestClient) -> None:
    fields = {"model": "echo/a", "strength": "0.5", "response_format": "b64_json"}
    found = asked(client.post(VARIATIONS, data=fields, files=[("image", ("a.png", FILE))]))
    assert (found["image"], found["strength"], found["prompt"]) == (len(FILE), 0.5, "")


@pytest.mark.parametrize(
    ("name", "given", "names"),
    [
        ("loras", "org/style", ["org/style"]),
        ("loras[]", ["org/style", '{"model":"org/face","scale":0.5}'], ["org/style", "org/face"]),
        ("loras", '["org/style",{"model":"org/face","scale":0.5}]', ["org/style", "org/face"]),
    ],
)
def test_adapters_come_in_a_form_as_names_or_json(client: TestClient, name: str, given: Any, names: list[str]) -> None:
    fields = body(response_format="b64_json", **{name: given})
    found = asked(client.post(EDITS, data=fields, files=[("image", ("a.png", FILE))]))
    assert [(lora["model"], lora["scale"]) for lora in found["loras"]] == list(zip(names, (1.0, 0.5), strict=False))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "x" * 32001}, "prompt"),
    ({"prompt": 3}, "prompt"),
    ({"n": 0}, "n"),
    ({"n": 11}, "n"),
    ({"size": "512"}, "size"),
    ({"size": "0x512"}, "size"),
    ({"size": "16384x8"}, "size"),
    ({"size": "-8x8"}, "size"),
    ({"size": "٣x8"}, "size"),
    ({"quality": "xhigh"}, "quality"),
    ({"num_inference_steps": 0}, "num_inference_steps"),
    ({"num_inference_steps": 1001}, "num_inference_steps"),
    ({"guidance_scale": -1}, "guidance_scale"),
    ({"guidance_scale": 1001}, "guidance_scale"),
    ({"seed": -1}, "seed"),
    ({"seed": SEEDS}, "seed"),
    ({"seed": SEEDS - 1, "n": 2}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"seed": "x"}, "seed"),
    ({"scheduler": ""}, "scheduler"),
    ({"loras": "org/style"}, "loras"),
    ({"loras": [""]}, "loras"),
    ({"loras": ["{"]}, "loras"),
    ({"loras": ['{"scale": 1}']}, "loras"),
    ({"loras": [{"scale": 1}]}, "loras[0].model"),
    ({"loras": [{"model": "a", "scale": "x"}]}, "loras[0].scale"),
    ({"clip_skip": -1}, "clip_skip"),
    ({"response_format": "file"}, "response_format"),
    ({"output_format": "gif"}, "output_format"),
    ({"output_format": "svg"}, "output_format"),
    ({"output_format": "webp", "output_compression": 101}, "output_compression"),
    ({"output_compression": 50}, "output_compression"),
    ({"output_compression": 50, "output_format": "png"}, "output_compression"),
    ({"partial_images": 4, "stream": True}, "partial_images"),
    ({"partial_images": 1}, "partial_images"),
    ({"background": "transparent"}, "background"),
    ({"background": "green"}, "background"),
    ({"moderation": "none"}, "moderation"),
    ({"style": "vivid"}, "style"),
    ({"complexity": "high"}, "complexity"),
    ({"svg": {"model": "x"}}, "svg"),
    ({"frame_count": 2}, "frame_count"),
    ({"frame_duration_ms": 100}, "frame_duration_ms"),
    ({"markup": DATA_URL}, "markup"),
    ({"sed": 1}, "sed"),
]
"""Fields with what is wrong everywhere, and what the error names."""

BAD_EDITS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt"),
    ({"prompt": " "}, "prompt"),
    ({"image": None}, "image"),
    ({"image": []}, "image"),
    ({"image": [DATA_URL] * 17}, "image"),
    ({"image": "not base64!"}, "image"),
    ({"image": [DATA_URL, "not base64!"]}, "image[1]"),
    ({"image": "data:,"}, "image"),
    ({"image": [DATA_URL, "data:,"]}, "image[1]"),
    ({"image": 3}, "image"),
    ({"images": [DATA_URL]}, "images"),
    ({"image": None, "images": [{"file_id": "file_1"}]}, "images[0].file_id"),
    ({"image": None, "images": [{}]}, "images[0]"),
    ({"mask": "not base64!"}, "mask"),
    ({"mask": "data:,"}, "mask"),
    ({"mask": [DATA_URL]}, "mask"),
    ({"strength": 1.1}, "strength"),
    ({"strength": -0.1}, "strength"),
    ({"input_fidelity": "high"}, "input_fidelity"),
]
BAD_VARIATIONS: list[tuple[dict[str, Any], str]] = [
    ({"image": None}, "image"),
    ({"image": [DATA_URL]}, "image"),
    ({"image": "not base64!"}, "image"),
    ({"image": {}}, "image"),
    ({"strength": 1.1}, "strength"),
    ({"mask": DATA_URL}, "mask"),
    ({"input_fidelity": "low"}, "input_fidelity"),
]
WRONG = [
    *((path, {**more, **fields}, param) for path, more in ENDPOINTS for fields, param in BAD),
    (GENERATIONS, {"prompt": None}, "prompt"),
    (GENERATIONS, {"prompt": " \n"}, "prompt"),
    (GENERATIONS, {"strength": 0.5}, "strength"),
    (GENERATIONS, {"image": DATA_URL}, "image"),
    *((EDITS, {**PICTURE, **fields}, param) for fields, param in BAD_EDITS),
    *((VARIATIONS, {**PICTURE, **fields}, param) for fields, param in BAD_VARIATIONS),
]


def test_a_field_that_is_wrong_is_named_and_no_model_is_loaded() -> None:
    with client_of(Config()) as client:
        for path, fields, param in WRONG:
            response = client.post(path, json=body(**fields))
            assert response.status_code == 400, (path, fields, response.text)
            error = response.json()["error"]
            assert error["param"] == param, (path, fields, error)
            assert param.partition("[")[0] in error["message"]
        assert client.get("/health").json()["models"] == []


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"style": "vivid"}, "describe the style in the prompt"),
        ({"background": "transparent"}, '"opaque"'),
        ({"size": "512"}, '"512x512"'),
        ({"seed": -1}, "0 to 4294967295"),
        ({"partial_images": 1}, "stream true"),
        ({"output_compression": 50}, "output_format"),
        ({"quality": "xhigh"}, "high"),
        ({"negativ_prompt": "x"}, "negative_prompt"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(client: TestClient, fields: dict[str, Any], advice: str) -> None:
    assert advice in client.post(GENERATIONS, json=body(**fields)).json()["error"]["message"]


@pytest.mark.parametrize(("path", "more"), ENDPOINTS)
@pytest.mark.parametrize("fields", [{"scheduler": "euler"}, {"clip_skip": 1}])
def test_what_the_model_does_not_honour_is_refused_by_name(
    client: TestClient, path: str, more: dict[str, Any], fields: dict[str, Any]
) -> None:
    status, code, param = outcome(client.post(path, json=body(**fields, **more)))
    assert (status, code, param) == (400, "unsupported_field", next(iter(fields)))


def test_a_format_that_the_model_cannot_make_is_refused(client: TestClient) -> None:
    fields = body(output_format="webp", output_compression=50)
    assert outcome(client.post(GENERATIONS, json=fields)) == (400, "unsupported_field", "output_format")


@pytest.mark.parametrize(("path", "more"), ENDPOINTS)
def test_a_model_that_does_not_exist_is_told(client: TestClient, path: str, more: dict[str, Any]) -> None:
    response = client.post(path, json=body(model="nobody/nothing", **more))
    assert outcome(response) == (404, "model_not_found", "model")


def test_nothing_is_read_for_a_model_that_does_not_honour_what_is_asked(client: TestClient) -> None:
    response = client.post(EDITS, json=body(image="/etc/hosts.png", scheduler="euler"))
    assert outcome(response) == (400, "unsupported_field", "scheduler")
    assert outcome(client.post(EDITS, json=body(image="/etc/hosts.png"))) == (403, "forbidden", "image")
    assert outcome(client.post(VARIATIONS, json=body(image="http://127.0.0.1/x.png"))) == (403, "forbidden", "image")


def test_a_picture_over_a_limit_is_refused() -> None:
    with client_of(Config(media=MediaConfig(max_bytes=10))) as client:
        assert outcome(client.post(EDITS, json=body(**PICTURE))) == (413, "payload_too_large", "image")
    with client_of(Config(server=ServerConfig(max_body_bytes=1000))) as client:
        response = client.post(EDITS, data=body(), files={"image": ("a.png", bytes(2000))})
        assert outcome(response) == (413, "payload_too_large", None)


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({"n": "x"}, [("image", ("a.png", FILE))], "n"),
        ({"guidance_scale": "inf"}, [("image", ("a.png", FILE))], "guidance_scale"),
        ({"guidance_scale": "nan"}, [("image", ("a.png", FILE))], "guidance_scale"),
        ({"strength": "nan"}, [("image", ("a.png", FILE))], "strength"),
        ({"seed": "-1"}, [("image", ("a.png", FILE))], "seed"),
        ({}, [("image", ("a.png", b""))], "image"),
        ({}, [("image[]", ("a.png", FILE)), ("image[]", ("b.png", b""))], "image[1]"),
        ({}, [("image[]", ("a.png", FILE))] * 17, "image"),
        ({}, [("mask", ("a.png", FILE))], "image"),
        ({}, [("image", ("a.png", FILE)), ("mask", ("a.png", FILE)), ("mask", ("b.png", FILE))], "mask"),
        ({}, [("image", ("a.png", FILE)), ("markup", ("b.png", FILE))], "markup"),
        ({"svg[model]": "x"}, [("image", ("a.png", FILE))], "svg"),
    ],
)
def test_a_form_with_something_wrong_is_told_by_the_field(
    client: TestClient, fields: dict[str, str], files: list[tuple[str, Any]], param: str
) -> None:
    status, _, found = outcome(client.post(EDITS, data=body(**fields), files=files))
    assert (status, found) == (400, param)


@pytest.mark.parametrize("path", [GENERATIONS, EDITS, VARIATIONS])
def test_a_body_of_another_type_is_refused(client: TestClient, path: str) -> None:
    response = client.post(path, content=b"prompt=cat", headers={"content-type": "text/plain"})
    assert outcome(response) == (415, "unsupported_media_type", None)


def test_urls_that_cannot_be_given_are_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with client_of(Config(images=ImagesConfig(outputs=str(tmp_path / "file" / "images")))) as client:
        response = client.post(GENERATIONS, json=body())
        assert outcome(response) == (507, "storage_failed", None)
        assert "images.outputs" in response.json()["error"]["message"]
        assert client.get("/health").json()["models"] == []
        (picture,) = create(client, response_format="b64_json")["data"]
        assert set(picture) == {"b64_json", "seed"}


def test_pictures_that_could_not_be_kept_after_all_are_answered_with_as_themselves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shelf = Shelf(Gallery(ImagesConfig(outputs=str(tmp_path / "file" / "images"))), "m", str)
    request = GenerateImageRequest(prompt="x")
    made = [Picture(data=FILE, format="png", width=8, height=8, seed=7)]
    with pytest.raises(StorageFailed):
        asyncio.run(whole_answer(request, made, shelf, wants_url=True))
    (picture,) = asyncio.run(whole_answer(request, made, shelf, wants_url=False)).data
    assert (picture.b64_json, picture.url, picture.path) == (FILE, None, None)


def test_what_a_model_has_to_say_of_its_pictures_is_told_with_them(tmp_path: Path) -> None:
    shelf = Shelf(Gallery(ImagesConfig(outputs=str(tmp_path))), "m", str)
    request = GenerateImageRequest(prompt="x")
    made = [Notice(text="prompt: too long"), Picture(data=FILE, format="png", width=8, height=8, seed=7)]
    assert asyncio.run(whole_answer(request, made, shelf, wants_url=False)).warnings == ["prompt: too long"]
    assert asyncio.run(whole_answer(request, made[1:], shelf, wants_url=False)).warnings is None

    async def stream() -> bytes:
        events = ImageEvents("image_generation", request, shelf)

        async def frames() -> AsyncGenerator[bytes]:
            yield await events.write(made)

        return b"".join([piece async for piece in events.around(frames())])

    assert b'"warnings":["prompt: too long"]' in asyncio.run(stream())


def test_pictures_are_kept_where_the_configuration_says(client: TestClient, media: Path) -> None:
    paths = [Path(picture["path"]) for picture in create(client, model="echo/a:b", n=2)["data"]]
    assert set(paths) <= set((media / "outputs").iterdir())
    assert all(path.name.startswith("echo_a_b_2") for path in paths)
