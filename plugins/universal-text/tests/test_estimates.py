"""What models are expected to take: exact where the files tell it, and more for whoever asks for more."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from transformers import AutoModelForCausalLM

import universal_text
from tiny.classifiers import make_classifier
from tiny.encoders import make_sentence_transformer
from tiny.folder import info_of
from universal_core import MemoryEstimate, ModelFile, ModelInfo
from universal_text.classifier import ClassifierOptions
from universal_text.encoder import EncoderOptions
from universal_text.estimates import checkpoint, weights_of
from universal_text.key_values import bytes_per_token

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHAPE: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 64}


def estimated(info: ModelInfo, device: str = "cpu", **options: Any) -> MemoryEstimate:
    """Return what is expected of a model in the best of the backends that offer to run it."""
    claim = max(universal_text.claim_model(info), key=lambda one: one.rank)
    backends = {backend.name: backend for backend in universal_text.register_backends()}
    typed = msgspec.convert(options, backends[claim.backend].options)
    found = universal_text.estimate_memory(info, claim, typed, device)
    assert found is not None
    return found


def changed(info: ModelInfo, **config: Any) -> ModelInfo:
    return msgspec.structs.replace(info, documents={**info.documents, "config.json": {**info.config, **config}})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2", "mixture", "mamba"])
def test_weights_take_what_they_take_once_they_are_loaded(name: str, dtype: str, folder: Any) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder(name), dtype=DTYPES[dtype])
    loaded = sum(weight.nbytes for weight in model.parameters())
    assert estimated(info_of(folder(name)), dtype=dtype).weights == loaded


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_cache_takes_what_the_store_allocates(dtype: str, folder: Any, open_model: Any) -> None:
    options = {"slots": 3, "cache_tokens": 500, "dtype": dtype}
    store = open_model(folder("qwen3"), **options)._engine._runner._store
    allocated = sum(part.nbytes for layer in store._layers.values() for part in layer)
    assert estimated(info_of(folder("qwen3")), **options).cache == allocated


def test_a_token_takes_a_key_and_a_value_in_each_layer() -> None:
    assert bytes_per_token(SHAPE, 2) == 2 * 2 * 2 * 16 * 2
    assert bytes_per_token({**SHAPE, "head_dim": 32}, 4) == 2 * 2 * 2 * 32 * 4
    # Some models have larger heads in some layers, and some keep what was made from a latent vector.
    kinds = ["sliding_attention", "full_attention"]
    wide = {**SHAPE, "head_dim": 16, "global_head_dim": 64, "layer_types": kinds}
    assert bytes_per_token(wide, 2) == 2 * 2 * (16 + 64) * 2
    latent = {"kv_lora_rank": 8, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12}
    assert bytes_per_token({**SHAPE, **latent}, 2) == 2 * 4 * (16 + 8 + 12) * 2


def test_tokens_are_set_aside_for_every_slot_and_for_the_longest_text_that_was_asked_for(folder: Any) -> None:
    info = changed(info_of(folder("llama")), max_position_embeddings=100_000)
    size = bytes_per_token(info.config, 4)
    assert estimated(info, dtype="float32").cache == 8 * 2048 * size
    assert estimated(info, dtype="float32", n_ctx=1000).cache == 8 * 1000 * size
    assert estimated(info, dtype="float32", slots=2, n_ctx=50_000).cache == 50_000 * size
    assert estimated(info, dtype="float32", cache_tokens=77, n_ctx=50_000).cache == 77 * size
    # One by one they have caches of their own, each for the longest text.
    assert estimated(info, dtype="float32", slots=2, n_ctx=50_000, attention="eager").cache == 100_000 * size


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"slots": 1}, {"slots": 16}),
        ({"n_ctx": 64}, {"n_ctx": 256}),
        ({"cache_tokens": 100}, {"cache_tokens": 5000}),
        ({"dtype": "bfloat16"}, {"dtype": "float32"}),
        ({"prefill_chunk": 16}, {"prefill_chunk": 2048}),
        ({"quantization": "torchao-int8"}, {}),
    ],
)
def test_an_option_that_takes_more_is_expected_to(less: dict[str, Any], more: dict[str, Any], folder: Any) -> None:
    info = info_of(folder("llama"))
    assert estimated(info, **less).total < estimated(info, **more).total


def test_what_stands_beside_a_model_counts(folder: Any, tmp_path: Path) -> None:
    info = info_of(folder("llama"))
    alone, drafted = estimated(info), estimated(info, draft_model=str(folder("llama")))
    assert drafted.weights == 2 * alone.weights
    assert drafted.working > alone.working
    (tmp_path / "adapter_model.safetensors").write_bytes((folder("llama") / "model.safetensors").read_bytes())
    assert estimated(info, adapters={"mine": str(tmp_path)}).weights > alone.weights
    assert estimated(info, adapters={"mine": str(tmp_path / "nowhere")}).weights == alone.weights


def test_a_draft_model_that_cannot_be_read_counts_as_nothing(folder: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    assert estimated(info_of(folder("llama")), draft_model=str(tmp_path)).total > 0


def test_a_graphics_card_has_the_model_and_the_machine_the_process(folder: Any) -> None:
    here, there = estimated(info_of(folder("llama"))), estimated(info_of(folder("llama")), "cuda:0")
    assert there.host > here.host
    assert there.working > here.working


def test_recurrent_states_count(folder: Any) -> None:
    info = info_of(folder("mamba"))
    assert estimated(info, slots=8).cache > estimated(info, slots=1).cache > 0


def test_advice_is_what_takes_less_largest_first(folder: Any) -> None:
    found = estimated(info_of(folder("llama")), dtype="float32", n_ctx=256)
    totals = [smaller.total for smaller in found.smaller]
    assert totals == sorted(totals, reverse=True)
    assert totals
    assert max(totals) < found.total
    advice = {smaller.advice: smaller.total for smaller in found.smaller}
    assert advice['dtype = "bfloat16"'] == estimated(info_of(folder("llama")), dtype="bfloat16", n_ctx=256).total
    assert advice["slots = 1"] == estimated(info_of(folder("llama")), dtype="float32", n_ctx=256, slots=1).total


def test_a_library_that_is_not_installed_is_not_advised(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("universal_text.quantization.find_spec", lambda name: None)
    advice = [smaller.advice for smaller in estimated(info_of(folder("llama"))).smaller]
    assert not any("quantization" in words for words in advice)


@pytest.mark.parametrize("native", [True, False])
def test_auto_follows_what_the_processor_computes_with(
    native: bool, folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "has_bfloat16", lambda: native)
    info = changed(info_of(folder("llama")), dtype="bfloat16")
    same = estimated(info, dtype="bfloat16" if native else "float32")
    assert estimated(info).weights == same.weights
    assert estimated(info, "cuda:0").weights == estimated(info, dtype="bfloat16").weights


def test_an_encoder_keeps_its_embeddings_in_float32(tmp_path: Path) -> None:
    info = info_of(make_sentence_transformer(tmp_path))
    weights = weights_of(info, ["model.safetensors"])
    matrices = sum(weight.numbers for weight in weights if len(weight.shape) == 2 and "embed" not in weight.name)
    whole = sum(weight.numbers for weight in weights) * 4
    assert estimated(info, dtype="float32").weights == whole
    assert estimated(info, dtype="bfloat16").weights == whole - 2 * matrices


@pytest.mark.parametrize("options", [EncoderOptions(), ClassifierOptions()])
def test_a_larger_batch_is_expected_to_take_more(options: Any, tmp_path: Path) -> None:
    reads = isinstance(options, EncoderOptions)
    info = info_of(make_sentence_transformer(tmp_path) if reads else make_classifier(tmp_path))
    assert estimated(info, batch_tokens=8192).working > estimated(info).working
    assert "batch_tokens = 512" in [smaller.advice for smaller in estimated(info).smaller]


def test_openvino_has_weights_of_its_own(tmp_path: Path) -> None:
    info = info_of(make_sentence_transformer(tmp_path))
    assert estimated(info, engine="openvino").total > estimated(info, dtype="float32").total


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0[]", b'\x08\0\0\0\0\0\0\0{"a": 1}']
)
def test_files_that_cannot_be_read_count_by_their_size(content: bytes, folder: Any, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    info = info_of(folder("llama"))
    broken = msgspec.structs.replace(info, path=str(tmp_path), files=(ModelFile("model.safetensors", 4000),))
    assert estimated(broken, dtype="float32").weights == 4000


def test_files_that_are_not_here_count_by_their_size_and_format(folder: Any) -> None:
    info = msgspec.structs.replace(info_of(folder("llama")), path=None)
    half = changed(info, dtype="bfloat16")
    size = info.size_of("model.safetensors")
    assert estimated(half, dtype="float32").weights == 2 * size
    assert estimated(half, dtype="bfloat16").weights == size


@pytest.mark.parametrize("config", [{}, {"hidden_size": None}, {"num_hidden_layers": "many"}, {"text_config": []}])
def test_a_configuration_that_tells_little_gives_an_estimate_all_the_same(config: dict[str, Any], folder: Any) -> None:
    info = info_of(folder("llama"))
    told = {"architectures": ["LlamaForCausalLM"], **config}
    found = estimated(msgspec.structs.replace(info, documents={"config.json": told}))
    assert found.total > found.weights > 0


def test_a_scan_of_states_takes_more_the_longer_a_prompt_may_be(folder: Any) -> None:
    states = {"mamba_n_heads": 8, "mamba_d_state": 64, "mamba_chunk_size": 128, "max_position_embeddings": 4096}
    info = changed(info_of(folder("mamba")), **states)
    long, short = (estimated(info, n_ctx=size).working for size in (2048, 256))
    assert long - short > 4 * 4 * (2048 - 256) * 8 * (64 + 128)
