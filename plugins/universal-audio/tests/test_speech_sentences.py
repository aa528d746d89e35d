"""Where texts are cut: between sentences, and never after what only looks like the end of one."""

import pytest

from universal_audio.speech.sentences import LONGEST, cut, split, whole

# Language and sentences; a bar stands where the text is to be cut.
TEXTS = [
    ("en", "Dr. Smith paid $5.50 to Mr. Jones at 3 p.m. yesterday. |He lives in the U.S. and works hard. |Why?"),
    ("en", "It is 3.14 or 1,000.5, e.g. here. |See p. 5! |Yes. |No."),
    ("en", "J. R. R. Tolkien wrote it. |1. Buy milk. |2. Go home."),
    ("en", "I am fine... really. |Well then."),
    ("es", "El Sr. García llegó a las 3.30. |¿Cómo estás? |¡Bien! |La Dra. López no."),
    ("fr-FR", "M. Dupont est là. |Qu'est-ce que c'est ? |C'est 3,5 km."),
    ("it", "Il dott. Rossi è qui. |Sono le 3.30. |Bene!"),
    ("pt-BR", "O Sr. Silva chegou. |A Dra. Ana saiu às 3.30. |Sim!"),
    ("hi", "यह पहला वाक्य है। |यह दूसरा वाक्य है। |क्या हाल है?"),
    ("ja", "今日は良い天気です。|はい！|元気ですか？"),  # noqa: RUF001
    ("zh", "今天天气很好。|你好吗？|很好！"),  # noqa: RUF001
    ("xx", "An unknown tongue. |Cut all the same."),
]


@pytest.mark.parametrize(("language", "marked"), TEXTS, ids=lambda value: value[:8])
def test_a_text_is_cut_between_its_sentences(language: str, marked: str) -> None:
    assert split(marked.replace("|", ""), language) == marked.split("|")


@pytest.mark.parametrize("text", ["", " ", "...", "No.\n\nNew paragraph.\nNew line.", "👍 Good. 👍👍", "a" * 2000])
def test_the_pieces_are_the_text(text: str) -> None:
    assert "".join(split(text)) == text


def test_a_sentence_that_is_too_long_is_cut_at_its_greatest_pause() -> None:
    clauses = "some words, more words; " * 40
    pieces = split(clauses)
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert all(piece.endswith("; ") for piece in pieces[:-1])
    assert "".join(pieces) == clauses


def test_what_has_no_pause_is_cut_anywhere() -> None:
    assert list(map(len, cut("x" * 25, 10))) == [10, 10, 5]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("", ""),
        ("  ", ""),
        ("Hello there", ""),
        ("Hello there.", ""),
        ("Hello there. ", "Hello there. "),
        ("Hello there. How", "Hello there. "),
        ("One! Two? Three", "One! Two? "),
        ("It is 3.", ""),
        ("It is 3.1", ""),
        ("Hi Dr. ", ""),
        ("At 3 p.m. ", ""),
    ],
)
def test_of_a_text_that_goes_on_only_whole_sentences_are_taken(text: str, spoken: str) -> None:
    assert text[: whole(text, "en")] == spoken


@pytest.mark.parametrize(("language", "text"), [("ja", "はい。"), ("zh", "走吧。"), ("hi", "यह पहला वाक्य है।")])
def test_where_an_end_is_certain_nothing_is_waited_for(language: str, text: str) -> None:
    assert whole(text, language) == len(text)
