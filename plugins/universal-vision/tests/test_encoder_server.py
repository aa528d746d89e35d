"""Labels and vectors through a real server, equal to the model called directly."""

import base64
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification, AutoTokenizer

from server import Server, running_server
from tiny.vision import photo

Folder = Callable[[str], Path]
RED, BLUE = photo(), photo((0, 0, 250), (60, 90), format="JPEG")
LABELS = ["cat", "a dog", "the red car"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


def ask(server: Server, path: str, model: Path, **fields: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/{path}", json={"model": str(model), **fields}, timeout=60)


def url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def images() -> list[Image.Image]:
    return [Image.open(BytesIO(data)).convert("RGB") for data in (RED, BLUE)]


@torch.inference_mode()
def clip_vectors(path: Path, texts: list[str]) -> Any:
    model, words = AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    pixels = AutoImageProcessor.from_pretrained(path)(images=images(), return_tensors="pt")
    parts = (
        model.get_text_features(**words(texts, padding=True, return_tensors="pt")).pooler_output,
        model.get_image_features(**pixels).pooler_output,
    )
    return torch.nn.functional.normalize(torch.cat(parts), dim=-1)


def test_pictures_are_classified(server: Server, folder: Folder) -> None:
    path = folder("vision.vit")
    answer = ask(server, "vision/classify", path, images=[url(RED), url(BLUE)], top_k=2).json()
    model = AutoModelForImageClassification.from_pretrained(path).eval()
    pixels = AutoImageProcessor.from_pretrained(path)(images=images(), return_tensors="pt")
    with torch.inference_mode():
        values, places = model(**pixels).logits.softmax(-1).topk(2)
    assert [picture["index"] for picture in answer["data"]] == [0, 1]
    for picture, scores, labels in zip(answer["data"], values.tolist(), places.tolist(), strict=True):
        assert [one["label"] for one in picture["predictions"]] == [model.config.id2label[place] for place in labels]
        assert [one["score"] for one in picture["predictions"]] == pytest.approx(scores, abs=1e-5)
    assert answer["usage"]["prompt_tokens"] == 32


def test_labels_are_matched(server: Server, folder: Folder) -> None:
    path = folder("vision.clip")
    template = "a photo of {}"
    answer = ask(
        server,
        "vision/clip",
        path,
        images=[url(RED), url(BLUE)],
        candidate_labels=LABELS,
        hypothesis_template=template,
    ).json()
    vectors = clip_vectors(path, [template.format(label) for label in LABELS])
    scale = AutoModel.from_pretrained(path).logit_scale.exp().item()
    expected = (vectors[3:] @ vectors[:3].T * scale).softmax(-1).tolist()
    for picture, scores in zip(answer["data"], expected, strict=True):
        found = {one["label"]: one["score"] for one in picture["predictions"]}
        assert found == pytest.approx(dict(zip(LABELS, scores, strict=True)), abs=1e-5)
        assert sum(found.values()) == pytest.approx(1)


def test_texts_and_pictures_are_embedded_in_one_space(server: Server, folder: Folder) -> None:
    path = folder("vision.clip")
    expected = clip_vectors(path, LABELS)
    parts = [*LABELS, *({"image_url": {"url": url(data)}} for data in (RED, BLUE))]
    mixed = ask(server, "embeddings", path, input=parts).json()
    texts = ask(server, "embeddings", path, input=LABELS).json()
    for answer, rows in ((mixed, expected), (texts, expected[:3])):
        assert [one["index"] for one in answer["data"]] == list(range(len(rows)))
        found = torch.tensor([one["embedding"] for one in answer["data"]])
        assert torch.allclose(found, rows, atol=1e-5)
    assert mixed["usage"]["prompt_tokens"] == texts["usage"]["prompt_tokens"] + 2 * 16


def test_pictures_are_embedded(server: Server, folder: Folder) -> None:
    path = folder("vision.dinov2")
    answer = ask(server, "vision/embeddings", path, images=[url(RED), url(BLUE)]).json()
    model = AutoModel.from_pretrained(path).eval()
    pixels = AutoImageProcessor.from_pretrained(path)(images=images(), return_tensors="pt")
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model(**pixels).pooler_output, dim=-1)
    assert torch.allclose(torch.tensor([one["embedding"] for one in answer["data"]]), expected, atol=1e-5)


def test_what_is_wrong_is_told_by_its_place(server: Server, folder: Folder) -> None:
    broken = ask(server, "vision/classify", folder("vision.vit"), images=[url(RED), url(b"no picture")])
    assert (broken.status_code, broken.json()["error"]["param"]) == (400, "images[1]")
    long = ask(server, "vision/clip", folder("vision.clip"), images=[url(RED)], candidate_labels=["x" * 200])
    assert (long.status_code, long.json()["error"]["param"]) == (400, "candidate_labels[0]")
    assert long.json()["error"]["code"] == "context_length_exceeded"
    other = ask(server, "vision/clip", folder("vision.vit"), images=[url(RED)], candidate_labels=["x"])
    assert other.status_code == 501
