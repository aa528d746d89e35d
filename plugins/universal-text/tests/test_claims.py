"""What the causal backend offers to run, and what it leaves alone."""

from pathlib import Path
from typing import Any

import pytest

from tiny.folder import info_of
from universal_core import CHAT_FIELDS, SAMPLING_FIELDS, ModelFile, ModelInfo, ModelRef
from universal_text.claims import claim_causal

BASE: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 64,
    "max_position_embeddings": 512,
    "dtype": "bfloat16",
}


def info(*names: str, **documents: Any) -> ModelInfo:
    files = tuple(ModelFile(name, 1000) for name in names or ("config.json", "model.safetensors"))
    documents = {"config.json": BASE, **{name.replace("__", "."): value for name, value in documents.items()}}
    return ModelInfo(id="a/b", ref=ModelRef.parse("a/b"), source="test", files=files, documents=documents)


@pytest.mark.parametrize("name", ["llama", "qwen3", "mistral", "gpt2", "mamba", "mixture", "gemma3"])
def test_causal_models_are_claimed_by_their_architecture(name: str, folder: Any) -> None:
    found = claim_causal(info_of(folder(name)))
    assert found is not None
    assert found.tasks == ("chat", "complete", "tokenize", "detokenize")
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(found.files)


def test_the_fields_are_those_that_are_honoured() -> None:
    found = claim_causal(info())
    assert found is not None
    assert {"echo", "suffix", *CHAT_FIELDS, *SAMPLING_FIELDS} <= set(found.fields)
    assert not {"images", "audio"} & set(found.fields)


@pytest.mark.parametrize(
    "architectures",
    [["BertModel"], ["T5ForConditionalGeneration"], ["Gemma3ForConditionalGeneration"], ["BertLMHeadModel"], [], None],
)
def test_other_architectures_are_left_alone(architectures: Any) -> None:
    assert claim_causal(info(config__json={**BASE, "architectures": architectures})) is None


def test_a_model_that_writes_about_pictures_alone_is_left_alone() -> None:
    config = {**BASE, "architectures": ["GitForCausalLM"], "model_type": "git", "vision_config": {}}
    assert claim_causal(info(config__json=config)) is None


def test_a_name_says_nothing() -> None:
    files = (ModelFile("model.safetensors", 1),)
    named = ModelInfo(id="meta-llama/Llama-9", ref=ModelRef.parse("meta-llama/Llama-9"), source="test", files=files)
    assert claim_causal(named) is None


@pytest.mark.parametrize(
    "names",
    [
        ("config.json", "pytorch_model.bin"),
        ("config.json", "model-Q4_K_M.gguf"),
        ("config.json", "onnx/model.safetensors"),
        ("config.json", "adapter_model.safetensors"),
        ("config.json", "consolidated.safetensors"),
        ("config.json", "model-00001-of-00002.safetensors"),
    ],
)
def test_without_weights_that_can_be_loaded_there_is_no_claim(names: tuple[str, ...]) -> None:
    assert claim_causal(info(*names)) is None


def test_only_one_copy_of_the_weights_is_asked_for() -> None:
    kept = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja")
    copies = (
        "model.fp16.safetensors",
        "pytorch_model.bin",
        "consolidated.safetensors",
        "flax_model.msgpack",
        "model.gguf",
        "onnx/model.onnx",
        "onnx/config.json",
        "original/model.safetensors",
        "modeling_a.py",
        "README.md",
    )
    found = claim_causal(info(*kept, *copies))
    assert found is not None
    assert set(found.files) == set(kept)


def test_weights_in_parts_come_with_their_index() -> None:
    parts = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json")
    found = claim_causal(info("config.json", *parts))
    assert found is not None
    assert set(parts) <= set(found.files)


def test_code_that_comes_with_the_model_is_fetched_where_its_configuration_names_it() -> None:
    config = {**BASE, "auto_map": {"AutoModelForCausalLM": "modeling_a.A"}}
    found = claim_causal(info("config.json", "model.safetensors", "modeling_a.py", config__json=config))
    assert found is not None
    assert "modeling_a.py" in found.files


def test_claims_need_nothing_of_the_model_but_documents_and_names(tmp_path: Path) -> None:
    assert claim_causal(info_of(tmp_path)) is None
