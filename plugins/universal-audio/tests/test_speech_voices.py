"""What voices are called, which languages they speak, and how they are mixed."""

import pytest

from universal_audio.speech.voices import FIRST, Share, describe, ordered, parse_mix
from universal_core import BadRequest, Voice

KNOWN = ["af_heart", "af_bella", "am_adam", "af_alloy"]


@pytest.mark.parametrize(
    ("id", "name", "language"),
    [
        ("af_heart", "Heart (American Female)", "en-US"),
        ("am_adam", "Adam (American Male)", "en-US"),
        ("bf_emma", "Emma (British Female)", "en-GB"),
        ("bm_george", "George (British Male)", "en-GB"),
        ("ef_dora", "Dora (Spanish Female)", "es"),
        ("ff_siwis", "Siwis (French Female)", "fr-FR"),
        ("hm_omega", "Omega (Hindi Male)", "hi"),
        ("if_sara", "Sara (Italian Female)", "it"),
        ("jf_gongitsune", "Gongitsune (Japanese Female)", "ja"),
        ("pf_dora", "Dora (Brazilian Portuguese Female)", "pt-BR"),
        ("zf_xiaobei", "Xiaobei (Chinese Female)", "zh"),
        ("my_own_voice", "Own Voice", None),
        ("narrator", "Narrator", None),
    ],
)
def test_the_name_of_a_voice_tells_who_speaks_what(id: str, name: str, language: str | None) -> None:
    assert describe(id) == Voice(id=id, name=name, language=language)


def test_the_eleven_usual_voices_come_first() -> None:
    assert ordered(["zf_xiaobei", "am_adam", "bm_lewis", "af_alloy", *FIRST])[:12] == [*FIRST, "af_alloy"]
    assert len(FIRST) == 11


def test_a_name_alone_is_all_of_the_mix() -> None:
    assert parse_mix("af_bella", KNOWN) == [Share("af_bella", 1.0)]


def test_voices_are_mixed_in_equal_parts_or_by_weights() -> None:
    assert parse_mix("af_heart+am_adam", KNOWN) == [Share("af_heart", 0.5), Share("am_adam", 0.5)]
    assert parse_mix("af_heart(3) + am_adam(1)", KNOWN) == [Share("af_heart", 0.75), Share("am_adam", 0.25)]
    assert parse_mix("af_heart(.5)+am_adam(0.5)", KNOWN) == [Share("af_heart", 0.5), Share("am_adam", 0.5)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alloy", "there is no 'alloy'; did you mean af_alloy"),
        ("af_hart", "did you mean af_heart"),
        ("xyz", "there are af_heart, af_bella, am_adam, af_alloy"),
        ("af_heart+nobody", "there is no 'nobody'"),
        ("af_heart(x)", "names and weights such as"),
        ("af_heart+", "names and weights such as"),
        ("", "names and weights such as"),
        ("../secret", "names and weights such as"),
        ("af_heart(0)", "the weights"),
    ],
)
def test_a_voice_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadRequest, match="voice: ") as raised:
        parse_mix(text, KNOWN)
    assert words in raised.value.message
    assert raised.value.param == "voice"
