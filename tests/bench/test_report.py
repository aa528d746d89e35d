from pathlib import Path

import pytest

from bench.comparison import Comparison, Found, Goal, percentile, ratio
from bench.report import number, page_table, table


def comparison(*goals: Goal) -> Comparison:
    return Comparison("8 clients", "tokens a second", "tokens/s", {"ours": [30.0, 33.0], "theirs": [20.0, 20.0]}, goals)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert ratio([1.0, 10.0, 9.0], [1.0, 5.0, 3.0]) == 2.0


def test_a_percentile_is_the_value_that_a_share_of_all_does_not_exceed() -> None:
    assert percentile(range(100), 0.95) == 95
    assert percentile([3.0], 0.95) == 3.0


def test_a_goal_is_a_ratio_to_another_contender_or_a_value_of_the_first() -> None:
    met, missed, absolute = Goal("theirs", least=1.5), Goal("theirs", most=1.5), Goal(least=31.0)
    found = comparison(met, missed, absolute)
    assert found.value(met) == pytest.approx(1.575)
    assert found.value(absolute) == 31.5
    assert found.missed() == [missed]


def test_a_goal_about_a_contender_that_is_left_out_is_forgotten() -> None:
    assert comparison(Goal("another", least=2.0), Goal(least=1.0)).goals == (Goal(least=1.0),)


def test_numbers_have_the_digits_that_say_something() -> None:
    assert [number(each) for each in (1234.5, 12.34, 1.234, 0.01234, 0.99996)] == [
        *("1234", "12.3", "1.23", "0.0123", "0.999960"),
    ]


def test_one_table_has_a_row_for_each_contender_with_ratio_and_goal() -> None:
    found = Found("a model", [comparison(Goal("theirs", least=1.5)), comparison(Goal("theirs", most=1.0))], ["a note"])
    lines = table({"chat": found, "turns": Found("left out", [])}).splitlines()
    assert lines[0].split() == ["median", "(lowest", "to", "highest)", "ratio", "goal"]
    assert lines[2:4] == ["chat: a model", "  a note"]
    assert lines[4].split("  ")[:3] == ["8 clients", "tokens a second", "ours"]
    assert lines[5].endswith("1.57   at least 1.5: met")
    assert lines[7].endswith("1.57   at most 1: missed")
    # What stands in the row above is not said again.
    assert lines[7].startswith(" " * len("8 clients  tokens a second  "))
    assert lines[-1] == "turns: left out"


def test_a_page_has_a_table_for_each_measurement() -> None:
    drawn = page_table(Found("a model", [comparison(Goal("theirs", least=1.5))], ["a note"])).splitlines()
    assert drawn[:2] == ["A model.", "A note."]
    assert drawn[5] == "| 8 clients | tokens a second | ours | 31.5 tokens/s (30.0 to 33.0) |  |  |"
    assert drawn[6] == "|  |  | theirs | 20.0 tokens/s (20.0 to 20.0) | 1.57 | at least 1.5: met |"


def test_the_page_about_speed_equals_what_its_results_draw() -> None:
    from bench.drawing import PAGE, drawn

    page = PAGE.read_text("utf-8")
    assert page == drawn(page), "run python -m bench draw"
    assert Path(PAGE).name in (PAGE.parents[1] / "index.md").read_text("utf-8")
