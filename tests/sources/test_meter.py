"""How far a download has come, as it is told: the speed of the last seconds, the time left, and only changes."""

from concurrent.futures import CancelledError

import pytest

from universal_core import Progress, Transfer
from universal_core.sources.meter import Meter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[Progress]:
    return []


@pytest.fixture
def meter(told: list[Progress], clock: Clock) -> Meter:
    return Meter(told.append, files=2, size=1000, clock=clock)


def transfer(told: list[Progress]) -> Transfer:
    assert told[-1].transfer is not None
    return told[-1].transfer


def test_the_speed_is_that_of_the_last_seconds(meter: Meter, clock: Clock, told: list[Progress]) -> None:
    for second in range(1, 11):
        clock.now = float(second)
        meter.received(10 if second <= 5 else 50)
        meter.tell()
    assert (transfer(told).bytes_per_second, transfer(told).bytes_done) == (50.0, 300)
    assert transfer(told).seconds_left == 14.0


def test_there_is_no_speed_in_the_first_moment(meter: Meter, clock: Clock, told: list[Progress]) -> None:
    clock.now = 0.2
    meter.received(500)
    meter.tell()
    assert (transfer(told).bytes_per_second, transfer(told).seconds_left) == (None, None)


def test_a_download_that_stands_still_says_so(meter: Meter, clock: Clock, told: list[Progress]) -> None:
    meter.received(500)
    for clock.now in (1.0, 4.0, 7.0, 10.0):
        meter.tell()
    assert (transfer(told).bytes_per_second, transfer(told).seconds_left) == (0.0, None)


def test_what_was_here_before_is_done_and_says_nothing_of_the_speed(
    meter: Meter, clock: Clock, told: list[Progress]
) -> None:
    meter.present(400, files=1)
    clock.now = 2.0
    meter.received(100)
    meter.tell()
    assert told == [
        Progress(
            "downloading",
            0.5,
            Transfer(files=2, files_done=1, bytes=1000, bytes_done=500, bytes_per_second=50.0, seconds_left=10.0),
        )
    ]
    assert str(told[0]) == "downloading 50% of 1.0 KB, 50 B/s, 10 s left"


def test_what_is_here_and_not_yet_compared_is_being_checked(meter: Meter, told: list[Progress]) -> None:
    meter.to_check(800)
    meter.present(200)
    meter.received(800)
    meter.checked(200)
    meter.tell()
    assert (told[0].stage, told[0].fraction) == ("checking", 0.25)
    meter.checked(600)
    meter.finish_file()
    meter.tell()
    assert (told[1].stage, told[1].fraction, transfer(told).files_done) == ("downloading", 1.0, 1)


def test_what_has_not_changed_is_not_told_again(meter: Meter, told: list[Progress]) -> None:
    meter.tell()
    meter.tell()
    assert len(told) == 1


def test_nothing_to_download_is_all_of_it(told: list[Progress], clock: Clock) -> None:
    Meter(told.append, files=0, size=0, clock=clock).tell()
    assert told[0].fraction == 1.0


def test_threads_that_count_end_when_it_is_stopped(meter: Meter) -> None:
    meter.stop()
    with pytest.raises(CancelledError):
        meter.received(1)
