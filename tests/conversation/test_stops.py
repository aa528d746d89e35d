"""Stop strings, in whatever pieces the text comes."""

import itertools

from universal_core.conversation import StopMatcher


def run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    matcher, out = StopMatcher(stops), ""
    for piece in pieces:
        text, stopped = matcher.feed(piece)
        out += text
        if stopped:
            return out, True
    return out + matcher.flush(), False


def cuts(text: str) -> list[list[str]]:
    """Return every way to cut a text into pieces."""
    ways = []
    for marks in itertools.product((False, True), repeat=len(text) - 1):
        pieces = [text[0]]
        for mark, letter in zip(marks, text[1:], strict=True):
            if mark:
                pieces.append(letter)
            else:
                pieces[-1] += letter
        ways.append(pieces)
    return ways


def test_nothing_of_a_stop_string_gets_through_however_the_text_is_cut() -> None:
    for pieces in cuts("one END two"):
        assert run(["END"], pieces) == ("one ", True), pieces


def test_a_false_start_inside_the_text_hides_no_later_match() -> None:
    for pieces in cuts("aab aaac"):
        assert run(["aac"], pieces) == ("aab a", True), pieces


def test_text_is_held_back_only_while_it_can_still_match() -> None:
    matcher = StopMatcher(["</end>"])
    assert matcher.feed("hello <") == ("hello ", False)
    assert matcher.feed("/e") == ("", False)
    assert matcher.feed("x") == ("</ex", False)


def test_what_is_held_back_comes_out_at_the_end() -> None:
    assert run(["STOP"], ["abc", "ST"]) == ("abcST", False)


def test_the_first_of_several_stop_strings_wins() -> None:
    assert run(["world", "lo w"], ["hello world"]) == ("hel", True)


def test_without_stop_strings_everything_passes_at_once() -> None:
    assert run([], ["a", "b"]) == ("ab", False)
    assert run([""], ["a", "b"]) == ("ab", False)


def test_a_stop_string_may_be_the_whole_text() -> None:
    assert run(["\n"], ["\n"]) == ("", True)


def test_which_stop_string_ended_the_text_is_told() -> None:
    for pieces in cuts("say END or STOP"):
        matcher = StopMatcher(["STOP", "END", "never"])
        assert matcher.found is None
        next(stopped for piece in pieces if (stopped := matcher.feed(piece)[1]))
        assert matcher.found == "END"
