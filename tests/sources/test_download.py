"""Download progress: bytes of all files together, as a share."""

from universal_core import Progress
from universal_core.sources.download import counting_bar


def test_bytes_of_all_files_are_one_share_of_the_total() -> None:
    reported: list[Progress] = []
    bar = counting_bar(200, reported.append)
    one, two = bar(unit="B", total=100), bar(unit="B", total=100)
    one.update(50)
    two.update(100)
    one.update(50)
    assert [progress.fraction for progress in reported] == [0.25, 0.75, 1.0]
    assert {progress.stage for progress in reported} == {"downloading"}


def test_bars_that_count_files_are_left_out(capsys: object) -> None:
    reported: list[Progress] = []
    bar = counting_bar(10, reported.append)
    files = bar(unit="it", total=3)
    files.update(1)
    assert list(bar(range(3), total=3)) == [0, 1, 2]
    assert reported == []


def test_bytes_that_are_received_and_then_written_are_counted_once() -> None:
    reported: list[Progress] = []
    bar = counting_bar(100, reported.append)
    received = bar(name="huggingface_hub.snapshot_download.transfer", unit="B", unit_scale=True, total=0)
    written = bar(name="huggingface_hub.snapshot_download", unit="B", unit_scale=True, total=0)
    for _ in range(2):
        received.update(25)
        written.update(25)
    assert reported[-1].fraction == 0.5


def test_an_unknown_total_is_reported_without_a_share() -> None:
    reported: list[Progress] = []
    counting_bar(0, reported.append)(unit="B").update(5)
    assert reported == [Progress("downloading")]


def test_a_share_never_goes_over_one() -> None:
    reported: list[Progress] = []
    counting_bar(10, reported.append)(unit="B").update(50)
    assert reported[-1].fraction == 1.0
