"""A plugin that writes down speech without a model: a segment for each word that the bytes of a recording spell."""

HEARER = """
import asyncio

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl
from universal_core.messages import Heard, Segment

API_VERSION = 1


class Hearer:
    def __init__(self, info, options):
        pass

    async def transcribe(self, request):
        words = request.audio.decode().split()
        for at, word in enumerate(words):
            if word == "fail":
                raise RuntimeError("asked to fail")
            await asyncio.sleep(0)
            said = f" {word}" if request.language is None else f" {word} in {request.language}"
            yield Segment(start=at, end=at + 1, text=said)
        yield Heard(duration=len(words), language=request.language)


BACKEND = Backend(name="hearer", model="universal_hearer:Hearer", tasks=("transcribe",))


@hookimpl
def register_backends():
    return [BACKEND]


@hookimpl
def find_model(ref):
    return ModelInfo(id=ref.text, ref=ref, source="hearer", path="") if ref.name.startswith("hearer/") else None


@hookimpl
def claim_model(info):
    if info.source == "hearer":
        memory = MemoryEstimate(weights=1)
        return Claim(backend="hearer", tasks=("transcribe",), reason="a test", memory=memory, fields=("language",))
"""
