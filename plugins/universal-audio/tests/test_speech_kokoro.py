"""Kokoro: what it says is what the library says, for every voice, mix, speed and language."""

import asyncio
import logging
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("kokoro")

from kokoro import KModel, KPipeline

from tiny.folder import info_of
from tiny.kokoro import load_kokoro
from universal_audio.speech import english
from universal_audio.speech.kokoro_model import MOST_PHONEMES, RATE, KokoroModel
from universal_audio.speech.languages import LANGUAGES, open_reader, resolve
from universal_audio.speech.options import KokoroOptions
from universal_core import (
    AudioChunk,
    BadRequest,
    Event,
    ListVoicesRequest,
    LoadFailed,
    SpeakRequest,
    Spoken,
    TaskNotSupported,
    Usage,
)

SENTENCE = "Hello world, this is a test of forty-two things."
SEED = 7


@pytest.fixture(scope="module")
def model(kokoro: Path) -> Iterator[KokoroModel]:
    with closing(load(kokoro)) as found:
        yield found


@pytest.fixture(scope="module")
def reference(kokoro: Path) -> KModel:
    """Return the same weights, loaded by the library itself."""
    return load_kokoro(kokoro)


def load(folder: Path, **options: Any) -> KokoroModel:
    return KokoroModel(info_of(folder), KokoroOptions(**{"device": "cpu", "threads": 1, **options}))


async def gather(model: KokoroModel, request: SpeakRequest) -> list[Event]:
    return [event async for event in model.speak(request)]


def speak(model: KokoroModel, text: str = SENTENCE, **fields: Any) -> list[Event]:
    return asyncio.run(gather(model, SpeakRequest(text=text, **{"seed": SEED, **fields})))


def samples(events: list[Event]) -> Any:
    """Return what was spoken: (n,) in int16."""
    return np.frombuffer(b"".join(event.data for event in events if isinstance(event, AudioChunk)), "<i2")


def pipeline_of(language: str, reference: KModel) -> KPipeline:
    """Return the library's own pipeline, whose English would download spaCy's model when it is made."""
    if language not in "ab":
        return KPipeline(language, "hexgrad/Kokoro-82M", reference)
    pipeline = KPipeline.__new__(KPipeline)
    pipeline.repo_id, pipeline.lang_code, pipeline.model, pipeline.voices = "", language, reference, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.g2p = english.EnglishReader(british=language == "b")
    return pipeline


def expected(
    reference: KModel, text: str, style: Any, language: str = "a", speed: float = 1.0, seed: int = SEED
) -> Any:
    """Return what the library's own pipeline makes of a sentence: (n,) in int16."""
    torch.manual_seed(seed)
    (result,) = pipeline_of(language, reference)(text, voice=style, speed=speed)
    return np.clip(np.rint(result.audio.numpy() * 32768), -32768, 32767).astype(np.int16)


def style_of(folder: Path, voice: str) -> Any:
    return torch.load(folder / "voices" / f"{voice}.pt", weights_only=True)


def same(found: Any, wanted: Any) -> bool:
    """Whether two recordings are the same, but for the last bit, which rounding decides."""
    return len(found) == len(wanted) > 0 and int(np.abs(found.astype(int) - wanted.astype(int)).max()) <= 1


@pytest.mark.parametrize(
    ("voice", "language", "text"),
    [
        ("af_heart", "a", SENTENCE),
        ("am_adam", "a", "Dr. Smith read 3 books for $5.50 (really)!"),
        ("bf_emma", "b", SENTENCE),
        ("ef_dora", "e", "Hola mundo, esto es una prueba."),
    ],
)
def test_a_sentence_is_what_the_library_makes_of_it(
    model: KokoroModel, reference: KModel, kokoro: Path, voice: str, language: str, text: str
) -> None:
    found = samples(speak(model, text, voice=voice))
    assert same(found, expected(reference, text, style_of(kokoro, voice), language))


@pytest.mark.parametrize("speed", [0.5, 4.0])
def test_speed_is_the_librarys(model: KokoroModel, reference: KModel, kokoro: Path, speed: float) -> None:
    found = samples(speak(model, speed=speed))
    assert same(found, expected(reference, SENTENCE, style_of(kokoro, "af_heart"), speed=speed))


def test_a_mix_is_the_weighted_mean_of_its_voices(model: KokoroModel, reference: KModel, kokoro: Path) -> None:
    heart, adam = style_of(kokoro, "af_heart"), style_of(kokoro, "am_adam")
    mixed = expected(reference, SENTENCE, (heart * 2 + adam) / 3)
    assert same(samples(speak(model, voice="af_heart(2)+am_adam(1)")), mixed)
    assert not same(samples(speak(model, voice="af_heart+am_adam")), mixed)


def test_a_text_is_its_sentences_one_after_the_other(model: KokoroModel, reference: KModel, kokoro: Path) -> None:
    style = style_of(kokoro, "af_heart")
    parts = ["Hello there. ", "How are you?"]
    wanted = [expected(reference, part, style, seed=SEED + number) for number, part in enumerate(parts)]
    assert same(samples(speak(model, "".join(parts))), np.concatenate(wanted))


def test_a_recording_ends_with_its_usage_and_its_length(model: KokoroModel) -> None:
    *chunks, usage, spoken = speak(model)
    count = len(samples(chunks))
    assert isinstance(usage, Usage)
    assert isinstance(spoken, Spoken)
    assert (spoken.seconds, spoken.characters) == (count / RATE, len(SENTENCE))
    assert usage.prompt_tokens > 20
    assert usage.completion_tokens == round(count / RATE * 40)


def test_the_same_seed_is_the_same_recording_and_another_is_not(model: KokoroModel) -> None:
    first, again, other = (samples(speak(model, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(*(samples(speak(model, seed=None)) for _ in range(2)))


def test_a_negative_seed_is_a_seed(model: KokoroModel) -> None:
    assert np.array_equal(*(samples(speak(model, "Hi.", seed=-(2**63))) for _ in range(2)))


def test_requests_at_once_take_turns_and_do_not_mix(model: KokoroModel) -> None:
    texts = ["One one one. One again. And one more.", "Two two two. Two again."]
    requests = [SpeakRequest(text=text, seed=SEED) for text in texts]
    order: list[int] = []

    async def follow(number: int) -> list[Event]:
        events = []
        async for event in model.speak(requests[number]):
            order.append(number)
            events.append(event)
        return events

    async def both() -> list[list[Event]]:
        return await asyncio.gather(follow(0), follow(1))

    together = asyncio.run(both())
    assert [samples(events).tolist() for events in together] == [samples(speak(model, text)).tolist() for text in texts]
    assert order.index(1) < len(order) - 1 - order[::-1].index(0), "the second waited for the end of the first"


def test_a_request_that_is_left_ends_with_its_sentence(model: KokoroModel) -> None:
    said: list[str] = []
    real = model._say

    def counted(*arguments: Any) -> Any:
        said.append(arguments[3])
        return real(*arguments)

    async def leave() -> None:
        events = model.speak(SpeakRequest(text="One sentence. " * 20))
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]

    model._say = counted  # type: ignore[method-assign]
    asyncio.run(leave())
    model._say = real  # type: ignore[method-assign]
    assert samples(speak(model, "Next.")).size
    assert len(said) <= 2


def test_of_an_unfinished_text_the_whole_sentences_are_spoken(model: KokoroModel) -> None:
    *chunks, _, spoken = speak(model, "Hello there. And then", unfinished=True)
    assert isinstance(spoken, Spoken)
    assert spoken.characters == len("Hello there. ")
    assert np.array_equal(samples(chunks), samples(speak(model, "Hello there. ")))
    nothing = speak(model, "Hello", unfinished=True)
    assert nothing == [Usage(), Spoken(seconds=0.0, characters=0)]


def test_more_phonemes_than_the_model_reads_at_once_are_cut_where_it_pauses(model: KokoroModel) -> None:
    text = "incomprehensibilities, " * 17
    phonemes = open_reader("en-US")(text)
    assert len(phonemes) > MOST_PHONEMES / 2
    parts = list(model._parts(phonemes * 3))
    assert all(0 < len(part) <= MOST_PHONEMES for part in parts)
    assert "".join(parts).replace(" ", "") == (phonemes * 3).replace(" ", "")


@pytest.mark.parametrize("text", ["...", "?!", "----"])
def test_a_text_with_nothing_to_say_is_refused(model: KokoroModel, text: str) -> None:
    with pytest.raises(BadRequest, match="nothing in this text") as raised:
        speak(model, text)
    assert raised.value.param == "input"


def test_an_unknown_voice_is_refused_with_those_like_it(model: KokoroModel) -> None:
    with pytest.raises(BadRequest, match="did you mean af_heart") as raised:
        speak(model, voice="af_hearth")
    assert raised.value.param == "voice"


def test_the_language_of_a_request_goes_before_the_voices(model: KokoroModel, reference: KModel, kokoro: Path) -> None:
    found = samples(speak(model, "Hola mundo.", language="ES-mx"))
    assert same(found, expected(reference, "Hola mundo.", style_of(kokoro, "af_heart"), "e"))


@pytest.mark.parametrize(
    ("code", "known"), [("en", "en-US"), ("en_gb", "en-GB"), ("fr", "fr-FR"), ("pt-PT", "pt-BR"), ("zh-CN", "zh")]
)
def test_a_language_is_known_by_any_of_its_codes(code: str, known: str) -> None:
    assert resolve(code) == known


def test_an_unknown_language_is_refused_with_those_there_are(model: KokoroModel) -> None:
    with pytest.raises(BadRequest, match="expected one of en-US, en-GB, es") as raised:
        speak(model, language="tlh")
    assert raised.value.param == "language"


@pytest.mark.parametrize("language", ["es", "fr-FR", "hi", "it", "pt-BR"])
def test_what_espeak_reads_needs_nothing_else(language: str) -> None:
    texts = {"hi": "यह एक परीक्षण है।"}
    assert any(character.isalpha() for character in open_reader(language)(texts.get(language, "Sono qui, casa.")))


@pytest.mark.parametrize("language", [code for code, language in LANGUAGES.items() if language.extra])
def test_a_dictionary_that_is_not_installed_is_named(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    extra = LANGUAGES[language].extra
    monkeypatch.setitem(sys.modules, f"misaki.{extra}", None)
    with pytest.raises(TaskNotSupported) as raised:
        open_reader(language)
    assert f'pip install "misaki[{extra}]"' in raised.value.message


def test_english_without_its_tagger_is_read_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    english.tagger.cache_clear()
    with caplog.at_level(logging.WARNING):
        reader, british = open_reader("en-US"), open_reader("en-GB")
    assert [record.name for record in caplog.records] == ["universal_audio.speech.english"]
    assert "en_core_web_sm" in caplog.text
    assert reader("The tomato.") == "ðə təmˈATO."  # noqa: RUF001
    assert british("The tomato.") == "ðə təmˈɑːtQ."  # noqa: RUF001
    assert reader("An a to I $5.50 42 kokoroxyz?")


def test_the_voices_are_those_in_the_folder(model: KokoroModel) -> None:
    found = asyncio.run(model.list_voices(ListVoicesRequest()))
    assert [(voice.id, voice.language) for voice in found.voices] == [
        ("af_heart", "en-US"),
        ("am_adam", "en-US"),
        ("bf_emma", "en-GB"),
        ("ef_dora", "es"),
        ("jf_alpha", "ja"),
    ]


def test_the_default_voice_can_be_configured(kokoro: Path, model: KokoroModel) -> None:
    with closing(load(kokoro, voice="am_adam")) as other:
        assert np.array_equal(samples(speak(other)), samples(speak(model, voice="am_adam")))


def test_a_configured_voice_that_is_not_there_fails_the_load(kokoro: Path) -> None:
    with pytest.raises(LoadFailed, match="there is no 'nobody'"):
        load(kokoro, voice="nobody")


def test_voices_that_could_run_code_are_not_read(kokoro: Path, tmp_path: Path) -> None:
    import pickle
    import shutil

    folder = shutil.copytree(kokoro, tmp_path / "copy")
    torch.save(Evil(), folder / "voices" / "af_evil.pt")
    with closing(load(folder)) as model, pytest.raises(pickle.UnpicklingError):
        speak(model, voice="af_evil")


class Evil:
    """What no voice is."""
