"""The speech-to-text backends keep the contract that the core's kit checks, in real worker processes."""

from typing import Any, ClassVar

import numpy as np
import pytest

from listening import EXACT, model_folder
from tiny.sounds import pcm, recording, silence, voice
from universal_core import ListenRequest, Request, TranscribeRequest
from universal_core.testing import BackendContract

RECORDINGS = (
    TranscribeRequest(audio=recording(voice(3)), language="en"),
    TranscribeRequest(audio=recording(np.concatenate([silence(1), voice(4, 190)]), "mp3"), language="de"),
)
LONG = recording(np.concatenate([voice(27), silence(1.5)] * 6), "flac")


class Listening(BackendContract):
    samples: ClassVar[dict[str, tuple[Request, Request]]] = {
        "transcribe": RECORDINGS,
        "translate": RECORDINGS,
        "listen": (
            ListenRequest(audio=pcm(np.concatenate([voice(2), silence(1)])), language="en"),
            ListenRequest(audio=pcm(voice(3, 180)), language="en", final=True),
        ),
    }

    def long_request(self, task: str) -> Request | None:
        return TranscribeRequest(audio=LONG, language="en") if task in ("transcribe", "translate") else None


class TestWhisper(Listening):
    options: ClassVar[dict[str, Any]] = {**EXACT, "batch_size": 2}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self) -> None:
        type(self).model = str(model_folder("converted"))


class TestSpeechRecognition(Listening):
    options: ClassVar[dict[str, Any]] = {"device": "cpu", "threads": 1}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self) -> None:
        type(self).model = str(model_folder("wav2vec2"))

    samples: ClassVar[dict[str, tuple[Request, Request]]] = {
        "transcribe": (
            TranscribeRequest(audio=recording(voice(3))),
            TranscribeRequest(audio=recording(np.concatenate([silence(1), voice(4, 190)]))),
        )
    }

    def long_request(self, task: str) -> Request | None:
        return TranscribeRequest(audio=LONG)


class TestWhisperThroughTransformers(TestSpeechRecognition):
    samples = Listening.samples

    @pytest.fixture(autouse=True)
    def _model(self) -> None:
        type(self).model = str(model_folder("whisper"))

    def long_request(self, task: str) -> Request | None:
        return None
