"""Weights that are quantized, or spread over devices: what comes of it, and what is said where something lacks."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from tiny.adapters import make_adapter
from tiny.causal import make_gpt2
from tiny.folder import info_of
from tiny.quantized import make_compressed, make_float8, make_plain, named_quantized
from universal_core import CompletionRequest, LoadFailed
from universal_text.causal.load import load
from universal_text.claims import claim_causal
from universal_text.options import CausalOptions
from universal_text.quantization import unpacked_bytes

IDS = torch.arange(3, 20)[None]
HELLO = CompletionRequest(prompt="Hello", max_tokens=6, temperature=0)


def options(**changes: Any) -> CausalOptions:
    return CausalOptions(**{"device": "cpu", "dtype": "float32", **changes})


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return how far logits are from others, as a share of these."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def logits_of(path: Path, **changes: Any) -> torch.Tensor:
    with torch.inference_mode():
        return load(info_of(path), options(**changes))[0](IDS).logits


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda package: monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_int8_made_at_load_is_close_to_the_model_and_smaller(plain: Path, dtype: str) -> None:
    whole, _ = load(info_of(plain), options(dtype=dtype))
    model, _ = load(info_of(plain), options(dtype=dtype, quantization="torchao-int8"))
    layer = model.model.layers[0].mlp.up_proj.weight
    assert type(layer).__name__ == "Int8Tensor"
    assert type(model.lm_head.weight) is torch.nn.Parameter
    assert model.dtype == whole.dtype
    with torch.inference_mode():
        assert 0 < apart(model(IDS).logits, whole(IDS).logits) < 0.2


def test_a_model_quantized_at_load_writes(plain: Path, open_model: Any, ask: Any) -> None:
    first, second = ask(open_model(plain, quantization="torchao-int8"), HELLO, HELLO)
    assert first.text == second.text
    assert first.usage.completion_tokens > 0


def test_adapters_stand_over_quantized_weights(plain: Path, tmp_path: Path, open_model: Any, ask: Any) -> None:
    path = str(make_adapter(tmp_path / "adapter", plain))
    model = open_model(plain, quantization="torchao-int8", adapters={"other": path})
    without, adapted = ask(model, HELLO, msgspec.structs.replace(HELLO, adapter="other"))
    assert without.text == ask(open_model(plain, quantization="torchao-int8"), HELLO)[0].text
    assert adapted.usage.completion_tokens > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("kind", "limit"), [("int8", 0.2), ("float8", 0.5), ("int4", 1.0)])
def test_compressed_tensors_are_unpacked_as_they_are_loaded(
    plain: Path, tmp_path: Path, kind: str, limit: float, dtype: str
) -> None:
    path = make_compressed(tmp_path, kind)
    model, _ = load(info_of(path), options(dtype=dtype))
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, dtype)}
    with torch.inference_mode():
        assert 0 < apart(model(IDS).logits, logits_of(plain)) < limit


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fp8_is_unpacked_where_no_gpu_computes_with_it(plain: Path, tmp_path: Path, dtype: str) -> None:
    model, _ = load(info_of(make_float8(tmp_path)), options(dtype=dtype))
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, dtype)}
    with torch.inference_mode():
        assert 0 < apart(model(IDS).logits, logits_of(plain)) < 0.5


def test_weights_that_torchao_saved_are_loaded_as_they_are(plain: Path, tmp_path: Path) -> None:
    model, tokenizer = load(info_of(plain), options(quantization="torchao-int8"))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, _ = load(info_of(tmp_path), options())
    with torch.inference_mode():
        assert torch.equal(again(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize(
    ("method", "package", "command"),
    [
        ("gptq", "gptqmodel", "pip install optimum gptqmodel accelerate"),
        ("awq", "gptqmodel", "pip install gptqmodel accelerate"),
        ("fp8", "accelerate", 'pip install "universal-text[quantization]"'),
        ("compressed-tensors", "compressed_tensors", 'pip install "universal-text[quantization]"'),
        ("bitsandbytes", "bitsandbytes", 'pip install "universal-text[bitsandbytes]"'),
        ("torchao", "torchao", 'pip install "universal-text[quantization]"'),
        ("hqq", "hqq", "pip install hqq accelerate"),
    ],
)
def test_what_a_checkpoint_lacks_is_named_before_it_is_loaded(
    plain: Path, tmp_path: Path, lacking: Any, method: str, package: str, command: str
) -> None:
    lacking(package)
    info = info_of(named_quantized(plain, tmp_path / "model", {"quant_method": method}))
    with pytest.raises(LoadFailed) as failure:
        load(info, options())
    assert f"quantized ({method})" in failure.value.message
    assert package in failure.value.message
    assert command in failure.value.message
    assert "GGUF" in failure.value.message


@pytest.mark.parametrize(("told", "words"), [({"quant_method": "exl2"}, "'exl2'"), ({"bits": 4}, "'missing'")])
def test_a_way_of_quantizing_that_is_not_known_is_refused(
    plain: Path, tmp_path: Path, told: dict[str, Any], words: str
) -> None:
    info = info_of(named_quantized(plain, tmp_path / "model", told))
    with pytest.raises(LoadFailed, match=rf"does not know: quant_method in config.json is {words}"):
        load(info, options())


def test_a_way_that_needs_a_gpu_says_so(plain: Path, tmp_path: Path) -> None:
    info = info_of(named_quantized(plain, tmp_path / "model", {"quant_method": "spqr"}))
    with pytest.raises(LoadFailed, match="needs an NVIDIA GPU, and the device is cpu"):
        load(info, options())
    with pytest.raises(LoadFailed, match=r"torchao-int4.* needs an NVIDIA GPU, and the device is cpu"):
        load(info_of(plain), options(quantization="torchao-int4"))


@pytest.mark.parametrize(
    ("name", "package", "command"),
    [
        ("torchao-int8", "torchao", 'pip install "universal-text[quantization]"'),
        ("bitsandbytes-int8", "bitsandbytes", 'pip install "universal-text[bitsandbytes]"'),
        ("bitsandbytes-nf4", "bitsandbytes", 'pip install "universal-text[bitsandbytes]"'),
    ],
)
def test_what_quantizing_at_load_lacks_is_named(
    plain: Path, lacking: Any, name: str, package: str, command: str
) -> None:
    lacking(package)
    with pytest.raises(LoadFailed) as failure:
        load(info_of(plain), options(quantization=name))
    assert f"quantization = {name!r}, which needs {package}" in failure.value.message
    assert command in failure.value.message


@pytest.mark.parametrize("device_map", ["auto", "balanced", "sequential", "cpu"])
def test_a_spread_model_computes_the_same(plain: Path, device_map: str) -> None:
    assert torch.equal(logits_of(plain, device_map=device_map), logits_of(plain))


def test_a_model_is_quantized_and_spread(plain: Path) -> None:
    spread = logits_of(plain, device_map="auto", quantization="torchao-int8")
    assert torch.equal(spread, logits_of(plain, quantization="torchao-int8"))


def test_without_accelerate_weights_cannot_be_spread(plain: Path, lacking: Any) -> None:
    lacking("accelerate")
    with pytest.raises(LoadFailed) as failure:
        load(info_of(plain), options(device_map="auto"))
    assert failure.value.message == (
        "device_map = 'auto' needs accelerate: pip install \"universal-text[several-devices]\""
    )


def test_quantized_weights_are_not_quantized_again(plain: Path, tmp_path: Path) -> None:
    info = info_of(make_float8(tmp_path))
    with pytest.raises(LoadFailed, match=r"quantized already \(fp8\)"):
        load(info, options(quantization="torchao-int8"))


def test_a_model_without_layers_that_can_be_quantized_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="no layers that torchao-int8 quantizes"):
        load(info_of(make_gpt2(tmp_path)), options(quantization="torchao-int8"))


def test_the_reason_of_a_claim_names_the_quantization_and_what_it_lacks(
    plain: Path, tmp_path: Path, lacking: Any
) -> None:
    lacking("gptqmodel")
    lacking("optimum")
    found = claim_causal(info_of(named_quantized(plain, tmp_path / "gptq", {"quant_method": "gptq"})))
    assert found is not None
    assert "; they are quantized (gptq) and need optimum and gptqmodel, not installed here" in found.reason
    whole = claim_causal(info_of(plain))
    assert whole is not None
    assert "quantized" not in whole.reason


def test_the_estimate_counts_weights_as_they_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("universal_text.quantization.accelerator", lambda name: None)
    group = {"weights": {"num_bits": 4, "type": "int"}}
    packed = {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}
    assert unpacked_bytes({"quantization_config": packed}, 1000) == 4000
    assert unpacked_bytes({"quantization_config": {"quant_method": "fp8"}}, 1000) == 2000
    assert unpacked_bytes({"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}, 1000) == 4000
    assert unpacked_bytes({"quantization_config": {"quant_method": "gptq"}}, 1000) == 1000
    assert unpacked_bytes({}, 1000) == 1000
    monkeypatch.setattr("universal_text.quantization.accelerator", lambda name: object())
    assert unpacked_bytes({"quantization_config": {"quant_method": "fp8"}}, 1000) == 1000
    assert unpacked_bytes({"quantization_config": packed}, 1000) == 4000
