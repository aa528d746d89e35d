"""Files that a configuration names: by their path, else from the cache and the hub."""

from pathlib import Path

import pytest

from universal_core import ModelNotFound
from universal_core.repositories import download, find_files, find_place

COMMIT = "0123456789" * 4


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the files of org/repo in a cache of its own, where the branch v2 is known."""
    repository = tmp_path / "cache" / "models--org--repo"
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"")
    (repository / "refs").mkdir()
    for name in ("main", "v2"):
        (repository / "refs" / name).write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return folder


def test_what_is_on_this_machine_comes_first(snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert snapshot.is_dir()
    monkeypatch.chdir(tmp_path)
    Path("org/repo").mkdir(parents=True)
    (tmp_path / "file@x").touch()
    assert find_place("org/repo", ["*"]) == Path("org/repo")
    assert find_place(str(tmp_path / "file@x"), ["*"]) == tmp_path / "file@x"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_place("~/file@x", ["*"]) == tmp_path / "file@x"


@pytest.mark.parametrize("place", ["org/repo", "org/repo@v2", f"org/repo@{COMMIT}"])
def test_a_repository_is_taken_from_the_cache_at_its_revision(snapshot: Path, place: str) -> None:
    assert find_place(place, ["*.safetensors"]) == snapshot


def test_a_cached_repository_without_such_files_is_asked_for(snapshot: Path) -> None:
    assert find_files("org/repo", ["*.gguf", "*.safetensors"]) == snapshot
    with pytest.raises(ModelNotFound, match=r"org/repo is not in the cache of this machine, and .*offline"):
        download("org/repo", "v3", ["*.safetensors"])


@pytest.mark.parametrize("place", ["./org/repo", "/org/repo", "~/repo", "repo", "a/b/c", "../a/b", "org/.."])
def test_what_is_neither_there_nor_a_repository_is_told(snapshot: Path, place: str, tmp_path: Path) -> None:
    assert snapshot.is_dir()
    with pytest.raises(ModelNotFound, match=r"there is nothing at .*: expected a folder or a file"):
        find_place(place, ["*"])
