"""Speech models of transformers: what they say is what the library says, for every speaker and speed."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import VitsModel, VitsTokenizer

from tiny.folder import info_of
from tiny.speecht5 import make_speecht5
from tiny.vits import make_vits
from universal_audio.speech.options import SpeechOptions
from universal_audio.speech.transformers_model import SpeechModel
from universal_core import AudioChunk, BadRequest, Event, ListVoicesRequest, LoadFailed, SpeakRequest, Spoken

SENTENCE = "hello there this is a test"
SEED = 5
RATE = 16000


@pytest.fixture(scope="module")
def model(vits: Path) -> Iterator[SpeechModel]:
    with closing(load(vits)) as found:
        yield found


def load(folder: Path, **options: Any) -> SpeechModel:
    return SpeechModel(info_of(folder), SpeechOptions(**{"device": "cpu", "threads": 1, **options}))


def speak(model: SpeechModel, text: str = SENTENCE, **fields: Any) -> list[Event]:
    async def gather() -> list[Event]:
        return [event async for event in model.speak(SpeakRequest(text=text, **{"seed": SEED, **fields}))]

    return asyncio.run(gather())


def samples(events: list[Event]) -> Any:
    """Return what was spoken: (n,) in int16."""
    return np.frombuffer(b"".join(event.data for event in events if isinstance(event, AudioChunk)), "<i2")


def expected(folder: Path, text: str, speaker: int | None = 0, speed: float = 1.0, seed: int = SEED) -> Any:
    """Return what the library makes of a sentence: (n,) in int16."""
    library, tokenizer = VitsModel.from_pretrained(folder).eval(), VitsTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    with torch.inference_mode():
        found = library(**tokenizer(text, return_tensors="pt"), speaker_id=speaker, speaking_rate=speed).waveform
    return np.clip(np.rint(found[0].numpy() * 32768), -32768, 32767).astype(np.int16)


def same(found: Any, wanted: Any) -> bool:
    """Whether two recordings are the same, but for the last bit, which rounding decides."""
    return len(found) == len(wanted) > 0 and int(np.abs(found.astype(int) - wanted.astype(int)).max()) <= 1


@pytest.mark.parametrize(("voice", "speaker"), [(None, 0), ("speaker_0", 0), ("speaker_1", 1)])
def test_a_sentence_is_what_the_library_makes_of_it(
    model: SpeechModel, vits: Path, voice: str | None, speaker: int
) -> None:
    assert same(samples(speak(model, voice=voice)), expected(vits, SENTENCE, speaker))


def test_speed_is_the_librarys(model: SpeechModel, vits: Path) -> None:
    assert same(samples(speak(model, speed=2.0)), expected(vits, SENTENCE, speed=2.0))
    assert same(samples(speak(model)), expected(vits, SENTENCE)), "a speed outlives its request"


def test_a_text_is_its_sentences_one_after_the_other(model: SpeechModel, vits: Path) -> None:
    parts = ["hello there. ", "how are you?"]
    wanted = [expected(vits, part, seed=SEED + number) for number, part in enumerate(parts)]
    events = speak(model, "".join(parts))
    assert same(samples(events), np.concatenate(wanted))
    assert events[-1] == Spoken(seconds=len(samples(events)) / RATE, characters=len("".join(parts)))


def test_samples_come_at_the_models_own_rate_or_the_one_asked_for(model: SpeechModel) -> None:
    own, other = speak(model), speak(model, sample_rate=24000)
    rates = [{event.sample_rate for event in events if isinstance(event, AudioChunk)} for events in (own, other)]
    assert rates == [{RATE}, {24000}]
    assert abs(len(samples(other)) / 24000 - len(samples(own)) / RATE) < 0.001


def test_the_speakers_are_the_voices(model: SpeechModel) -> None:
    found = asyncio.run(model.list_voices(ListVoicesRequest()))
    assert [(voice.id, voice.name) for voice in found.voices] == [
        ("speaker_0", "Speaker 0"),
        ("speaker_1", "Speaker 1"),
    ]


def test_a_model_without_speakers_has_one_voice_and_speaks_the_configured_language(tmp_path: Path) -> None:
    folder = make_vits(tmp_path / "single")
    with closing(load(folder, language="de")) as model:
        (voice,) = asyncio.run(model.list_voices(ListVoicesRequest())).voices
        assert (voice.id, voice.language) == ("default", "de")
        assert same(samples(speak(model, voice="default")), expected(folder, SENTENCE, None))
        # A German abbreviation ends no sentence.
        assert samples(speak(model, "das ist z. B. gut.")).size


def test_an_unknown_speaker_is_refused(model: SpeechModel) -> None:
    with pytest.raises(BadRequest, match="did you mean speaker_1 or speaker_0") as raised:
        speak(model, voice="speaker_9")
    assert raised.value.param == "voice"


def test_speecht5_speaks_like_the_vectors_beside_it_through_its_vocoder(tmp_path: Path) -> None:
    folder = make_speecht5(tmp_path / "speecht5")
    with closing(load(folder)) as flat:
        (voice,) = asyncio.run(flat.list_voices(ListVoicesRequest())).voices
        without = samples(speak(flat))
    vectors = {name: np.random.default_rng(seed).normal(size=512) for seed, name in enumerate(("anna", "bert"))}
    (folder / "voices").mkdir()
    for name, vector in vectors.items():
        np.save(folder / "voices" / f"{name}.npy", vector)
    with closing(load(folder)) as model:
        voices = asyncio.run(model.list_voices(ListVoicesRequest())).voices
        anna, again, bert = (samples(speak(model, voice=name)) for name in ("anna", "anna", "bert"))
    assert (voice.id, [found.id for found in voices]) == ("default", ["anna", "bert"])
    assert np.array_equal(anna, again)
    assert not np.array_equal(anna, bert)
    assert without.size


def test_speecht5_without_a_vocoder_says_where_to_put_one(tmp_path: Path) -> None:
    folder = make_speecht5(tmp_path / "speecht5")
    shutil.rmtree(folder / "vocoder")
    with pytest.raises(LoadFailed, match="folder `vocoder` of the model"):
        load(folder)


@pytest.mark.parametrize("text", ["...", "123", "日本"])
def test_a_text_with_nothing_to_say_is_refused(model: SpeechModel, text: str) -> None:
    with pytest.raises(BadRequest, match="nothing in this text"):
        speak(model, text)
