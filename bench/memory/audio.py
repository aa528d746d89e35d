"""Models that hear and models that speak: long recordings in every slot, and sentences as long as they are spoken."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.memory.case import Case, Work
from bench.memory.weights import random_model
from universal_core import SpeakRequest, TranscribeRequest

SECONDS = 120
"""Four windows."""
_LONG = "It was a bright cold day in April and the clocks were striking thirteen while nobody had thought of that " * 4
_SIZES = {"tiny": (32, 2, 2, 0), "base": (512, 6, 8, 50000), "small": (768, 12, 12, 50000)}


def cases() -> list[Case]:
    """Return the cases of recognizers and of voices."""
    found = [_converted("tiny", "int8")]
    for size in ("base", "small"):
        found += [_converted(size, kind) for kind in ("float32", "int8")]
        found.append(_saved(size, "float32"))
    found.append(_saved("small", "bfloat16"))
    found.append(Case("wav2vec2-base float32", _write_wav2vec2, partial(_recordings, 1, None)))
    found.append(Case("Kokoro", _write_kokoro, _texts))
    found.append(Case("VITS", _write_vits, _texts))
    return found


def _converted(size: str, kind: str) -> Case:
    options = {"compute_type": kind, "temperature_fallback": False}
    return Case(f"whisper-{size} CTranslate2 {kind}", partial(_write_converted, size=size), _busy, options)


def _saved(size: str, dtype: str) -> Case:
    settings = {"backend": "speech-recognition"}
    work = partial(_recordings, 1)
    return Case(
        f"whisper-{size} transformers {dtype}", partial(_write_whisper, size=size), work, _dtype(dtype), settings
    )


def _dtype(dtype: str) -> Mapping[str, Any]:
    return {"dtype": dtype}


def _busy() -> list[Work]:
    return _recordings(2)


def _recordings(count: int, language: str | None = "en") -> list[Work]:
    """Hear some recordings at once, and then one with the times of words; only a Whisper is told the language."""
    from bench.speech_to_text import speech

    data = speech(SECONDS)
    words = TranscribeRequest(audio=speech(60), language=language, words=True)
    return [Work("transcribe", [TranscribeRequest(audio=data, language=language)] * count), Work("transcribe", [words])]


def _texts() -> list[Work]:
    return [Work("speak", [SpeakRequest(text=_LONG + ".", format="wav")] * 2)]


def _write_whisper(path: Path, size: str) -> Path:
    from tiny.speech import make_whisper

    width, layers, heads, tokens = _SIZES[size]
    return make_whisper(path, width=width, layers=layers, heads=heads, text_tokens=tokens)


def _write_converted(path: Path, size: str) -> Path:
    from tiny.speech import convert_whisper

    return convert_whisper(_write_whisper(path / "source", size), path / "model", "float16")


def _write_wav2vec2(path: Path) -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    from tiny.speech import make_wav2vec2

    make_wav2vec2(path)
    return random_model(path, Wav2Vec2ForCTC, Wav2Vec2Config(vocab_size=32, pad_token_id=0))


def _write_kokoro(path: Path) -> Path:
    import torch

    from bench.text_to_speech import SHAPE
    from tiny.kokoro import make_kokoro

    make_kokoro(path, **SHAPE)
    # Written as small as a tiny model is, in rows that overlap; a real file has all of them.
    for file in path.glob("*.pth"):
        parts = torch.load(file, weights_only=True)
        whole = {part: {name: each.contiguous() for name, each in found.items()} for part, found in parts.items()}
        torch.save(whole, file)
    return path


def _write_vits(path: Path) -> Path:
    import torch
    from transformers import VitsConfig, VitsModel

    from tiny.vits import LETTERS, make_vits

    make_vits(path)
    torch.manual_seed(0)
    VitsModel(VitsConfig(vocab_size=len(LETTERS))).save_pretrained(path)
    return path
