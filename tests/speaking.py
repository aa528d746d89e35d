"""A plugin that speaks without a model: a chunk for each word, which says what was asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from installed import install, on_path
from server import Server, running_server

SPEAKER = """
import asyncio

from universal_core import (
    AudioChunk, Backend, BadRequest, Claim, ListVoicesResult, MemoryEstimate, ModelInfo, Spoken, Usage, Voice, hookimpl
)

API_VERSION = 1


class Speaker:
    def __init__(self, info, options):
        pass

    async def list_voices(self, request):
        one = Voice(id="one", name="One (A Voice)", language="en-US")
        return ListVoicesResult(voices=(one, Voice(id="two", name="Two")))

    async def speak(self, request):
        if request.voice not in (None, "one", "two"):
            raise BadRequest(f"voice: there is no {request.voice!r}", param="voice")
        text = request.text[: request.text.rfind(". ") + 2] if request.unfinished else request.text
        text = "" if request.unfinished and ". " not in text else text
        words = text.split()
        for word in words:
            if word == "fail":
                raise RuntimeError("asked to fail")
            if word == "wait":
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            said = f"{request.format} {request.voice} {request.speed} {word};"
            yield AudioChunk(data=said.encode(), sample_rate=request.sample_rate or 8000)
        yield Usage(prompt_tokens=len(words), completion_tokens=5)
        yield Spoken(seconds=len(words) / 2, characters=len(text))


BACKEND = Backend(name="speaker", model="universal_speaker:Speaker", tasks=("speak", "list_voices"))


@hookimpl
def register_backends():
    return [BACKEND]


@hookimpl
def find_model(ref):
    # The second is what the short name stands for where the plugin universal-audio is installed.
    ours = ref.name.startswith("speaker/") or ref.name in ("kokoro", "hexgrad/Kokoro-82M")
    return ModelInfo(id=ref.text, ref=ref, source="test", path="") if ours else None


@hookimpl
def claim_model(info):
    memory = MemoryEstimate(weights=1)
    if info.source == "test":
        offer = {"tasks": BACKEND.tasks, "slots": 4, "fields": ("speed", "seed"), "rank": 99}
        return Claim(backend="speaker", reason="a test", memory=memory, **offer)
"""


@contextmanager
def speaking_server(folder: Path, *flags: str) -> Iterator[Server]:
    """Run a server, with these flags, whose model ``kokoro``, and every ``speaker/NAME``, is this one."""
    install(folder, "speaker", SPEAKER)
    with on_path(folder), running_server(*flags) as server:
        yield server
