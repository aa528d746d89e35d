"""Models of transformers: what they say is what its pipeline says, window by window."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import pipeline

from listening import model_folder, request_for, text_of
from tiny.folder import info_of
from tiny.sounds import recording, silence, voice
from universal_audio.listen.options import RecognitionOptions
from universal_audio.listen.recognition import Recognition
from universal_core import BadRequest, Event, Heard, LoadFailed, Segment, TranscribeRequest, Usage

SOUND = np.concatenate([silence(0.5), voice(3.0), silence(0.5)])
LONG = np.concatenate([voice(20), silence(1), voice(25), silence(1), voice(12)])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def opened(name: str, **options: Any) -> Recognition:
    return Recognition(info_of(model_folder(name)), RecognitionOptions(**{"device": "cpu", "threads": 1, **options}))


@pytest.fixture(scope="module")
def letters() -> Recognition:
    return opened("wav2vec2")


@pytest.fixture(scope="module")
def whisper() -> Iterator[Recognition]:
    with pytest.MonkeyPatch.context() as patch:
        # The deprecations of the library inside itself.
        patch.setenv("TRANSFORMERS_VERBOSITY", "error")
        yield opened("whisper")


def segments(events: list[Event]) -> list[Segment]:
    return [event for event in events if isinstance(event, Segment)]


def test_letters_are_what_the_pipeline_says(letters: Recognition) -> None:
    events = list(letters.transcribe(TranscribeRequest(audio=recording(SOUND), words=True)))
    peer = pipeline("automatic-speech-recognition", model=str(model_folder("wav2vec2")), device="cpu")
    samples = (SOUND * 32767).astype(np.int16).astype(np.float32) / 32768
    expected = peer({"raw": samples, "sampling_rate": 16000}, return_timestamps="word")
    (segment,) = segments(events)
    assert segment.text.strip() == expected["text"]
    assert [(word.word, word.start) for word in segment.words] == [
        (chunk["text"], pytest.approx(float(chunk["timestamp"][0]), abs=1e-3)) for chunk in expected["chunks"]
    ]
    assert events[-2] == Heard(duration=4.0)
    assert isinstance(events[-1], Usage)


def test_a_long_recording_is_heard_in_windows(letters: Recognition) -> None:
    events = list(letters.transcribe(TranscribeRequest(audio=recording(LONG))))
    found = segments(events)
    assert len(found) >= 2
    assert [segment.start for segment in found] == sorted(segment.start for segment in found)
    assert all(segment.end <= 59.0 for segment in found)
    assert next(event for event in events if isinstance(event, Heard)).duration == 59.0


def test_windows_computed_together_say_what_each_says_alone(letters: Recognition) -> None:
    one = opened("wav2vec2", batch_size=1)
    request = TranscribeRequest(audio=recording(LONG[: 16000 * 55]))
    together, alone = text_of(list(letters.transcribe(request))), text_of(list(one.transcribe(request)))
    assert len(together) > 100
    assert abs(len(together) - len(alone)) < 0.2 * len(alone)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_whisper_hears_segments_words_and_languages(whisper: Recognition) -> None:
    plain = list(whisper.transcribe(request_for(recording(SOUND))))
    assert segments(plain)
    assert all(0 <= segment.start <= segment.end <= 4.0 for segment in segments(plain))
    (timed,) = segments(list(whisper.transcribe(request_for(recording(SOUND), words=True))))
    assert timed.words
    assert all(0 <= word.start <= word.end <= 4.0 for word in timed.words)
    detected = list(whisper.transcribe(TranscribeRequest(audio=recording(SOUND))))
    assert next(event for event in detected if isinstance(event, Heard)).language
    translated = list(whisper.translate(request_for(recording(SOUND))))
    assert text_of(translated) != text_of(plain)


def test_whisper_heeds_its_prompt(whisper: Recognition) -> None:
    plain, prompted = (
        text_of(list(whisper.transcribe(request_for(recording(SOUND), prompt=prompt))))
        for prompt in (None, "taught us how")
    )
    assert prompted
    assert plain != prompted


def test_a_language_that_the_model_lacks_is_refused(whisper: Recognition) -> None:
    with pytest.raises(BadRequest, match="it knows af, am,") as raised:
        list(whisper.transcribe(request_for(recording(SOUND), language="klingon")))
    assert raised.value.param == "language"


def test_what_this_machine_lacks_is_named() -> None:
    with pytest.raises(LoadFailed, match="'cuda:7'"):
        opened("wav2vec2", device="cuda:7")
