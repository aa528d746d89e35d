"""What models that look at pictures are expected to take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import universal_vision
from tiny.folder import info_of
from universal_core import MemoryEstimate, ModelInfo

Folder = Callable[[str], Path]

ONE_OF_EACH = ("vision.vit", "vision.clip", "regions.detr", "captions.blip", "visual_chat.llava")


def estimated(info: ModelInfo, device: str = "cpu", **options: Any) -> MemoryEstimate:
    """Return what is expected of a model in the backend that offers to run it."""
    (claim,) = universal_vision.claim_model(info)
    backends = {backend.name: backend for backend in universal_vision.register_backends()}
    typed = msgspec.convert(options, backends[claim.backend].options)
    found = universal_vision.estimate_memory(info, claim, typed, device)
    assert found is not None
    return found


def changed(info: ModelInfo, name: str = "config.json", **document: Any) -> ModelInfo:
    documents = {**info.documents, name: {**info.documents.get(name, {}), **document}}
    return msgspec.structs.replace(info, documents=documents)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_weights_take_half_in_half_the_format(name: str, folder: Folder) -> None:
    info = info_of(folder(name))
    exact, half = estimated(info, dtype="float32"), estimated(info, dtype="bfloat16")
    assert half.weights < exact.weights <= info.size_of("model.safetensors")
    assert half.total < exact.total
    assert 'dtype = "bfloat16"' in [smaller.advice for smaller in exact.smaller]


@pytest.mark.parametrize("name", ONE_OF_EACH[:4])
def test_larger_batches_are_expected_to_take_more(name: str, folder: Folder) -> None:
    info = info_of(folder(name))
    assert estimated(info, batch_size=64).total > estimated(info, batch_size=1).total
    assert "batch_size = 1" in [smaller.advice for smaller in estimated(info).smaller]


def test_larger_pictures_are_expected_to_take_more(folder: Folder) -> None:
    info = info_of(folder("vision.vit"))
    larger = changed(info, "preprocessor_config.json", size={"height": 512, "width": 512})
    assert estimated(larger).working > estimated(info).working


def test_a_chat_model_has_a_cache_for_every_slot(folder: Folder) -> None:
    info = info_of(folder("visual_chat.llava"))
    assert estimated(info, slots=4).cache == 4 * estimated(info, slots=1).cache > 0
    assert estimated(info, n_ctx=64).cache < estimated(info, n_ctx=128).cache


def test_masks_are_expected_to_take_more_the_more_kinds_there_are(folder: Folder) -> None:
    info = info_of(folder("regions.segformer"))
    many = changed(info, id2label={str(place): f"kind {place}" for place in range(150)})
    assert estimated(many).working > estimated(info).working


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_configuration_that_tells_little_gives_an_estimate_all_the_same(name: str, folder: Folder) -> None:
    info = info_of(folder(name))
    (claim,) = universal_vision.claim_model(info)
    backend = next(one for one in universal_vision.register_backends() if one.name == claim.backend)
    bare = msgspec.structs.replace(info, documents={})
    found = universal_vision.estimate_memory(bare, claim, backend.options(), "cpu")
    assert found is not None
    assert found.total > found.weights > 0
    there = universal_vision.estimate_memory(info, claim, backend.options(), "cuda:0")
    assert there is not None
    assert there.host > found.host
