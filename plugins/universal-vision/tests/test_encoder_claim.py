"""What the vision backend claims, from config.json and names of files alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import universal_text
from tiny.folder import info_of
from universal_core import ModelFile, ModelInfo, ModelRef
from universal_vision import claim_model
from universal_vision.encoders.claim import BACKEND, claim

Folder = Callable[[str], Path]

CLASSIFIES = ("classify_image", "embed_image")
MATCHES = ("match_labels", "embed_image", "embed")
EMBEDS = ("embed_image",)
TINY = {
    **dict.fromkeys(("vit", "deit", "resnet", "convnext", "swin", "beit", "segformer"), CLASSIFIES),
    **dict.fromkeys(("clip", "siglip", "siglip2", "align"), MATCHES),
    **dict.fromkeys(("dinov2", "dinov2_with_registers", "dinov3", "vit_headless"), EMBEDS),
}


def described(config: dict[str, Any], *names: str) -> ModelInfo:
    files = ("config.json", "model.safetensors", *names)
    return ModelInfo(
        id="org/model",
        ref=ModelRef.parse("org/model"),
        source="test",
        files=tuple(ModelFile(name, 1000) for name in files),
        documents={"config.json": config},
    )


def named(architecture: str, model_type: str, **more: Any) -> ModelInfo:
    return described({"architectures": [architecture], "model_type": model_type, **more})


@pytest.mark.parametrize("name", TINY)
def test_what_a_model_can_do_is_told_by_its_class(name: str, folder: Folder) -> None:
    info = info_of(folder(f"vision.{name}"))
    found = claim(info)
    assert found is not None
    assert found.tasks == TINY[name]
    assert info.architectures[0] in found.reason
    assert "preprocessor_config.json" in found.files
    assert set(found.tasks) <= set(BACKEND.tasks)


@pytest.mark.parametrize(
    ("architecture", "model_type", "tasks"),
    [
        ("CLIPForImageClassification", "clip", ("classify_image",)),
        ("ConvNextV2ForImageClassification", "convnextv2", CLASSIFIES),
        ("DeiTForImageClassification", "deit", CLASSIFIES),
        ("Dinov2ForImageClassification", "dinov2", CLASSIFIES),
        ("TimmWrapperForImageClassification", "timm_wrapper", ("classify_image",)),
        ("MetaClip2Model", "metaclip_2", MATCHES),
        ("ChineseCLIPModel", "chinese_clip", MATCHES),
        ("DINOv3ConvNextModel", "dinov3_convnext", EMBEDS),
        ("SiglipVisionModel", "siglip_vision_model", EMBEDS),
        ("IJepaModel", "ijepa", EMBEDS),
        ("TimmWrapperModel", "timm_wrapper", EMBEDS),
    ],
)
def test_whatever_transformers_has_in_its_tables_is_claimed(
    architecture: str, model_type: str, tasks: tuple[str, ...]
) -> None:
    found = claim(named(architecture, model_type))
    assert found is not None
    assert found.tasks == tasks


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("LlamaForCausalLM", "llama"),
        ("BertModel", "bert"),
        ("DetrForObjectDetection", "detr"),
        ("DetrModel", "detr"),
        ("YolosModel", "yolos"),
        ("VideoMAEModel", "videomae"),
        ("VideoPrismClipModel", "videoprism"),
        ("ViTMAEModel", "vit_mae"),
        ("ViTMAEForPreTraining", "vit_mae"),
        ("MllamaVisionModel", "mllama"),
        ("Blip2ForImageTextRetrieval", "blip-2"),
        ("ShieldGemma2ForImageClassification", "shieldgemma2"),
        ("Swin2SRModel", "swin2sr"),
        ("DPTModel", "dpt"),
    ],
)
def test_what_makes_no_vector_of_one_picture_is_left_alone(architecture: str, model_type: str) -> None:
    assert claim(named(architecture, model_type)) is None


def test_models_of_timm_are_told_by_its_own_configuration() -> None:
    own = {"architecture": "resnet50", "pretrained_cfg": {"input_size": [3, 224, 224]}}
    classifier, features = claim(described({**own, "num_classes": 1000})), claim(described({**own, "num_classes": 0}))
    assert classifier is not None
    assert features is not None
    assert (classifier.tasks, features.tasks) == (("classify_image",), EMBEDS)


def test_a_classifier_with_its_own_code_is_claimed_and_loads_only_where_it_is_trusted() -> None:
    own = {"AutoModelForImageClassification": "modeling_new.NewClassifier"}
    found = claim(named("NewClassifier", "brand_new", auto_map=own))
    assert found is not None
    assert "NewClassifier" in found.reason
    assert claim(named("NewModel", "brand_new", auto_map={"AutoModel": "modeling_new.NewModel"})) is None


def test_weights_must_be_safetensors() -> None:
    info = msgspec.structs.replace(named("CLIPModel", "clip"), files=(ModelFile("pytorch_model.bin", 1000),))
    assert claim(info) is None


@pytest.mark.parametrize("layout", [None, "CLIPModel", "Transformer"])
def test_a_model_of_pictures_and_words_goes_before_what_embeds_texts_alone(layout: str | None) -> None:
    info = named("SiglipModel", "siglip")
    if layout:
        modules = [{"idx": 0, "name": "0", "path": "", "type": f"sentence_transformers.models.{layout}"}]
        info = msgspec.structs.replace(info, documents={**info.documents, "modules.json": modules})
    offers = [*claim_model(info), *universal_text.claim_model(info)]
    assert max(offers, key=lambda one: one.rank).backend == "vision"
