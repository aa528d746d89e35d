"""What the two backends offer to run, and what they leave alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tiny.folder import info_of
from universal_core import CHAT_FIELDS, SAMPLING_FIELDS, Claim, ModelFile, ModelInfo, ModelNotFound, ModelRef
from universal_gguf import claim_model
from universal_gguf.claims import GENERATION, POOLED

Add = Callable[[gguf.GGUFWriter], None]
GIB = 2**30


def write(path: Path, architecture: str, add: Add = lambda writer: None, *, words: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(1024)
    writer.add_block_count(4)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(512)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    if words:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(["a", "b", "c"])
    add(writer)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def claim(folder: Path, variant: str | None = None) -> Claim | None:
    info = info_of(folder)
    ref = ModelRef(text=f"m:{variant}", name="m", variant=variant)
    return claim_model(ModelInfo(id="m", ref=ref, source="test", path=info.path, files=info.files))


def found(folder: Path, variant: str | None = None) -> Claim:
    offer = claim(folder, variant)
    assert offer is not None
    return offer


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3", "mamba", "deepseek2", "gpt-oss", "not-known-yet"])
def test_a_model_that_writes_text_is_claimed_for_chats(tmp_path: Path, architecture: str) -> None:
    write(tmp_path / "m-Q8_0.gguf", architecture)
    offer = found(tmp_path)
    assert (offer.backend, offer.tasks) == ("gguf", ("chat", "complete", "tokenize", "detokenize"))
    assert {"echo", "suffix", *CHAT_FIELDS, *SAMPLING_FIELDS} <= set(offer.fields)
    assert not {"images", "audio"} & set(offer.fields)
    assert offer.slots == 16
    assert offer.files == ("m-Q8_0.gguf",)


def test_the_reason_names_file_quantization_and_architecture_and_why_it_outranks(tmp_path: Path) -> None:
    write(tmp_path / "m-Q4_K_M.gguf", "qwen3")
    offer = found(tmp_path)
    for part in ("m-Q4_K_M.gguf", "Q4_K_M", "qwen3", "llama.cpp runs it as it is"):
        assert part in offer.reason
    assert offer.rank > 60


@pytest.mark.parametrize(
    ("architecture", "pooling", "task"),
    [
        ("bert", None, "embed"),
        ("bert", "NONE", "embed"),
        ("bert", "CLS", "embed"),
        ("bert", "RANK", "rerank"),
        ("modern-bert", None, "embed"),
        ("nomic-bert", "MEAN", "embed"),
        ("nomic-bert-moe", None, "embed"),
        ("jina-bert-v2", None, "embed"),
        ("jina-bert-v3", None, "embed"),
        ("neo-bert", None, "embed"),
        ("eurobert", None, "embed"),
        ("gemma-embedding", None, "embed"),
        ("t5encoder", None, "embed"),
        ("qwen3", "LAST", "embed"),
        ("llama", "MEAN", "embed"),
        ("qwen3", "RANK", "rerank"),
    ],
)
def test_a_model_that_pools_is_claimed_for_vectors_or_scores(
    tmp_path: Path, architecture: str, pooling: str | None, task: str
) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        if pooling:
            writer.add_pooling_type(gguf.PoolingType[pooling])

    write(tmp_path / "m-f16.gguf", architecture, add)
    offer = found(tmp_path)
    assert (offer.backend, offer.tasks) == ("gguf-embeddings", (task, "tokenize", "detokenize"))
    assert offer.fields == (("dimensions", "normalize") if task == "embed" else ())


@pytest.mark.parametrize("pooling", ["NONE", None])
def test_a_decoder_that_does_not_pool_writes_text(tmp_path: Path, pooling: str | None) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        if pooling:
            writer.add_pooling_type(gguf.PoolingType[pooling])

    write(tmp_path / "m-f16.gguf", "qwen3", add)
    assert found(tmp_path).backend == "gguf"


@pytest.mark.parametrize(
    "architecture",
    [
        *("clip", "t5", "wavtokenizer-dec", "dream", "llada", "llada-moe", "rnd1"),
        *("flux", "sd1", "sdxl", "sd3", "wan", "lumina2", "hidream", "qwen_image"),
    ],
)
def test_what_is_no_such_model_is_left_alone(tmp_path: Path, architecture: str) -> None:
    write(tmp_path / "m-Q8_0.gguf", architecture)
    assert claim(tmp_path) is None


def test_a_file_without_a_vocabulary_or_without_weights_and_an_adapter_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "images" / "new-kind-Q8_0.gguf", "picture", words=False)
    write(tmp_path / "adapter" / "m-F16.gguf", "llama", lambda writer: writer.add_type(gguf.GGUFType.ADAPTER))
    assert claim(tmp_path / "images") is None
    assert claim(tmp_path / "adapter") is None
    words = tmp_path / "words" / "m.gguf"
    words.parent.mkdir()
    writer = gguf.GGUFWriter(str(words), "llama")
    writer.add_tokenizer_model("gpt2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    assert claim(words.parent) is None


@pytest.mark.parametrize(
    ("audio", "vision", "media"),
    [(False, True, {"images"}), (True, False, {"audio"}), (True, True, {"images", "audio"})],
)
def test_a_projector_beside_it_makes_a_model_see_and_hear(
    tmp_path: Path, audio: bool, vision: bool, media: set[str]
) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_bool("clip.has_audio_encoder", audio)
        writer.add_bool("clip.has_vision_encoder", vision)

    write(tmp_path / "m-Q8_0.gguf", "qwen2vl")
    write(tmp_path / "mmproj-m-F16.gguf", "clip", add, words=False)
    offer = found(tmp_path)
    assert media == {"images", "audio"} & set(offer.fields)
    assert offer.files == ("m-Q8_0.gguf", "mmproj-m-F16.gguf")


def test_a_corrupt_file_is_claimed_so_that_loading_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "m-Q8_0.gguf").write_bytes(b"<!DOCTYPE html>" + bytes(100))
    offer = found(tmp_path)
    assert offer.backend == "gguf"
    assert "its header is unreadable" in offer.reason
    assert "it is a web page" in offer.reason


def test_a_quantization_is_chosen_by_the_variant_and_a_missing_one_refused(tmp_path: Path) -> None:
    for kind in ("Q4_K_M", "Q8_0"):
        write(tmp_path / f"m-{kind}.gguf", "llama")
    assert found(tmp_path).files == ("m-Q4_K_M.gguf",)
    assert found(tmp_path, "q8_0").files == ("m-Q8_0.gguf",)
    with pytest.raises(ModelNotFound, match="has no Q2_K on this machine; it has Q4_K_M, Q8_0"):
        claim(tmp_path, "Q2_K")


def test_names_that_look_like_patterns_mean_themselves(tmp_path: Path) -> None:
    write(tmp_path / "m[1]-Q8_0.gguf", "llama")
    write(tmp_path / "m1-Q2_K.gguf", "llama")
    offer = found(tmp_path)
    assert [file.name for file in info_of(tmp_path).matching(*offer.files)] == ["m[1]-Q8_0.gguf"]


@pytest.mark.parametrize("names", [[], ["model.safetensors", "config.json"], ["mmproj-F16.gguf"]])
def test_where_there_is_no_gguf_model_there_is_no_claim(names: list[str]) -> None:
    assert claim_model(remote(names)) is None


def test_a_variant_of_what_is_no_gguf_is_nobodys_error() -> None:
    assert claim_model(remote(["model.safetensors"], variant="Q9")) is None


def remote(names: list[str], variant: str | None = None, **told: Any) -> ModelInfo:
    ref = ModelRef.parse(f"org/m:{variant}" if variant else "org/m")
    files = tuple(ModelFile(name, GIB) for name in names)
    documents = {"hub": told} if told else {}
    return ModelInfo(id=ref.text, ref=ref, source="HuggingFace hub", files=files, documents=documents)


@pytest.mark.parametrize(
    ("told", "task"),
    [
        ({}, "chat"),
        ({"gguf": {"architecture": "qwen3"}, "pipeline_tag": "text-generation"}, "chat"),
        ({"gguf": {"architecture": "qwen3"}, "pipeline_tag": None}, "chat"),
        ({"gguf": {"architecture": "bert"}, "pipeline_tag": None}, "embed"),
        ({"gguf": {"architecture": "qwen3"}, "pipeline_tag": "feature-extraction"}, "embed"),
        ({"gguf": {"architecture": "qwen3"}, "pipeline_tag": "sentence-similarity"}, "embed"),
        ({"gguf": {"architecture": "bert"}, "pipeline_tag": "text-ranking"}, "rerank"),
        ({"gguf": {"architecture": "flux"}, "pipeline_tag": "text-to-image"}, None),
        ({"gguf": {"architecture": "flux"}, "pipeline_tag": None}, None),
        ({"gguf": {}, "pipeline_tag": "text-to-video"}, None),
        ({"gguf": {"architecture": "dream"}, "pipeline_tag": "text-generation"}, None),
        ({"gguf": "nonsense", "pipeline_tag": 5}, "chat"),
    ],
)
def test_a_repository_is_claimed_by_what_the_hub_says(told: dict[str, Any], task: str | None) -> None:
    offer = claim_model(remote(["m-Q4_K_M.gguf"], **told))
    assert (offer.tasks[0] if offer else None) == task


def test_a_repository_is_claimed_with_the_files_of_one_model_alone() -> None:
    names = [
        "m-Q4_K_M.gguf",
        "m-Q8_0-00001-of-00002.gguf",
        "m-Q8_0-00002-of-00002.gguf",
        "mmproj-F16.gguf",
        "README.md",
    ]
    offer = claim_model(remote(names, variant="Q8_0"))
    assert offer is not None
    assert offer.files == ("m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf", "mmproj-F16.gguf")
    assert "images" in offer.fields


def test_every_task_of_a_claim_is_one_of_its_backend() -> None:
    assert GENERATION.tasks == ("chat", "complete", "tokenize", "detokenize")
    assert POOLED.tasks == ("embed", "rerank", "tokenize", "detokenize")
