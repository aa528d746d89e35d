"""Pictures of every kind through an endpoint, to a model that opens them as real ones do."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from clients import outcome, serving
from installed import install, on_path
from tiny.media import RED, encoded, picture

Post = Callable[..., httpx.Response]

EYES = """
from universal_core import (
    Backend, BadRequest, Claim, ModelInfo, Prediction, PredictionsResult, Usage, batched, hookimpl
)
API_VERSION = 1

class Eyes:
    def __init__(self, info, options):
        from universal_core.pictures import read_image
        self._read = read_image

    @batched(cost=lambda request: len(request.images), budget=64)
    def classify_image(self, requests):
        return [self._see(request) for request in requests]

    def _see(self, request):
        try:
            images = [self._read(data, f"images[{at}]") for at, data in enumerate(request.images)]
        except BadRequest as error:
            return error
        found = tuple((Prediction(label=described(image), score=1.0),) for image in images)
        return PredictionsResult(images=found, usage=Usage())

def described(image):
    return f"{image.mode} {image.width}x{image.height} {image.getpixel((image.width - 1, 0))}"

@hookimpl
def register_backends():
    return [Backend(name="eyes", model="universal_eyes:Eyes", tasks=("classify_image",))]

@hookimpl
def find_model(ref):
    return ModelInfo(id=ref.text, ref=ref, source="eyes", path="") if ref.name == "eyes" else None

@hookimpl
def claim_model(info):
    return Claim(backend="eyes", tasks=("classify_image",), reason="test") if info.source == "eyes" else None
"""
SEEN = f"RGB 40x30 {RED}"


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    folder = tmp_path_factory.mktemp("eyes")
    install(folder, "eyes", EYES)
    with on_path(folder), serving() as found:
        yield found


def sent(post: Post, *pictures: bytes) -> httpx.Response:
    return post("/v1/vision/classify", files=[("images", data) for data in pictures], data={"model": "eyes"})


def seen(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["predictions"][0]["label"] for item in response.json()["data"]]


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture().transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


@pytest.mark.parametrize(
    "data",
    [
        *(encoded(picture(), name) for name in ("PNG", "BMP", "TIFF", "PPM")),
        encoded(picture(), "WEBP", lossless=True),
        encoded(picture(mode="RGBA")),
        encoded(picture().quantize(8), "GIF", save_all=True, append_images=[picture((0, 250, 10)).quantize(8)]),
        turned(),
    ],
    ids=["png", "bmp", "tiff", "ppm", "webp", "transparent", "moving", "turned"],
)
def test_a_picture_of_any_kind_arrives_upright_and_in_colour(post: Post, data: bytes) -> None:
    assert seen(sent(post, data)) == [SEEN]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>not found</html>", "got 22 bytes that are none"),
        (encoded(picture())[:-60], "damaged or not whole"),
        (encoded(Image.new("RGB", (3000, 10))), "at most 200 times as long"),
    ],
    ids=["page", "cut off", "long"],
)
def test_what_is_no_picture_is_told_with_its_place_among_the_others(post: Post, data: bytes, words: str) -> None:
    response = sent(post, encoded(picture()), data, encoded(picture()))
    assert outcome(response) == (400, "invalid_value", "images[1]")
    message: Any = response.json()["error"]["message"]
    assert message.startswith("images[1]: ")
    assert words in message


def test_a_large_photograph_is_looked_at(post: Post) -> None:
    assert seen(sent(post, encoded(Image.new("RGB", (4000, 3000)), "JPEG"))) == ["RGB 4000x3000 (0, 0, 0)"]
