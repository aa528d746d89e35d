"""Adapters: the same pixels as through diffusers itself, nothing left behind, and clear refusals."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from tiny.diffusion import make_lora, make_stable_diffusion
from tiny.drawings import events_of, pixels_of
from tiny.folder import info_of
from universal_core import BadRequest, Event, Forbidden, GenerateImageRequest, Lora, ModelNotFound, UnsupportedField
from universal_diffusion.load import load
from universal_diffusion.loras import Loras
from universal_diffusion.model import DiffusionModel
from universal_diffusion.options import DiffusionOptions

Open = Callable[..., tuple[Any, Loras]]


def picture(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    arguments: dict[str, Any] = {"num_inference_steps": 2, "height": 32, "width": 32, "output_type": "np"}
    return pipeline("the cat", generator=generator, **arguments).images[0]


@pytest.fixture(scope="module")
def adapters(folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Make three adapters for the same model, and return their folders by name."""
    base = tmp_path_factory.mktemp("loras")
    model = folder("stable_diffusion")
    return {name: str(make_lora(base / name, model, seed=seed)) for seed, name in enumerate(("ink", "oil", "chalk"))}


@pytest.fixture
def opened(folder: Callable[[str], Path], adapters: dict[str, str]) -> Open:
    """Return a function that loads the model with its adapters."""

    def make(family: str = "stable_diffusion", **changes: Any) -> tuple[Any, Loras]:
        usual: dict[str, Any] = {"device": "cpu", "dtype": "float32", "threads": 1, "loras": adapters}
        options = DiffusionOptions(**usual | changes)
        pipeline = load(info_of(folder(family)), options).pipeline
        return pipeline, Loras(pipeline, options, family)

    return make


def reference(model: Path, scales: dict[str, float]) -> Any:
    """Return the picture that diffusers itself makes with adapters, by their folders."""
    pipeline = StableDiffusionPipeline.from_pretrained(model, local_files_only=True)
    for number, path in enumerate(scales):
        pipeline.load_lora_weights(path, weight_name="pytorch_lora_weights.safetensors", adapter_name=f"a{number}")
    pipeline.set_adapters([f"a{number}" for number in range(len(scales))], list(scales.values()))
    return picture(pipeline)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
@pytest.mark.parametrize("scales", [{"ink": 1.0}, {"ink": 0.4}, {"ink": 0.7, "oil": 0.3}])
def test_pixels_equal_those_of_diffusers(
    folder: Callable[[str], Path], opened: Open, adapters: dict[str, str], scales: dict[str, float]
) -> None:
    pipeline, loras = opened()
    plain = picture(pipeline)
    loras.use([Lora(model=name, scale=scale) for name, scale in scales.items()])
    expected = reference(folder("stable_diffusion"), {adapters[name]: scale for name, scale in scales.items()})
    assert np.array_equal(picture(pipeline), expected)
    assert not np.array_equal(plain, expected)


def test_afterwards_the_model_is_the_plain_one_again(opened: Open) -> None:
    pipeline, loras = opened()
    plain = picture(pipeline)
    loras.use([Lora(model="ink")])
    picture(pipeline)
    loras.use([])
    assert np.array_equal(picture(pipeline), plain)


def test_an_adapter_that_another_batch_used_has_no_part_in_the_next(opened: Open) -> None:
    pipeline, loras = opened()
    loras.use([Lora(model="ink")])
    alone = picture(pipeline)
    loras.use([Lora(model="oil"), Lora(model="ink", scale=0.2)])
    loras.use([Lora(model="ink")])
    assert np.array_equal(picture(pipeline), alone)


def test_an_adapter_named_twice_counts_twice(opened: Open) -> None:
    pipeline, loras = opened()
    loras.use([Lora(model="ink", scale=0.75)])
    once = picture(pipeline)
    loras.use([Lora(model="ink", scale=0.25), Lora(model="ink", scale=0.5)])
    assert np.array_equal(picture(pipeline), once)


def test_the_least_recently_used_make_room(opened: Open) -> None:
    pipeline, loras = opened(max_loras=2)
    for name in ("ink", "oil", "ink", "chalk"):
        loras.use([Lora(model=name)])
    assert loras.loaded == ("ink", "chalk")
    assert sorted(pipeline.unet.peft_config) == ["adapter_1", "adapter_3"]
    loras.use([Lora(model=name) for name in ("ink", "oil", "chalk")])
    assert loras.loaded == ("ink", "oil", "chalk")


def test_a_path_in_a_request_is_forbidden(opened: Open, adapters: dict[str, str]) -> None:
    _, loras = opened()
    for path in (adapters["ink"], "./ink", "~/ink", "../ink"):
        with pytest.raises(Forbidden, match="paths stand in the configuration alone"):
            loras.use([Lora(model=path)])


@pytest.mark.parametrize("name", ["nobody", "some/where/else", "a/..", "org/absent"])
def test_an_adapter_that_nobody_has_is_not_found_and_the_known_are_named(opened: Open, name: str) -> None:
    _, loras = opened()
    with pytest.raises(ModelNotFound, match="configured are ink, oil, chalk") as caught:
        loras.use([Lora(model=name)])
    assert caught.value.param == "loras"


def test_one_that_is_configured_and_missing_is_told_without_its_place(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, loras = opened(loras={"lost": str(tmp_path / "lost")})
    with pytest.raises(ModelNotFound, match="loras: lost is configured, and its files are missing") as caught:
        loras.use([Lora(model="lost")])
    assert str(tmp_path) not in caught.value.message
    assert str(tmp_path / "lost") in caplog.text


def test_those_that_are_not_in_memory_are_fetched_and_told_of_beforehand(opened: Open) -> None:
    _, loras = opened()
    loras.use([Lora(model="ink")])
    assert loras.missing([Lora(model="ink"), Lora(model="oil")]) == (Lora(model="oil"),)
    with pytest.raises(ModelNotFound):
        loras.fetch([Lora(model="oil"), Lora(model="nobody")])


def test_a_download_holds_up_nobody_else(
    open_model: Callable[..., DiffusionModel], adapters: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, arrived = threading.Event(), threading.Event()

    def download(repository: str, patterns: Sequence[str]) -> Path:
        asked.set()
        arrived.wait()
        return Path(adapters["ink"])

    monkeypatch.setattr("universal_diffusion.loras.find_files", download)
    model = open_model("stable_diffusion")
    plain = GenerateImageRequest(prompt="cat", size=(32, 32), num_inference_steps=2, seed=1)
    adapted = msgspec.structs.replace(plain, loras=(Lora(model="some/ink"),))

    async def run() -> tuple[list[Event], list[Event]]:
        waiting = asyncio.create_task(events_of(model, adapted))
        await asyncio.to_thread(asked.wait)
        try:
            first = await events_of(model, plain)
        finally:
            arrived.set()
        return first, await waiting

    first, second = asyncio.run(run())
    assert not np.array_equal(pixels_of(first)[0], pixels_of(second)[0])


def test_a_repository_in_the_cache_is_used_without_the_network(
    opened: Open, adapters: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--ink"
    commit = "0123456789" * 4
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    Path(adapters["ink"]).rename(moved := Path(adapters["ink"] + "-away"))
    try:
        (repository / "snapshots").mkdir()
        (repository / "snapshots" / commit).symlink_to(moved)
        pipeline, loras = opened()
        loras.use([Lora(model="some/ink")])
        found = picture(pipeline)
    finally:
        moved.rename(adapters["ink"])
    loras.use([Lora(model="ink")])
    assert np.array_equal(picture(pipeline), found)


def test_an_adapter_of_another_model_is_refused_and_leaves_nothing(opened: Open, tmp_path: Path) -> None:
    wide = make_stable_diffusion(tmp_path / "wide", block_out_channels=(16, 32))
    strange = make_lora(tmp_path / "strange", wide)
    nothing = tmp_path / "nothing.safetensors"
    save_file({"something.else": torch.zeros(2)}, nothing)
    folder_path = {"strange": str(strange), "nothing": str(nothing)}
    pipeline, loras = opened()
    plain = picture(pipeline)
    loras._known = {**loras._known, **folder_path}
    for name in folder_path:
        with pytest.raises(BadRequest, match=f"{name} was not made for stable_diffusion"):
            loras.use([Lora(model=name)])
    loras.use([])
    assert np.array_equal(picture(pipeline), plain)
    assert loras.loaded == ()


def test_a_pickle_is_not_read(opened: Open, tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "pytorch_lora_weights.bin")
    _, loras = opened()
    loras._known = {"folder": str(tmp_path), "file": str(tmp_path / "pytorch_lora_weights.bin")}
    for name in loras._known:
        with pytest.raises(BadRequest, match="pickles are not read"):
            loras.use([Lora(model=name)])


def test_one_of_several_files_must_be_named(opened: Open, adapters: dict[str, str], tmp_path: Path) -> None:
    source = Path(adapters["ink"], "pytorch_lora_weights.safetensors").read_bytes()
    for name in ("first.safetensors", "second.safetensors"):
        (tmp_path / name).write_bytes(source)
    _, loras = opened()
    loras._known = {"both": str(tmp_path)}
    with pytest.raises(BadRequest, match=r"name one of first.safetensors, second.safetensors as weight_name"):
        loras.use([Lora(model="both")])
    with pytest.raises(ModelNotFound, match=r"has no file 'third.safetensors'"):
        loras.use([Lora(model="both", weight_name="third.safetensors")])
    loras.use([Lora(model="both", weight_name="second.safetensors")])
    assert loras.loaded == ("both",)


def test_a_pipeline_without_adapters_says_so(opened: Open) -> None:
    _, loras = opened("pixart")
    loras.use([])
    with pytest.raises(UnsupportedField, match="takes no adapters"):
        loras.use([Lora(model="ink")])
