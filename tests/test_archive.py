"""The file of conversations: what is kept is there again, whoever opens it, until it is too old or too much."""

import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest

from universal_core.archive import Answer, Archive, Item, Missing
from universal_core.config import ResponsesConfig
from universal_core.errors import PayloadTooLarge, StorageFailed

PLENTY = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "responses.db"


@pytest.fixture
def archive(path: Path) -> Archive:
    return Archive(ResponsesConfig(path=str(path)))


def answer(id: str, previous: str | None = None, size: int = 0) -> Answer:
    items = [Item(f"asked_{id}", b'"?"'), Item(f"said_{id}", b'"!"' + b" " * size, written=True)]
    return Answer(id=id, body=b"{}", items=items, previous=previous)


def ids(archive: Archive, id: str) -> list[str]:
    return [item.id for item in archive.conversation(id, PLENTY)]


def age(path: Path, id: str, seconds: float) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE answer SET used = ? WHERE id = ?", (time.time() - seconds, id))
    database.close()


def test_an_answer_is_found_again_by_another_process(archive: Archive, path: Path) -> None:
    archive.save(answer("a"))
    archive.close()
    assert Archive(ResponsesConfig(path=str(path))).find("a") == answer("a")


def test_a_conversation_is_all_that_led_to_an_answer_in_order(archive: Archive) -> None:
    for id, previous in (("a", None), ("b", "a"), ("other", "a"), ("c", "b")):
        archive.save(answer(id, previous))
    assert ids(archive, "c") == ["asked_a", "said_a", "asked_b", "said_b", "asked_c", "said_c"]
    assert ids(archive, "other") == ["asked_a", "said_a", "asked_other", "said_other"]


def test_a_gap_in_a_conversation_is_told_and_never_passed_over(archive: Archive) -> None:
    for id, previous in (("a", None), ("b", "a"), ("c", "b")):
        archive.save(answer(id, previous))
    archive.remove("a")
    with pytest.raises(Missing) as gap:
        archive.conversation("c", PLENTY)
    assert gap.value.id == "a"
    with pytest.raises(Missing):
        archive.conversation("never", PLENTY)


def test_a_long_conversation_is_read_and_one_that_is_too_long_is_refused(archive: Archive) -> None:
    previous = None
    for number in range(300):
        archive.save(answer(str(number), previous))
        previous = str(number)
    assert len(ids(archive, "299")) == 600
    with pytest.raises(PayloadTooLarge, match=r"takes 2400 bytes, over the limit of 2000"):
        archive.conversation("299", 2000)


def test_what_is_removed_is_gone_with_its_items(archive: Archive, path: Path) -> None:
    archive.save(answer("a"))
    assert archive.written(["said_a", "asked_a", "never"]) == {"said_a": b'"!"'}
    archive.remove("a")
    for act in (archive.find, archive.remove):
        with pytest.raises(Missing):
            act("a")
    assert archive.written(["said_a"]) == {}


def test_nobody_else_of_the_machine_can_read_the_file(archive: Archive, path: Path) -> None:
    archive.save(answer("a"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_limits_may_change_while_it_is_open(path: Path) -> None:
    archive = Archive(ResponsesConfig(path=str(path)))
    archive.configure(ResponsesConfig(path="elsewhere", max_age=100))
    # The first look is made when the first is saved.
    Archive(ResponsesConfig(path=str(path))).save(answer("old"))
    age(path, "old", 101)
    archive.save(answer("new"))
    with pytest.raises(Missing):
        archive.find("old")


def test_what_was_not_used_for_long_is_removed(path: Path) -> None:
    Archive(ResponsesConfig(path=str(path))).save(answer("old"))
    age(path, "old", 101)
    archive = Archive(ResponsesConfig(path=str(path), max_age=100))
    archive.save(answer("new"))
    with pytest.raises(Missing):
        archive.find("old")
    archive.find("new")


def test_going_on_from_an_answer_is_a_use_of_all_before_it(path: Path) -> None:
    before = Archive(ResponsesConfig(path=str(path)))
    before.save(answer("a"))
    before.save(answer("b", "a"))
    for id in ("a", "b"):
        age(path, id, 101)
    before.conversation("b", PLENTY)
    archive = Archive(ResponsesConfig(path=str(path), max_age=100))
    archive.save(answer("c", "b"))
    assert len(ids(archive, "c")) == 6


def test_zero_keeps_for_ever(path: Path) -> None:
    Archive(ResponsesConfig(path=str(path))).save(answer("old", size=1000))
    age(path, "old", 10**9)
    archive = Archive(ResponsesConfig(path=str(path), max_age=0, max_bytes=0))
    archive.save(answer("new"))
    archive.find("old")


def test_too_much_makes_room_and_the_newest_stays(path: Path) -> None:
    before = Archive(ResponsesConfig(path=str(path)))
    for number in range(5):
        before.save(answer(str(number), size=1000))
        age(path, str(number), 100 - number)
    archive = Archive(ResponsesConfig(path=str(path), max_bytes=3500))
    archive.save(answer("new", size=1000))
    assert [id for id in ("0", "1", "2", "3", "4", "new") if is_there(archive, id)] == ["3", "4", "new"]
    archive = Archive(ResponsesConfig(path=str(path), max_bytes=1))
    archive.save(answer("last", size=1000))
    assert [id for id in ("3", "4", "new", "last") if is_there(archive, id)] == ["last"]


def is_there(archive: Archive, id: str) -> bool:
    try:
        archive.find(id)
    except Missing:
        return False
    return True


def test_room_is_given_back_to_the_file_system(path: Path) -> None:
    before = Archive(ResponsesConfig(path=str(path)))
    before.save(answer("big", size=2_000_000))
    before.close()
    age(path, "big", 101)
    assert path.stat().st_size > 2_000_000
    archive = Archive(ResponsesConfig(path=str(path), max_age=100))
    archive.save(answer("new"))
    archive.close()
    assert path.stat().st_size < 200_000


def test_a_folder_that_cannot_be_made_is_told_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    archive = Archive(ResponsesConfig(path=str(tmp_path / "file" / "responses.db")))
    for act in (archive.prepare, lambda: archive.save(answer("a")), lambda: archive.find("a")):
        with pytest.raises(StorageFailed, match=r"responses\.path") as raised:
            act()
        assert raised.value.status == 507


def test_a_file_that_is_something_else_is_told_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a letter, not a database, and somebody may want to read it " * 100)
    with pytest.raises(StorageFailed, match="not a database"):
        Archive(ResponsesConfig(path=str(path))).prepare()
    assert path.read_text().startswith("a letter")


def test_the_file_of_a_newer_server_is_refused(path: Path, archive: Archive) -> None:
    archive.prepare()
    archive.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StorageFailed, match="a newer version of this server made it"):
        archive.prepare()


def test_a_failed_write_keeps_nothing_and_the_next_one_works(archive: Archive) -> None:
    archive.save(answer("a"))
    twice = Answer(id="b", body=b"{}", items=[Item("x", b"1")], previous=None)
    archive.save(twice)
    with pytest.raises(StorageFailed, match="UNIQUE"):
        archive.save(twice)
    archive.save(answer("c", "b"))
    assert ids(archive, "c") == ["x", "asked_c", "said_c"]


def test_a_file_that_went_away_is_made_anew(archive: Archive, path: Path) -> None:
    archive.save(answer("a"))
    for file in path.parent.iterdir():
        file.unlink()
    try:
        archive.save(answer("b"))
    except StorageFailed:
        archive.save(answer("b"))
    archive.close()
    archive.prepare()
    assert path.exists()


def test_many_threads_write_at_once(archive: Archive) -> None:
    threads = [threading.Thread(target=archive.save, args=(answer(str(number)),)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(is_there(archive, str(number)) for number in range(20))


def test_two_servers_share_one_file(path: Path) -> None:
    one, other = (Archive(ResponsesConfig(path=str(path))) for _ in range(2))
    one.save(answer("a"))
    other.save(answer("b", "a"))
    assert ids(one, "b") == ["asked_a", "said_a", "asked_b", "said_b"]
