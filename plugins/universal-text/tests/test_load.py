"""Loading: what can go wrong is said in words that help."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny.causal import make_llama
from tiny.folder import info_of
from universal_core import LoadFailed, pytorch
from universal_text.causal.load import ends_of, load
from universal_text.linear import PreparedLinear
from universal_text.options import CausalOptions

CPU = CausalOptions(device="cpu", dtype="float32")


def change_config(path: Path, **values: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | values))


def test_a_model_is_loaded_in_the_dtype_asked_for(folder: Any) -> None:
    model, _ = load(info_of(folder("llama")), CausalOptions(device="cpu", dtype="bfloat16"))
    assert model.dtype == torch.bfloat16
    assert not model.training


def test_all_tokens_that_end_an_answer_are_known(tmp_path: Path) -> None:
    path = make_llama(tmp_path)
    settings = json.loads((path / "generation_config.json").read_text())
    (path / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [2, 17]}))
    assert ends_of(*load(info_of(path), CPU)) == {2, 17}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the kernel tells nothing of mapped files")
def test_files_are_left_whose_weights_were_made_ready(tmp_path: Path, open_model: Any) -> None:
    path = make_llama(tmp_path / "left")
    model = open_model(path)
    assert any(isinstance(layer, PreparedLinear) for layer in model._engine._runner._model.modules())
    assert str(path) not in Path("/proc/self/maps").read_text()


def test_weights_with_holes_are_refused(tmp_path: Path) -> None:
    path = make_llama(tmp_path)
    weights = load_file(path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadFailed, match=r"lack 1 of the model's weights \(model.layers.1.mlp.up_proj.weight\)"):
        load(info_of(path), CPU)


def test_code_of_an_unknown_model_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    path = make_llama(tmp_path)
    change_config(path, model_type="brand_new", auto_map={"AutoModelForCausalLM": "modeling_new.New"})
    with pytest.raises(LoadFailed, match="trust_remote_code"):
        load(info_of(path), CPU)


def test_an_unknown_model_without_code_is_named(tmp_path: Path) -> None:
    path = make_llama(tmp_path)
    change_config(path, model_type="brand_new")
    with pytest.raises(LoadFailed, match="brand_new"):
        load(info_of(path), CPU)


def test_a_quantised_model_says_which_package_it_needs(tmp_path: Path) -> None:
    path = make_llama(tmp_path)
    change_config(path, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(LoadFailed, match=r"(?i)gptq"):
        load(info_of(path), CPU)


def test_a_device_that_is_not_there_is_refused(folder: Any) -> None:
    with pytest.raises(LoadFailed, match="cuda:63"):
        load(info_of(folder("llama")), CausalOptions(device="cuda:63"))


def test_files_that_are_elsewhere_cannot_be_loaded(folder: Any) -> None:
    info = msgspec.structs.replace(info_of(folder("llama")), path=None)
    with pytest.raises(LoadFailed, match="not on this machine"):
        load(info, CPU)


@pytest.mark.parametrize(
    "values",
    [{"devcie": "cpu"}, {"device": "gpu"}, {"slots": 0}, {"dtype": "int8"}, {"threads": 0}, {"prefill_chunk": 0}],
)
def test_options_that_mean_nothing_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, CausalOptions)


@pytest.mark.parametrize(
    ("native", "saved", "expected"),
    [
        (True, torch.bfloat16, torch.bfloat16),
        (True, torch.float16, torch.bfloat16),
        (False, torch.bfloat16, torch.float32),
        (False, torch.float16, torch.float32),
        (True, torch.float32, torch.float32),
        (True, None, torch.float32),
    ],
)
def test_dtype_auto_on_a_cpu(native: bool, saved: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "_cpu_has_bfloat16", lambda: native)
    assert pytorch.pick_dtype("auto", torch.device("cpu"), saved) == expected


def test_code_that_is_trusted_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    path = make_llama(tmp_path / "model")
    code = (
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    (path / "own.py").write_text(code)
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    change_config(path, model_type="own", auto_map=classes)
    model, _ = load(info_of(path), CausalOptions(device="cpu", trust_remote_code=True))
    assert type(model).__name__ == "OwnModel"
