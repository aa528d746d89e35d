"""Each option of the ``vision-regions`` backend does what its row in the README says."""

import json
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tiny.finding import detect, noise, opened, segment
from tiny.folder import info_of
from universal_core import LoadFailed
from universal_vision.regions.claim import claim
from universal_vision.regions.options import RegionOptions

Folder = Callable[[str], Path]
PICTURE = noise(90, 50, 1)


@pytest.fixture
def threads() -> Iterator[None]:
    """Bring the number of threads back."""
    yield
    torch.set_num_threads(1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_fails_the_load(folder: Folder) -> None:
    with pytest.raises(LoadFailed, match="cuda"), opened(folder("regions.detr"), device="cuda"):
        pass


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["detr", "grounding_dino"])
def test_a_model_runs_in_the_number_format_configured(folder: Folder, name: str, dtype: str) -> None:
    labels = ("a red dog", "cats") if name == "grounding_dino" else ()
    with opened(folder(f"regions.{name}")) as exact, opened(folder(f"regions.{name}"), dtype=dtype) as model:
        expected, found = (detect(one, PICTURE, labels=labels, threshold=0.2) for one in (exact, model))
    assert found != expected
    assert found.images[0][0].score == pytest.approx(expected.images[0][0].score, abs=0.02)


def test_the_threads_configured_compute(folder: Folder, threads: None) -> None:
    with opened(folder("regions.detr"), threads=3):
        assert torch.get_num_threads() == 3


def test_code_of_a_model_runs_only_where_it_is_trusted(folder: Folder, tmp_path: Path) -> None:
    path = shutil.copytree(folder("regions.detr"), tmp_path / "own")
    config = json.loads((path / "config.json").read_text())
    own = {"model_type": "own-detector", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (path / "config.json").write_text(json.dumps({**config, **own}))
    with pytest.raises(LoadFailed, match="trust_remote_code"), opened(path):
        pass


def test_requests_that_run_at_once_are_as_many_as_the_claim_says(folder: Folder) -> None:
    found = claim(info_of(folder("regions.detr")))
    assert found is not None
    assert found.slots == RegionOptions().slots


@pytest.mark.parametrize("name", ["detr", "owlvit", "grounding_dino"])
def test_a_threshold_holds_where_a_request_has_none(folder: Folder, name: str) -> None:
    labels = () if name == "detr" else ("a red dog", "cats")
    path = folder(f"regions.{name}")
    with opened(path) as usual, opened(path, threshold=0.97) as strict:
        high, low = (detect(usual, PICTURE, labels=labels, threshold=threshold) for threshold in (0.97, 0.0))
        assert detect(strict, PICTURE, labels=labels) == high
        assert detect(strict, PICTURE, labels=labels, threshold=0.0) == low
        assert detect(usual, PICTURE, labels=labels) != high


def test_a_threshold_holds_for_masks_too(folder: Folder) -> None:
    with opened(folder("regions.clipseg"), threshold=1.0) as model:
        assert segment(model, PICTURE, labels=("cat",)).images == ((),)
    with opened(folder("regions.oneformer"), threshold=1.0) as model:
        assert segment(model, PICTURE).images == ((),)


def test_a_processor_is_needed(folder: Folder, tmp_path: Path) -> None:
    path = shutil.copytree(folder("regions.detr"), tmp_path / "bare")
    (path / "preprocessor_config.json").unlink()
    with pytest.raises(LoadFailed, match="preprocessor_config"), opened(path):
        pass


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="there it would be loaded")
def test_a_processor_that_needs_torchvision_fails_the_load_with_its_name(folder: Folder, tmp_path: Path) -> None:
    path = shutil.copytree(folder("regions.detr"), tmp_path / "needs")
    (path / "preprocessor_config.json").write_text('{"image_processor_type": "RfDetrImageProcessor"}')
    with pytest.raises(LoadFailed, match="torchvision"), opened(path):
        pass


@pytest.mark.skipif(find_spec("timm") is not None, reason="there it would be loaded")
def test_a_backbone_of_timm_fails_the_load_with_its_name(folder: Folder, tmp_path: Path) -> None:
    path = shutil.copytree(folder("regions.detr"), tmp_path / "needs")
    config = json.loads((path / "config.json").read_text())
    del config["backbone_config"]
    (path / "config.json").write_text(json.dumps({**config, "use_timm_backbone": True, "backbone": "resnet50"}))
    with pytest.raises(LoadFailed, match="pip install timm"), opened(path):
        pass
