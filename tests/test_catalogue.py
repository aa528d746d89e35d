"""Which plugin of the project a model or a task needs."""

import pytest

from universal_core import ModelFile, ModelInfo, ModelRef
from universal_core.catalogue import KNOWN_PLUGINS, plugin_for_model, plugin_for_task


def info(*files: str, architectures: tuple[str, ...] = (), **settings: object) -> ModelInfo:
    documents = {"config.json": {"architectures": list(architectures), **settings}}
    found = tuple(ModelFile(name, 1) for name in files)
    return ModelInfo(id="m", ref=ModelRef.parse("m"), source="test", files=found, documents=documents)


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        (info("model-Q4_K_M.gguf"), "gguf"),
        (info("model_index.json", "unet/config.json"), "diffusion"),
        (info(architectures=("WhisperForConditionalGeneration",)), "audio"),
        (info(architectures=("Wav2Vec2ForCTC",)), "audio"),
        (info("kokoro-v1_0.pth"), "audio"),
        (info(architectures=("VitsModel",)), "audio"),
        (info(architectures=("CLIPModel",)), "vision"),
        (info(architectures=("SiglipModel",)), "vision"),
        (info(architectures=("Dinov2Model",)), "vision"),
        (info(architectures=("BlipForConditionalGeneration",)), "vision"),
        (info(architectures=("Qwen2_5_VLForConditionalGeneration",)), "vision"),
        (info(architectures=("ResNetForImageClassification",), num_channels=3), "vision"),
        (info(architectures=("ResNetModel",), num_channels=3), "vision"),
        (info(architectures=("DetrForObjectDetection",)), "vision"),
        (info(architectures=("SegformerForSemanticSegmentation",)), "vision"),
        (info(architectures=("DepthAnythingForDepthEstimation",)), "vision"),
        (info(architectures=("Gemma3ForConditionalGeneration",), vision_config={}), "vision"),
        (info(architectures=("VisionEncoderDecoderModel",)), "vision"),
        (info(architecture="vit_tiny_patch16_224", pretrained_cfg={}), "vision"),
        (info(architectures=("LlamaForCausalLM",)), "text"),
        (info(architectures=("BertModel",)), "text"),
        (info("modules.json", architectures=("BertModel",)), "text"),
        (info(architectures=("BertForSequenceClassification",)), "text"),
    ],
)
def test_a_model_is_known_by_its_files_or_its_config(model: ModelInfo, extra: str) -> None:
    found = plugin_for_model(model)
    assert found is not None
    assert found.command == f'pip install "universal-core[{extra}]"'


def test_what_looks_like_nothing_is_no_plugins() -> None:
    assert plugin_for_model(info("notes.txt", architectures=("Strange",))) is None


@pytest.mark.parametrize(
    ("task", "extra"),
    [
        *(("chat", "text"), ("embed", "text"), ("transcribe", "audio"), ("speak", "audio"), ("caption", "vision")),
        *(("detect", "vision"), ("generate_image", "diffusion")),
    ],
)
def test_a_task_is_served_by_a_plugin_and_text_comes_before_its_alternatives(task: str, extra: str) -> None:
    found = plugin_for_task(task)
    assert found is not None
    assert found.extra == extra


def test_a_task_of_a_third_party_is_no_plugins_of_the_project() -> None:
    assert plugin_for_task("sing") is None


def test_every_plugin_of_the_catalogue_can_be_installed_as_an_extra() -> None:
    from importlib.metadata import metadata

    extras = set(metadata("universal-core").get_all("Provides-Extra") or ())
    assert {plugin.extra for plugin in KNOWN_PLUGINS} <= extras
