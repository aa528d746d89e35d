"""The folder of pictures: names, writing without ever overwriting, looking up, and making room."""

import os
import re
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from universal_core.config import ImagesConfig
from universal_core.errors import NotFound, StorageFailed
from universal_core.gallery import ABANDONED, LONGEST_MODEL, SPARED, Gallery, name_of
from universal_core.messages import Picture

MOMENT = time.strptime("2026-01-02 03:04:05", "%Y-%m-%d %H:%M:%S")


def picture(data: bytes = b"a picture", **fields: int) -> Picture:
    return Picture(data=data, format="png", width=1, height=1, **{"seed": 7, "index": 0, **fields})


def gallery(folder: Path, max_age: float = 0.0, max_bytes: int = 0) -> Gallery:
    return Gallery(ImagesConfig(outputs=str(folder), max_age=max_age, max_bytes=max_bytes))


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment), follow_symlinks=False)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no larger files, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("org/model", "org_model_20260102_030405_7_0"),
        ("org/model@main:fp16", "org_model_main_fp16_20260102_030405_7_0"),
        ("/srv/models/my model", "srv_models_my_model_20260102_030405_7_0"),
        ("../../etc/..", "etc_.._20260102_030405_7_0"),
        ("C:\\models\\é", "C__models___20260102_030405_7_0"),
        ("..", "model_20260102_030405_7_0"),
    ],
)
def test_a_name_says_model_time_seed_and_place(model: str, name: str) -> None:
    assert name_of(picture(), model, MOMENT) == name


def test_a_long_name_of_a_model_is_cut_and_keeps_its_end() -> None:
    name = name_of(picture(seed=2**32 - 1, index=9), "a" * 500 + "end", MOMENT)
    assert name.startswith("a" * (LONGEST_MODEL - 3) + "end_2026")


def test_a_picture_is_saved_in_a_folder_that_is_made(tmp_path: Path) -> None:
    shelf = gallery(tmp_path / "some" / "where")
    path = shelf.save(picture(), "org/model")
    assert path.read_bytes() == b"a picture"
    assert path.parent == tmp_path / "some" / "where"
    assert re.fullmatch(r"org_model_\d{8}_\d{6}_7_0\.png", path.name)
    assert names_in(path.parent) == {path.name}


def test_the_folder_may_be_below_the_home_of_the_user(tmp_path: Path) -> None:
    assert Gallery(ImagesConfig()).save(picture(), "m").is_relative_to(tmp_path / ".universal" / "outputs" / "images")


def test_pictures_that_would_have_one_name_get_several(tmp_path: Path) -> None:
    shelf = gallery(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(lambda number: shelf.save(picture(b"%d" % number), "m"), range(40)))
    assert len(set(paths)) == 40
    assert {int(path.read_bytes()) for path in paths} == set(range(40))
    assert all(shelf.find(path.name)[0] == path for path in paths)


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    shelf = gallery(tmp_path)
    first = shelf.save(picture(b"first"), "m")
    outside = tmp_path / "outside"
    first.rename(outside)
    first.symlink_to(outside)
    shelf.save(picture(b"second"), "m")
    assert outside.read_bytes() == b"first"


def test_a_file_system_without_links_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    shelf = gallery(tmp_path)
    paths = {shelf.save(picture(data), "m"): data for data in (b"one", b"two")}
    assert {path: path.read_bytes() for path in paths} == paths
    assert len(names_in(tmp_path)) == 2


def test_a_full_disk_is_told_with_the_setting_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shelf = gallery(tmp_path)
    with largest_file(1000), pytest.raises(StorageFailed, match=r"File too large.*images\.outputs"):
        shelf.save(picture(bytes(100_000)), "m")
    assert names_in(tmp_path) == set()


def test_a_folder_that_cannot_be_made_is_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match=r"Not a directory.*images\.outputs"):
        gallery(tmp_path / "file" / "images").prepare()


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "notes.txt", "../secret_20260102_030405_7_0.png", "/etc/passwd"),
        *("a/b_20260102_030405_7_0.png", "a\\b_20260102_030405_7_0.png", "a\0_20260102_030405_7_0.png"),
        *("m_20260102_030405_7_0.svg", "m_20260102_030405_7_0.png\n", ".m_20260102_030405_7_0.png"),
        "nothing_20260102_030405_7_0.png",
    ],
)
def test_nothing_else_is_found(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "notes.txt").write_text("secret")
    (tmp_path / "secret_20260102_030405_7_0.png").write_text("secret")
    with pytest.raises(NotFound):
        gallery(folder).find(name)


def test_a_link_and_a_folder_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "m_20260102_030405_7_0.png").symlink_to(tmp_path / "secret")
    (tmp_path / "m_20260102_030405_7_1.png").mkdir()
    for name in ("m_20260102_030405_7_0.png", "m_20260102_030405_7_1.png"):
        with pytest.raises(NotFound):
            gallery(tmp_path).find(name)


def test_pictures_over_the_age_go(tmp_path: Path) -> None:
    shelf = gallery(tmp_path, max_age=1000.0)
    old, new = (shelf.save(picture(index=index), "m") for index in (0, 1))
    age(old, 1100)
    age(new, 900)
    shelf.sweep()
    assert names_in(tmp_path) == {new.name}


def test_the_oldest_make_room(tmp_path: Path) -> None:
    shelf = gallery(tmp_path, max_bytes=250)
    paths = [shelf.save(picture(bytes(100), index=index), "m") for index in range(4)]
    for path, seconds in zip(paths, (300, 500, 400, 200), strict=True):
        age(path, seconds)
    shelf.sweep()
    assert names_in(tmp_path) == {paths[0].name, paths[3].name}


def test_pictures_of_the_last_minute_stay_whatever_the_limits_are(tmp_path: Path) -> None:
    shelf = gallery(tmp_path, max_age=1.0, max_bytes=1)
    old, new, future = (shelf.save(picture(index=index), "m") for index in range(3))
    age(old, SPARED + 10)
    age(new, SPARED - 10)
    age(future, -1000)
    shelf.sweep()
    assert names_in(tmp_path) == {new.name, future.name}


def test_what_is_of_others_stays_and_what_a_write_left_behind_goes(tmp_path: Path) -> None:
    shelf = gallery(tmp_path, max_age=1.0, max_bytes=1)
    stays = [tmp_path / name for name in ("notes.txt", "photo.png", ".0123456789abcdef.part", ".hidden")]
    goes = tmp_path / ".fedcba9876543210.part"
    for path in (*stays, goes):
        path.write_text("something")
        age(path, ABANDONED * 2)
    age(stays[2], ABANDONED / 2)
    link, folder = tmp_path / "m_20260102_030405_7_0.png", tmp_path / "m_20260102_030405_7_1.png"
    link.symlink_to(stays[0])
    folder.mkdir()
    shelf.sweep()
    assert names_in(tmp_path) == {path.name for path in (*stays, link, folder)}


def test_nothing_is_removed_where_there_are_no_limits_and_no_folder_is_needed(tmp_path: Path) -> None:
    shelf = gallery(tmp_path / "images")
    shelf.sweep()
    path = shelf.save(picture(), "m")
    age(path, 10**9)
    gallery(tmp_path / "images").sweep()
    assert path.exists()


def test_the_folder_is_looked_through_once_a_minute(tmp_path: Path) -> None:
    shelf = gallery(tmp_path, max_age=1000.0)
    shelf.sweep()
    path = shelf.save(picture(), "m")
    age(path, 2000)
    shelf.sweep()
    assert path.exists()
    gallery(tmp_path, max_age=1000.0).sweep()
    assert not path.exists()
