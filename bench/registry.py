"""Every measurement by its name, with the function that does it."""

import importlib
from collections.abc import Callable

from bench.comparison import Found
from bench.setting import Setting

MEASUREMENTS = {
    "chat": "bench.chat:measure",
    "embeddings": "bench.embeddings:measure",
    "turns": "bench.turns:measure",
    "engine": "bench.engine:measure",
    "pair": "bench.pair:measure",
    "startup": "bench.startup:measure",
    "hop": "bench.hop:measure",
    "memory": "bench.memory.measuring:measure",
    "structured": "bench.structured:measure",
    "vision": "bench.vision:measure",
    "images": "bench.images:measure",
    "speech-to-text": "bench.speech_to_text:measure",
    "text-to-speech": "bench.text_to_speech:measure",
    "gguf-chats": "bench.llama.chats:measure",
    "gguf-stall": "bench.llama.streams:stall",
    "gguf-turns": "bench.llama.streams:turns",
    "gguf-sampling": "bench.llama.sampling:measure",
    "gguf-engine": "bench.llama.engine:measure",
    "gguf-embeddings": "bench.llama.vectors:measure",
    "gguf-start": "bench.llama.processes:start",
    "gguf-pair": "bench.llama.processes:pair",
    "gguf-lookup": "bench.llama.lookup:measure",
}


def measurement(name: str) -> Callable[[Setting], Found]:
    """Return what does a measurement. Raises ImportError where a library that it needs is not installed."""
    module, _, function = MEASUREMENTS[name].partition(":")
    found: Callable[[Setting], Found] = getattr(importlib.import_module(module), function)
    return found
