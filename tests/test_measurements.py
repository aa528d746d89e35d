"""What models really took: what of it counts, and that it is kept."""

from pathlib import Path

import pytest

from universal_core import Backend, Claim, MemoryEstimate, ModelFile, ModelInfo, ModelRef
from universal_core.entry import Plan
from universal_core.measurements import KEPT, Measured, Measurements, correct

BACKEND = Backend(name="b", model="no.such:Model", tasks=("chat",))


def plan(name: str = "org/m", size: int = 300, **options: object) -> Plan:
    info = ModelInfo(id=name, ref=ModelRef.parse(name), source="test", files=(ModelFile("weights", size),))
    claim = Claim(backend="b", tasks=("chat",), reason="test")
    return Plan(name=name, info=info, claim=claim, backend=BACKEND, options=options)


@pytest.mark.parametrize(
    ("taken", "total"),
    [
        (250, 350),  # smaller weights than the estimate's, and all of the rest still to come
        (320, 400),  # some of the rest is there already
        (450, 450),  # more than was thought
    ],
)
def test_what_a_model_takes_stands_in_for_what_its_weights_were_thought_to_take(taken: int, total: int) -> None:
    estimate = MemoryEstimate(weights=300, working=60, cache=30, host=10)
    assert correct(estimate, "cpu", Measured(taken, 0)).total == total


@pytest.mark.parametrize(("taken", "there"), [(250, 340), (320, 390), (450, 450)])
def test_on_an_accelerator_the_process_is_counted_by_itself(taken: int, there: int) -> None:
    found = correct(MemoryEstimate(weights=300, working=60, cache=30, host=10), "cuda:0", Measured(77, taken))
    assert found.host == 77
    assert found.weights + found.working + found.cache == there


def test_the_most_that_was_measured_is_kept_for_the_same_files_options_and_kind_of_device(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "measured.json"
    measurements = Measurements(str(path))
    measurements.note(plan(), "cpu", Measured(500, 0))
    measurements.note(plan(), "cpu", Measured(400, 0))
    again, estimate = Measurements(str(path)), MemoryEstimate(weights=300)
    assert again.corrected(plan(), estimate, "cpu").total == 500
    assert again.corrected(plan(size=301), estimate, "cpu") == estimate
    assert again.corrected(plan(slots=4), estimate, "cpu") == estimate
    assert again.corrected(plan(), estimate, "cuda:0") == estimate
    again.note(plan(), "cuda:0", Measured(5, 700))
    assert again.corrected(plan(), estimate, "cuda:1").weights == 700


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    Measurements().note(plan(), "cpu", Measured(500, 0))
    assert not any(tmp_path.iterdir())


def test_a_file_that_cannot_be_read_or_written_costs_nothing_but_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "measured.json"
    path.write_text("no JSON")
    measurements = Measurements(str(path))
    assert measurements.corrected(plan(), MemoryEstimate(1), "cpu") == MemoryEstimate(1)
    assert "measured again" in caplog.text
    (tmp_path / "file").write_text("")
    Measurements(str(tmp_path / "file" / "measured.json")).note(plan(), "cpu", Measured(1, 0))
    assert "cannot be kept" in caplog.text


def test_no_more_are_kept_than_are_worth_it(tmp_path: Path) -> None:
    measurements = Measurements()
    for number in range(KEPT + 1):
        measurements.note(plan(f"org/m{number}"), "cpu", Measured(9, 0))
    assert measurements.corrected(plan("org/m0"), MemoryEstimate(), "cpu").total == 0
    assert measurements.corrected(plan("org/m1"), MemoryEstimate(), "cpu").total == 9
