"""What comes from the hub beside a model's own files: from the cache where it is there, never without being asked."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tiny.checkpoint import make_checkpoint, without_configuration
from tiny.folder import info_of
from universal_core import LoadFailed, ModelFile, ModelInfo, ModelNotFound, ModelRef
from universal_core.repositories import download
from universal_diffusion.load import load
from universal_diffusion.options import DiffusionOptions

CPU = DiffusionOptions(device="cpu", dtype="float32", threads=1)
COMMIT = "0123456789" * 4


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], Path]:
    """Return a function that puts a folder into a cache of its own, under the name of a repository."""
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def put(name: str, folder: Path) -> Path:
        repository = cache / f"models--{name.replace('/', '--')}"
        (repository / "snapshots").mkdir(parents=True)
        (repository / "snapshots" / COMMIT).symlink_to(folder)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        return repository / "snapshots" / COMMIT

    return put


def fetched(folder: Path) -> ModelInfo:
    """Return what is known of a model when a claim's files were downloaded: its pickles are not among them."""
    info = info_of(folder)
    files = tuple(file for file in info.files if not file.name.endswith(".bin"))
    ref = ModelRef.parse("some/model")
    return msgspec.structs.replace(
        info, id="some/model", ref=ref, source="HuggingFace hub", revision=COMMIT, files=files
    )


def test_pickles_are_fetched_for_a_model_that_is_trusted_with_them_alone(
    folder: Callable[[str], Path], cached: Callable[[str, Path], Path]
) -> None:
    info = fetched(cached("some/model", folder("pickled")))
    with pytest.raises(LoadFailed, match="allow_pickle = true"):
        load(info, CPU)
    assert load(info, msgspec.structs.replace(CPU, allow_pickle=True)).pipeline.unet is not None


def test_weights_that_nobody_has_are_missed_by_name(
    folder: Callable[[str], Path], cached: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    cached("some/model", tmp_path / "empty")
    with pytest.raises(LoadFailed, match="no complete weights for text_encoder, unet, vae"):
        load(fetched(folder("pickled")), msgspec.structs.replace(CPU, allow_pickle=True))


def test_the_configuration_of_a_file_may_be_a_repository(cached: Callable[[str, Path], Path], tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "original")
    alone = without_configuration(checkpoint, tmp_path / "alone")
    cached("some/original", checkpoint.parent)
    info = ModelInfo(
        id="painter",
        ref=ModelRef.parse(str(alone)),
        source="local file",
        path=str(alone),
        files=(ModelFile(alone.name, alone.stat().st_size),),
    )
    found = load(info, msgspec.structs.replace(CPU, config="some/original"))
    assert type(found.pipeline).__name__ == "StableDiffusionPipeline"


def test_what_is_neither_cached_nor_reachable_is_not_found(cached: Callable[[str, Path], Path]) -> None:
    with pytest.raises(
        ModelNotFound, match=r"some/absent is not in the cache of this machine, and .*the server is offline"
    ):
        download("some/absent", None, ["*.json"])
