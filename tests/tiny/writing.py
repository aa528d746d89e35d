"""Load a GGUF model that writes text, ask it many things at once, and ask llama-cpp-python the same."""

import asyncio
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from tiny.answers import Answers, gather
from tiny.folder import info_of
from universal_core import ChatRequest, CompletionRequest
from universal_gguf.generation.model import GenerationModel
from universal_gguf.options import GenerationOptions


def load(file: Path, **options: Any) -> GenerationModel:
    """Return the model in a folder of its own, on the CPU with one thread unless the options say otherwise."""
    chosen = GenerationOptions(**{"device": "cpu", "n_threads": 1, "n_ctx": 512, "slots": 8, **options})
    return GenerationModel(info_of(file.parent), chosen)


async def ask_all(model: GenerationModel, *requests: ChatRequest | CompletionRequest) -> list[Answers]:
    """Run the requests at the same time and return what each was answered."""
    streams = [model.chat(one) if isinstance(one, ChatRequest) else model.complete(one) for one in requests]
    return await asyncio.gather(*map(gather, streams))


def answers(model: GenerationModel, *requests: ChatRequest | CompletionRequest) -> list[Answers]:
    """Do the same from plain functions."""
    return asyncio.run(ask_all(model, *requests))


def greedy(file: Path, prompts: list[list[int]], count: int, **options: Any) -> list[list[int]]:
    """Return the tokens that llama-cpp-python's own ``Llama`` writes after each prompt, up to one that ends it."""
    from llama_cpp import Llama, llama_vocab_is_eog

    found = []
    with closing(Llama(str(file), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False, **options)) as llama:
        for prompt in prompts:
            llama.reset()
            written: list[int] = []
            for token in islice(llama.generate(prompt, temp=0.0), count):
                if llama_vocab_is_eog(llama._model.vocab, token):
                    break
                written.append(token)
            found.append(written)
    return found
