"""Chat models that see are claimed by their class; models of the other backends are not."""

from typing import Any

import pytest

import universal_vision
from universal_core import ModelFile, ModelInfo, ModelRef
from universal_text.claims import claim_causal
from universal_vision.captions.claim import MODEL_TYPES
from universal_vision.chat.claim import claim

FILES = ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "preprocessor_config.json")


def info(architecture: str, model_type: str, *files: str, **config: Any) -> ModelInfo:
    return ModelInfo(
        id="a/model",
        ref=ModelRef.parse("a/model"),
        source="test",
        files=tuple(ModelFile(name, 1000) for name in files or FILES),
        documents={"config.json": {"architectures": [architecture], "model_type": model_type, **config}},
    )


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("LlavaForConditionalGeneration", "llava"),
        ("LlavaNextForConditionalGeneration", "llava_next"),
        ("LlavaOnevisionForConditionalGeneration", "llava_onevision"),
        ("Qwen2VLForConditionalGeneration", "qwen2_vl"),
        ("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl"),
        ("Qwen3VLForConditionalGeneration", "qwen3_vl"),
        ("SmolVLMForConditionalGeneration", "smolvlm"),
        ("Idefics3ForConditionalGeneration", "idefics3"),
        ("InternVLForConditionalGeneration", "internvl"),
        ("Gemma3ForConditionalGeneration", "gemma3"),
        ("PaliGemmaForConditionalGeneration", "paligemma"),
        ("MllamaForConditionalGeneration", "mllama"),
        ("FuyuForCausalLM", "fuyu"),
    ],
)
def test_what_transformers_lists_is_claimed(architecture: str, model_type: str) -> None:
    found = claim(info(architecture, model_type))
    assert found is not None
    assert architecture in found.reason
    assert {"chat", "caption", "answer_question"} <= set(found.tasks)
    assert {"images", "seed", "logprobs", "n_ctx", "prompt"} <= set(found.fields)
    assert "audio" not in found.fields
    assert set(found.files) == set(FILES)


@pytest.mark.parametrize(
    ("architecture", "model_type"),
    [
        ("LlamaForCausalLM", "llama"),
        ("CLIPModel", "clip"),
        ("T5Gemma2ForConditionalGeneration", "t5gemma2"),
        ("UdopForConditionalGeneration", "udop"),
        ("PI0ForConditionalGeneration", "pi0"),
        *((f"{name}ForConditionalGeneration", kind) for name, kind in (("Blip", "blip"), ("Florence2", "florence2"))),
        ("GitForCausalLM", "git"),
        ("VisionEncoderDecoderModel", "vision-encoder-decoder"),
    ],
)
def test_what_does_not_chat_about_pictures_is_left_to_others(architecture: str, model_type: str) -> None:
    assert claim(info(architecture, model_type)) is None


def test_no_model_is_claimed_for_captions_and_for_chats() -> None:
    assert {"blip", "blip-2", "florence2"} <= set(MODEL_TYPES)
    found = [offer.backend for offer in universal_vision.claim_model(info("LlavaForConditionalGeneration", "llava"))]
    assert found == ["vision-chat"]


def test_a_model_that_sees_goes_before_one_that_only_reads() -> None:
    sees, reads = info("Mistral4ForCausalLM", "mistral4"), info("Mistral4ForCausalLM", "mistral4", *FILES[:-1])
    first, second = claim(sees), claim_causal(sees)
    assert first is not None
    assert second is not None
    assert first.rank > second.rank
    assert claim(reads) is None


def test_weights_that_can_run_code_are_not_claimed() -> None:
    assert claim(info("LlavaForConditionalGeneration", "llava", "config.json", "pytorch_model.bin")) is None
