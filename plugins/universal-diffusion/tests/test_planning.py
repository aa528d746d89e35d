"""What a pipeline is told to take: its parameters as they are loaded, and more for larger pictures and more of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from tiny import diffusion
from tiny.folder import info_of
from universal_core import MemoryEstimate
from universal_diffusion import claim_model, estimate_memory, planning
from universal_diffusion.load import load
from universal_diffusion.options import DiffusionOptions


def told(path: Path, device: str = "cpu", **options: Any) -> MemoryEstimate:
    info = info_of(path)
    claim = claim_model(info)
    assert claim is not None
    found = estimate_memory(info, claim, DiffusionOptions(**options), device)
    assert found is not None
    return found


@pytest.fixture
def with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "available_memory", lambda device: 64 * 10**9)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["stable_diffusion", "sdxl", "sd3", "half"])
def test_the_weights_are_the_parameters_in_their_format(folder: Callable[[str], Path], family: str, dtype: str) -> None:
    options = DiffusionOptions(dtype=dtype, device="cpu")  # type: ignore[arg-type]
    pipeline = load(info_of(folder(family)), options).pipeline
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    tensors = {each.data_ptr(): each.nbytes for module in modules for each in module.state_dict().values()}
    taken = sum(tensors.values())
    assert told(folder(family), dtype=dtype).weights == pytest.approx(taken, rel=0.02)


def test_16_bit_files_take_what_they_become(folder: Callable[[str], Path]) -> None:
    assert told(folder("half")).weights == told(folder("stable_diffusion")).weights


def test_a_safety_checker_that_is_not_loaded_takes_nothing(folder: Callable[[str], Path]) -> None:
    guarded = folder("guarded")
    assert told(guarded, safety_checker=False).weights < told(guarded).weights


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"default_size": 64}, {"default_size": 128}),
        ({"default_size": "64x128"}, {"default_size": 128}),
        ({"max_batch": 1}, {"max_batch": 8}),
        ({"dtype": "bfloat16"}, {"dtype": "float32"}),
    ],
    ids=str,
)
@pytest.mark.usefixtures("with_room")
def test_options_that_take_more_are_told_to(
    folder: Callable[[str], Path], less: dict[str, Any], more: dict[str, Any]
) -> None:
    path = folder("stable_diffusion")
    assert told(path, **less).working < told(path, **more).working


@pytest.mark.usefixtures("with_room")
def test_pictures_that_are_usually_larger_take_more(tmp_path: Path) -> None:
    small = diffusion.make_stable_diffusion(tmp_path / "small")
    large = diffusion.make_stable_diffusion(tmp_path / "large", sample_size=256)
    assert told(large).working > told(small).working


@pytest.mark.usefixtures("with_room")
def test_what_is_offloaded_is_in_the_machines_memory(folder: Callable[[str], Path]) -> None:
    path = folder("stable_diffusion")
    whole = told(path, "cuda:0")
    by_part = told(path, "cuda:0", cpu_offload="model")
    by_layer = told(path, "cuda:0", cpu_offload="sequential")
    assert whole.weights > by_part.weights > by_layer.weights == 0
    assert by_part.host == by_layer.host == whole.host + whole.weights


@pytest.mark.usefixtures("with_room")
def test_adapters_on_this_machine_count(folder: Callable[[str], Path], tmp_path: Path) -> None:
    path = folder("stable_diffusion")
    lora = diffusion.make_lora(tmp_path / "lora", path)
    size = sum(file.stat().st_size for file in [lora, *tmp_path.rglob("*.safetensors")] if file.is_file())
    assert 0 < told(path, loras={"a": str(lora)}).weights - told(path).weights <= size
    assert told(path, loras={"a": "somebody/elses"}).weights == told(path).weights


@pytest.mark.usefixtures("with_room")
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_advice_takes_less_indeed_the_most_first(tmp_path: Path, device: str) -> None:
    path = diffusion.make_stable_diffusion(tmp_path / "large", sample_size=1024)
    found = told(path, device)
    assert found.smaller
    assert [one.total for one in found.smaller] == sorted((one.total for one in found.smaller), reverse=True)
    for one in found.smaller:
        assert told(path, device, **msgspec.toml.decode(one.advice.replace(", ", "\n"))).total == one.total
        assert one.total < found.total


def test_other_backends_are_asked_elsewhere(folder: Callable[[str], Path]) -> None:
    info = info_of(folder("stable_diffusion"))
    claim = claim_model(info)
    assert claim is not None
    other = msgspec.structs.replace(claim, backend="another")
    assert estimate_memory(info, other, DiffusionOptions(), "cpu") is None
