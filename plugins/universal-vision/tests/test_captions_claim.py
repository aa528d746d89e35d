"""Which models are claimed to write about pictures, for what, and by which files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from tiny.folder import info_of
from universal_core import Claim, ModelInfo
from universal_vision import claim_model
from universal_vision.captions.claim import MODEL_TYPES, claim
from universal_vision.captions.families import WRITERS
from universal_vision.captions.options import CaptionOptions

Folder = Callable[[str], Path]

BOTH = ("caption", "answer_question")
CAN = {
    "blip": ("caption",),
    "blip_vqa": ("answer_question",),
    "blip2": BOTH,
    "donut": ("caption",),
    "florence2": BOTH,
    "git": BOTH,
    "instructblip": BOTH,
    "pix2struct": ("caption",),
    "pix2struct_vqa": ("answer_question",),
    "vilt": ("answer_question",),
    "vision_encoder_decoder": ("caption",),
}


def with_config(info: ModelInfo, **changes: Any) -> ModelInfo:
    """Return a model whose config.json says something else."""
    return msgspec.structs.replace(info, documents={**info.documents, "config.json": {**info.config, **changes}})


def offered(info: ModelInfo) -> Claim:
    """Return the offer, of which there is one."""
    found = claim(info)
    assert found is not None
    return found


@pytest.mark.parametrize("name", CAN)
def test_a_model_is_claimed_for_what_its_class_can(folder: Folder, name: str) -> None:
    info = info_of(folder(f"captions.{name}"))
    offer = offered(info)
    assert offer.backend == "vision-captions"
    assert offer.tasks == CAN[name]
    assert offer.fields == (("prompt",) if "caption" in CAN[name] else ())
    assert info.architectures[0] in offer.reason
    assert offer.slots == CaptionOptions().slots
    assert info.config["model_type"] in MODEL_TYPES


@pytest.mark.parametrize("name", CAN)
def test_no_other_backend_of_this_plugin_claims_it_for_these_tasks(folder: Folder, name: str) -> None:
    offers = claim_model(info_of(folder(f"captions.{name}")))
    assert [offer.backend for offer in offers if set(offer.tasks) & set(BOTH)] == ["vision-captions"]


def test_all_that_is_read_is_downloaded(folder: Folder) -> None:
    for name in CAN:
        info = info_of(folder(f"captions.{name}"))
        patterns = offered(info).files
        left_out = {file.name for file in info.files} - {file.name for file in info.matching(*patterns)}
        assert left_out == set(), name


def test_model_types_are_those_that_the_library_knows() -> None:
    assert set(MODEL_TYPES) <= CONFIG_MAPPING_NAMES.keys()


def test_each_claimed_class_has_a_family_that_runs_it(folder: Folder) -> None:
    claimed = {info_of(folder(f"captions.{name}")).architectures[0] for name in CAN}
    assert claimed == WRITERS.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["BlipForImageTextRetrieval"]},
        {"architectures": ["BlipModel"]},
        {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"},
        {"architectures": []},
    ],
)
def test_other_models_are_left_to_others(folder: Folder, changes: Mapping[str, Any]) -> None:
    assert claim(with_config(info_of(folder("captions.blip")), **changes)) is None


def test_a_git_that_reads_videos_is_not_claimed(folder: Folder) -> None:
    assert claim(with_config(info_of(folder("captions.git")), num_image_with_embedding=6)) is None


def test_weights_that_are_no_safetensors_are_not_claimed(folder: Folder) -> None:
    info = info_of(folder("captions.blip"))
    files = tuple(file for file in info.files if not file.name.endswith(".safetensors"))
    assert claim(msgspec.structs.replace(info, files=files)) is None


def test_the_preprocessor_of_a_pix2struct_tells_before_its_config_that_it_is_for_questions(folder: Folder) -> None:
    info = info_of(folder("captions.pix2struct"))
    told = msgspec.structs.replace(info, documents={**info.documents, "preprocessor_config.json": {"is_vqa": True}})
    assert offered(told).tasks == ("answer_question",)
