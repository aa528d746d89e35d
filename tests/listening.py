"""Tiny speech recognition models that several tests share, made once, and servers that run them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from starlette.testclient import TestClient

from tiny import speech
from universal_core import TranscribeRequest
from universal_core.app import create_app
from universal_core.config import Config, MediaConfig, ModelConfig
from universal_core.messages import Message, Segment
from universal_core.runtime import Runtime

EXACT: dict[str, Any] = {
    "device": "cpu",
    "compute_type": "float32",
    "threads": 1,
    "beam_size": 1,
    "temperature_fallback": False,
}
"""Options with which a Whisper of random weights says the same each time."""


@cache
def model_folder(name: str) -> Path:
    """Return the folder of ``whisper`` or ``wav2vec2`` for transformers, or of ``converted`` for CTranslate2."""
    path = Path(mkdtemp(prefix=f"{name}-")) / name
    if name == "converted":
        return speech.convert_whisper(model_folder("whisper"), path)
    make: Callable[[Path], Path] = getattr(speech, f"make_{name}")
    return make(path)


@contextmanager
def listening_client(
    media: MediaConfig | None = None, *, backend: str | None = None, model: str = "converted", **options: Any
) -> Iterator[TestClient]:
    """Run a server in this process that has a model under the name ``ears``."""
    entry = ModelConfig(model=str(model_folder(model)), backend=backend, options=options)
    runtime = Runtime(Config(model={"ears": entry}, media=media or MediaConfig()))
    with TestClient(create_app(runtime), raise_server_exceptions=False) as client:
        yield client


async def events_of(stream: Any) -> list[Message]:
    """Return all events of a model's stream."""
    return [event async for event in stream]


def text_of(events: list[Message]) -> str:
    """Return what segments say together."""
    return "".join(event.text for event in events if isinstance(event, Segment)).strip()


def request_for(audio: bytes, **fields: Any) -> TranscribeRequest:
    """Return a request in English, unless it says otherwise."""
    return TranscribeRequest(audio=audio, **{"language": "en", **fields})
