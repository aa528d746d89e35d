"""What the HuggingFace cache has, as listed and as deleted, beside what huggingface_hub's own scan tells of it."""

import os
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from caching import cache_repository, repository_folder, set_used
from universal_core import ModelInfo, ModelNotFound, ModelRef
from universal_core.errors import BadRequest, Forbidden
from universal_core.sources import cache as source

WEIGHTS = {"config.json": b"{}", "model.safetensors": b"w" * 5000}
QUANTS = {"m-Q4_K_M.gguf": b"4" * 4000, "m-Q8_0.gguf": b"8" * 8000, "README.md": b"# m"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path.resolve() / "hub"
    folder.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def listed() -> dict[str, ModelInfo]:
    return {info.id: info for info in source.list_models()}


def whole(info: ModelInfo) -> bool:
    return info.on_disk is not None and info.on_disk.whole


def delete(text: str, *files: str) -> int:
    deletion = source.delete_model(ModelRef.parse(text), files)
    assert deletion is not None
    return deletion()


def names(root: Path) -> list[str]:
    """Return everything below a folder but folders, and nothing for one that is not there."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


def test_bytes_count_once_and_the_last_use_is_what_the_librarys_scan_tells(cache: Path) -> None:
    commit = cache_repository(cache, "org/twice", {**WEIGHTS, "again/model.safetensors": WEIGHTS["model.safetensors"]})
    set_used(cache, 1_700_000_000)
    os.utime(next((cache / "models--org--twice" / "blobs").iterdir()), (1_700_000_600, 0))
    (scanned,) = scan_cache_dir(cache).repos
    for _ in range(2):
        info = listed()["org/twice"]
        assert info.on_disk is not None
        assert (info.on_disk.size, info.on_disk.used, info.revision) == (5002, 1_700_000_600, commit)
        assert (info.on_disk.size, info.on_disk.used) == (scanned.size_on_disk, int(scanned.last_accessed))
        assert info.size_of("*") == 10002


def test_branches_and_tags_are_listed_beside_main_unless_they_are_the_same(cache: Path) -> None:
    main = cache_repository(cache, "org/m", WEIGHTS)
    (cache / "models--org--m" / "refs" / "same").write_text(main)
    old = cache_repository(cache, "org/m", {**WEIGHTS, "old.json": b"{}"}, "refs/pr/1")
    assert {id: info.revision for id, info in listed().items()} == {"org/m": main, "org/m@refs/pr/1": old}


def test_what_was_downloaded_by_commit_is_listed_by_it(cache: Path) -> None:
    commit = cache_repository(cache, "org/m", WEIGHTS, None)
    info = listed()[f"org/m@{commit}"]
    assert (info.ref.name, info.ref.revision, whole(info)) == ("org/m", commit, True)


def test_a_part_of_a_download_is_not_whole(cache: Path) -> None:
    cache_repository(cache, "org/no-weights", {"config.json": b"{}"})
    cache_repository(cache, "org/part", {"config.json": b"{}", "m-00001-of-00002.safetensors": b"1" * 100}, None)
    cache_repository(cache, "org/quants", QUANTS)
    cache_repository(cache, "org/pipe", {"model_index.json": b"{}", "unet/model.safetensors": b"u"})
    for name in ("org/part", "org/nothing-named", "org/quants", "org/pipe"):
        left = repository_folder(cache, name) / "blobs" / "abc.incomplete"
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(b"x" * 300)
    found = listed()
    assert {id: whole(info) for id, info in found.items()} == {
        "org/no-weights": False,
        "org/nothing-named": False,
        "org/part": False,
        "org/pipe": False,
        "org/quants": True,
    }
    sizes = {id: info.on_disk.size for id, info in found.items() if info.on_disk is not None}
    assert (sizes["org/part"], sizes["org/nothing-named"], sizes["org/quants"]) == (402, 300, 12003)


def test_what_is_no_model_of_the_cache_is_left_out(cache: Path) -> None:
    (cache / ".locks" / "models--org--m").mkdir(parents=True)
    (cache / "models--org--empty" / "blobs").mkdir(parents=True)
    cache_repository(cache, "org/broken", WEIGHTS)
    (cache / "models--org--broken" / "refs" / "gone").write_text("0" * 40)
    assert list(listed()) == ["org/broken"]


def test_a_repository_is_deleted_with_all_that_it_has(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    cache_repository(cache, "org/m", {**WEIGHTS, "old.json": b"[]"}, "v1")
    (cache / "models--org--m" / "blobs" / "x.incomplete").write_bytes(b"x" * 70)
    cache_repository(cache, "org/other", WEIGHTS)
    before = names(cache / "models--org--other")
    # The commits that the branches name are 40 bytes each.
    assert delete("org/m") == 5002 + 2 + 70 + 2 * 40
    assert not (cache / "models--org--m").exists()
    assert names(cache / "models--org--other") == before


@pytest.mark.parametrize("by", ["ref", "commit"])
def test_a_revision_is_deleted_alone_with_what_no_other_refers_to(cache: Path, by: str) -> None:
    main = cache_repository(cache, "org/m", WEIGHTS)
    old = cache_repository(cache, "org/m", {**WEIGHTS, "old.json": b"[0, 1]"}, "v1")
    assert delete(f"org/m@{'v1' if by == 'ref' else old}") == 6 + 40
    assert list(listed()) == ["org/m"]
    (repository,) = scan_cache_dir(cache).repos
    assert {revision.commit_hash for revision in repository.revisions} == {main}
    assert repository.size_on_disk == 5002
    assert delete("org/m@main") > 5002
    assert not (cache / "models--org--m").exists()


def test_a_revision_that_is_not_there_is_told_with_those_that_are(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    cache_repository(cache, "org/m", {**WEIGHTS, "old.json": b"[]"}, "v1")
    for revision in ("v2", "../refs/main", "../../models--org--m/refs/main"):
        with pytest.raises(ModelNotFound, match="on this machine; it has main, v1"):
            delete(f"org/m@{revision}")


def test_files_are_deleted_in_every_revision_with_their_blobs(cache: Path) -> None:
    cache_repository(cache, "org/m", {**QUANTS, "q8/m-Q8_0-00001-of-00002.gguf": b"a" * 10})
    cache_repository(cache, "org/m", {**QUANTS, "config.json": b"{}"}, "v1")
    assert delete("org/m", "m-Q8_0.gguf") == 8000
    assert delete("org/m", "q8/m-Q8_0-00001-of-00002.gguf") == 10
    (repository,) = scan_cache_dir(cache).repos
    there = {
        file.file_path.relative_to(revision.snapshot_path).as_posix()
        for revision in repository.revisions
        for file in revision.files
    }
    assert there == {"m-Q4_K_M.gguf", "README.md", "config.json"}
    assert repository.size_on_disk == 4000 + 3 + 2
    assert not list(cache.rglob("q8"))


def test_a_blob_that_another_name_still_means_stays(cache: Path) -> None:
    cache_repository(cache, "org/m", {**QUANTS, "copy-Q8_0.gguf": QUANTS["m-Q8_0.gguf"]})
    assert delete("org/m", "m-Q8_0.gguf") == 0
    assert delete("org/m", "copy-Q8_0.gguf") == 8000


def test_a_download_that_left_no_name_is_deleted(cache: Path) -> None:
    left = cache / "models--org--m" / "blobs" / "abc.incomplete"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * 300)
    assert delete("org/m") == 300
    assert names(cache) == []


def test_a_damaged_cache_is_deleted_as_a_whole_only(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    next((cache / "models--org--m" / "blobs").iterdir()).unlink()
    with pytest.raises(BadRequest, match="DELETE /v1/models/org/m deletes all of it"):
        delete("org/m@main")
    delete("org/m")
    assert not (cache / "models--org--m").exists()


@pytest.mark.parametrize(
    "name", ["org/none", "..", "../hub/models--org--m", "/etc", "org", "org/../m", "", "org--m", "*", "org/*", "."]
)
def test_no_other_name_deletes_anything(cache: Path, name: str) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    before = names(cache)
    assert source.delete_model(ModelRef.parse(name), ()) is None
    assert names(cache) == before


def test_links_out_of_the_cache_are_never_followed(cache: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious.safetensors").write_bytes(b"p" * 90)
    # A link to a file, in a revision that is deleted beside another.
    cache_repository(cache, "org/file", WEIGHTS)
    old = cache_repository(cache, "org/file", {**WEIGHTS, "old.json": b"[]"}, "v1")
    (cache / "models--org--file" / "snapshots" / old / "x.safetensors").symlink_to(mine / "precious.safetensors")
    assert delete("org/file@v1") == 2 + 40
    # Folders that are links.
    cache_repository(cache, "org/folder", WEIGHTS)
    (cache / "models--org--folder" / "snapshots" / "more").symlink_to(mine)
    assert delete("org/folder") > 5000
    cache_repository(cache, "org/moved", QUANTS)
    cache_repository(cache, "org/moved", {**QUANTS, "old.json": b"[]"}, "v1")
    (cache / "models--org--moved" / "snapshots").rename(mine / "snapshots")
    (cache / "models--org--moved" / "snapshots").symlink_to(mine / "snapshots")
    for files in ((), ("m-Q8_0.gguf",)):
        with pytest.raises(Forbidden, match="links to folders elsewhere"):
            delete("org/moved@v1", *files)
    # The repository itself.
    (cache / "models--org--link").symlink_to(mine)
    with pytest.raises(Forbidden, match="only a link in the cache"):
        delete("org/link")
    assert (mine / "precious.safetensors").read_bytes() == b"p" * 90
    assert len(list((mine / "snapshots").iterdir())) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="who may do everything is refused nothing")
def test_a_cache_that_may_not_be_written_is_told_as_such_and_stays_whole(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    before = names(cache)
    for place in (cache, cache / "models--org--m" / "blobs"):
        place.chmod(0o500)
        with pytest.raises(Forbidden, match="may not write in the HuggingFace cache"):
            delete("org/m")
        place.chmod(0o700)
    assert names(cache) == before
