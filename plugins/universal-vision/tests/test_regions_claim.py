"""Which models say where things are, told from config.json and the list of files."""

from importlib.util import find_spec
from typing import Any

import pytest

from universal_core import Claim, ModelFile, ModelInfo, ModelRef
from universal_vision.regions.claim import claim

FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "pytorch_model.bin")


def claimed(architecture: str, model_type: str = "", files: tuple[str, ...] = FILES, **settings: Any) -> Claim | None:
    info = ModelInfo(
        id="some/name",
        ref=ModelRef.parse("some/name"),
        source="test",
        files=tuple(ModelFile(name, 1000) for name in files),
        documents={"config.json": {"architectures": [architecture], "model_type": model_type, **settings}},
    )
    return claim(info)


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("DetrForObjectDetection", "detr"),
        ("ConditionalDetrForObjectDetection", "conditional_detr"),
        ("DeformableDetrForObjectDetection", "deformable_detr"),
        ("RTDetrForObjectDetection", "rt_detr"),
        ("RTDetrV2ForObjectDetection", "rt_detr_v2"),
        ("DFineForObjectDetection", "d_fine"),
        ("YolosForObjectDetection", "yolos"),
        ("TableTransformerForObjectDetection", "table-transformer"),
    ],
)
def test_a_detector_finds_kinds_of_its_own(architecture: str, model_type: str) -> None:
    found = claimed(architecture, model_type)
    assert found is not None
    assert found.tasks == ("detect",)
    assert found.fields == ()
    assert architecture in found.reason


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("OwlViTForObjectDetection", "owlvit"),
        ("Owlv2ForObjectDetection", "owlv2"),
        ("GroundingDinoForObjectDetection", "grounding-dino"),
        ("MMGroundingDinoForObjectDetection", "mm-grounding-dino"),
    ],
)
def test_an_open_detector_takes_labels(architecture: str, model_type: str) -> None:
    found = claimed(architecture, model_type)
    assert found is not None
    assert found.tasks == ("detect",)
    assert found.fields == ("labels",)


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("SegformerForSemanticSegmentation", ()),
        ("UperNetForSemanticSegmentation", ()),
        ("BeitForSemanticSegmentation", ()),
        ("MaskFormerForInstanceSegmentation", ("threshold",)),
        ("Mask2FormerForUniversalSegmentation", ("threshold",)),
        ("OneFormerForUniversalSegmentation", ("threshold",)),
        ("EomtForUniversalSegmentation", ("threshold",)),
    ],
)
def test_a_segmenter_makes_masks_with_a_threshold_where_these_have_scores(
    architecture: str, fields: tuple[str, ...]
) -> None:
    found = claimed(architecture)
    assert found is not None
    assert found.tasks == ("segment",)
    assert found.fields == fields


def test_a_segmenter_over_a_detector_does_both() -> None:
    found = claimed("DetrForSegmentation", "detr")
    assert found is not None
    assert found.tasks == ("detect", "segment")


def test_a_segmenter_that_reads_words_takes_labels() -> None:
    found = claimed("CLIPSegForImageSegmentation", "clipseg")
    assert found is not None
    assert found.tasks == ("segment",)
    assert found.fields == ("labels", "threshold")


@pytest.mark.parametrize(
    "architecture",
    [
        "DPTForDepthEstimation",
        "DepthAnythingForDepthEstimation",
        "GLPNForDepthEstimation",
        "ZoeDepthForDepthEstimation",
        "DepthProForDepthEstimation",
    ],
)
def test_a_depth_estimator_estimates_depths(architecture: str) -> None:
    found = claimed(architecture)
    assert found is not None
    assert found.tasks == ("estimate_depth",)


@pytest.mark.parametrize(
    "architecture",
    [
        "DetrModel",
        "ViTForImageClassification",
        "SamModel",
        "VideomtForUniversalSegmentation",
        "OmDetTurboForObjectDetection",
        "LlamaForCausalLM",
    ],
)
def test_what_says_not_where_things_are_is_not_claimed(architecture: str) -> None:
    assert claimed(architecture) is None


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed")
@pytest.mark.parametrize(
    "settings", [{"use_timm_backbone": True}, {"backbone_config": {"model_type": "timm_backbone"}}], ids=str
)
def test_a_backbone_of_timm_is_told_where_timm_is_not_installed(settings: dict[str, Any]) -> None:
    over_timm, plain = (claimed("DetrForObjectDetection", "detr", **more) for more in (settings, {}))
    assert over_timm is not None
    assert plain is not None
    assert over_timm.reason.endswith("it needs timm, which is not installed: pip install timm")
    assert "timm" not in plain.reason


def test_without_safetensors_there_is_no_claim() -> None:
    assert claimed("DetrForObjectDetection", "detr", ("config.json", "pytorch_model.bin")) is None


def test_what_to_load_is_told() -> None:
    found = claimed("DetrForObjectDetection", "detr")
    assert found is not None
    assert set(found.files) == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert found.slots > 1
