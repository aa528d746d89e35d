"""The forms of a transcript, from events that a model might have given."""

import msgspec

from universal_core import Heard, Segment, Usage, Word
from universal_core.openai.languages import language_code, language_name
from universal_core.openai.transcriptions import Deltas
from universal_core.openai.transcripts import Transcript, as_srt, as_text, as_vtt

EVENTS = [
    Segment(
        start=0.0,
        end=1.5,
        text=" Hello there.",
        tokens=(1, 2),
        words=(
            Word(word=" Hello", start=0.0, end=0.7, probability=0.9),
            Word(word=" there.", start=0.7, end=1.5, probability=0.8),
        ),
    ),
    Segment(start=3661.0014, end=3662.9996, text=" Go --> on\n\nplease ", tokens=(3,), no_speech_prob=0.25),
    Heard(duration=3663.2, language="de", language_probability=0.98765),
    Usage(prompt_tokens=150, completion_tokens=3),
]
TRANSCRIPT = Transcript.of(EVENTS)


def test_text_is_one_text() -> None:
    assert as_text(TRANSCRIPT) == "Hello there. Go --> on\n\nplease\n"


def test_srt_is_numbered_from_one_and_has_commas() -> None:
    assert as_srt(TRANSCRIPT) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n01:01:01,001 --> 01:01:03,000\nGo -> on please\n\n"
    )


def test_vtt_has_its_heading_and_points() -> None:
    assert as_vtt(TRANSCRIPT) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n01:01:01.001 --> 01:01:03.000\nGo -> on please\n\n"
    )


def test_json_has_text_and_seconds() -> None:
    assert msgspec.to_builtins(TRANSCRIPT.plain()) == {
        "text": "Hello there. Go --> on\n\nplease",
        "usage": {"type": "duration", "seconds": 3664},
    }


def test_verbose_json_has_what_was_asked_for() -> None:
    found = msgspec.to_builtins(TRANSCRIPT.verbose("transcribe", ()))
    assert (found["task"], found["language"], found["duration"]) == ("transcribe", "german", 3663.2)
    assert [segment["id"] for segment in found["segments"]] == [0, 1]
    assert found["segments"][1] == {
        "id": 1,
        "seek": 0,
        "start": 3661.001,
        "end": 3663.0,
        "text": " Go --> on\n\nplease ",
        "tokens": (3,),
        "temperature": 0.0,
        "avg_logprob": 0.0,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.25,
    }
    assert "words" not in found
    words = msgspec.to_builtins(TRANSCRIPT.verbose("transcribe", ["word"]))
    assert "segments" not in words
    assert words["words"][1] == {"word": "there.", "start": 0.7, "end": 1.5, "probability": 0.8}
    both = msgspec.to_builtins(TRANSCRIPT.verbose("translate", ["word", "segment"]))
    assert both["language"] == "english"
    assert len(both["segments"]) == len(both["words"]) == 2


def test_an_empty_transcript_has_every_form() -> None:
    nothing = Transcript.of([Heard(duration=2.0)])
    assert (as_text(nothing), as_srt(nothing), as_vtt(nothing)) == ("\n", "", "WEBVTT\n\n")
    assert nothing.verbose("transcribe", ()).language == "unknown"
    assert Transcript.of([]).usage.seconds == 0


def test_deltas_are_the_text_of_the_last_event() -> None:
    deltas = Deltas()
    written = deltas.write(EVENTS) + deltas.write([Segment(start=0, end=0, text=" end ")]) + deltas.done()
    events = [msgspec.json.decode(line.removeprefix(b"data: ")) for line in written.strip().split(b"\n\n")]
    *pieces, done = events
    assert {piece["type"] for piece in pieces} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(piece["delta"] for piece in pieces) == done["text"] == "Hello there. Go --> on\n\nplease  end"
    assert done["usage"] == {"type": "tokens", "input_tokens": 150, "output_tokens": 3, "total_tokens": 153}


def test_languages_have_names_and_codes() -> None:
    assert (language_name("de"), language_name("xx"), language_name(None)) == ("german", "xx", "unknown")
    assert (language_code("German"), language_code("de"), language_code("elvish")) == ("de", "de", "elvish")
