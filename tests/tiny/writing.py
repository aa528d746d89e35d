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

# In single precision a step's result does not depend on what else is in it: 3e-6, against 6e-3 with the defaults.
EXACT = {"cache_type_k": "f32", "cache_type_v": "f32", "flash_attn": "off"}


def load(file: Path, **options: Any) -> GenerationModel:
    """Return the model in a folder of its own, on the CPU with one thread unless the options say otherwise."""
    chosen = GenerationOptions(**{"device": "cpu", "n_threads": 1, "n_ctx": 512, "slots": 8, **EXACT, **options})
    return GenerationModel(info_of(file.parent), chosen)


async def ask_all(model: GenerationModel, *requests: ChatRequest | CompletionRequest) -> list[Answers]:
    """Run the requests at the same time and return what each was answered."""
    streams = [model.chat(one) if isinstance(one, ChatRequest) else model.complete(one) for one in requests]
    return await asyncio.gather(*map(gather, streams))


def answers(model: GenerationModel, *requests: ChatRequest | CompletionRequest) -> list[Answers]:
    """Do the same from plain functions."""
    return asyncio.run(ask_all(model, *requests))


def agree(one: Answers, other: Answers, tie: float = 0.0) -> bool:
    """Whether two first answers have the same tokens, up to where two were as likely within ``tie``; needs logprobs.

    Gemma's GELU is a table of half precision in llama.cpp: what else is in a step moves its logits by 5e-4.
    """
    pairs = zip(one.by_index[0].logprobs, other.by_index[0].logprobs, strict=True)
    first = next(((mine, its) for mine, its in pairs if mine.data != its.data), None)
    return first is None or abs(first[0].logprob - first[1].logprob) < tie


def greedy(file: Path, prompts: list[list[int]], count: int, **options: Any) -> list[list[int]]:
    """Return the tokens that llama-cpp-python's own ``Llama`` writes after each prompt, up to one that ends it."""
    from llama_cpp import GGML_TYPE_F32, Llama, llama_vocab_is_eog

    chosen = {"n_ctx": 512, "n_threads": 1, "n_threads_batch": 1, "verbose": False, **options}
    chosen |= {"type_k": GGML_TYPE_F32, "type_v": GGML_TYPE_F32}
    found = []
    with closing(Llama(str(file), **chosen)) as llama:
        for prompt in prompts:
            llama.reset()
            written: list[int] = []
            for token in islice(llama.generate(prompt, temp=0.0), count):
                if llama_vocab_is_eog(llama._model.vocab, token):
                    break
                written.append(token)
            found.append(written)
    return found
