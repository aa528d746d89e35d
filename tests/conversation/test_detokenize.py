"""Text from tokens that are single bytes: the hardest case there is."""

import random

from universal_core.conversation import Detokenizer

BROKEN = "\N{REPLACEMENT CHARACTER}"


def decode(tokens: list[int]) -> str:
    return bytes(tokens).decode(errors="replace")


def decode_without_first_space(tokens: list[int]) -> str:
    """Decode as SentencePiece does: the space at the beginning of a text is not part of it."""
    return decode(tokens).removeprefix(" ")


def feed_all(text: bytes) -> list[str]:
    detokenizer = Detokenizer(decode)
    return [*map(detokenizer.feed, text), detokenizer.flush()]


def test_a_character_comes_out_whole_with_its_last_byte() -> None:
    assert feed_all("aé😀b".encode()) == ["a", "", "é", "", "", "", "😀", "b", ""]


def test_any_text_comes_out_as_it_went_in() -> None:
    letters = random.Random(0).choices("abc äß 漢字 😀👩‍👩‍👧 \n", k=300)
    pieces = feed_all("".join(letters).encode())
    assert "".join(pieces) == "".join(letters)
    assert not any(BROKEN in piece for piece in pieces)


def test_an_unfinished_character_is_told_at_the_end() -> None:
    assert feed_all("a😀".encode()[:-1]) == ["a", "", "", "", BROKEN]


def test_bytes_that_are_no_text_are_not_held_back_for_ever() -> None:
    pieces = feed_all(b"\xff" * 100 + b"ok")
    assert "".join(pieces) == BROKEN * 100 + "ok"
    assert max(len(piece) for piece in pieces) <= 9


def test_the_space_between_prompt_and_answer_is_kept() -> None:
    alone = Detokenizer(decode_without_first_space)
    after = Detokenizer(decode_without_first_space, before=list(b"Once"))
    assert "".join(map(alone.feed, b" upon a")) == "upon a"
    assert "".join(map(after.feed, b" upon a")) == " upon a"


def test_a_character_begun_by_the_prompt_is_finished_by_the_answer() -> None:
    start, end = "é".encode()
    assert Detokenizer(decode, before=[start]).feed(end) == "é"


def test_the_cost_of_a_token_does_not_grow() -> None:
    longest = 0

    def counting(tokens: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(tokens))
        return decode(tokens)

    detokenizer = Detokenizer(counting)
    for byte in ("long text " * 200).encode():
        detokenizer.feed(byte)
    assert longest <= 3


def test_tokens_without_text_do_not_pile_up() -> None:
    longest = 0

    def silent(tokens: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(tokens))
        return ""

    detokenizer = Detokenizer(silent)
    assert not any(detokenizer.feed(token) for token in range(1000))
    assert longest <= 32
