"""What a form costs: the time per token of answers in a form beside that of free ones, by the same model.

It should be at most 1.05 with every form, for one answer and for several at once, in both backends. The weights are
random, the hardest case: what a random model wants to say is never what the form allows. Greedy, the cheapest way of
sampling, so that nothing hides what the form costs; no answer ends before its last token.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.comparison import Comparison, Found, Goal, Samples
from bench.models import tokenizer_of
from bench.rounds import turns
from bench.setting import Setting
from tiny.folder import info_of
from tiny.gguf import make_gguf_from_transformers, quantize
from universal_core import CompletionRequest, Finish, ResponseFormat, Usage

GOAL = 1.05
CLIENTS = (1, 4)
RECORD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "role": {"enum": ["admin", "guest", "user"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        "note": {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^[A-Z][a-z ]{3,200}$"}]},
    },
    "required": ["name", "age", "role", "tags", "note"],
    "additionalProperties": False,
}
FORMS = {
    "schema": ResponseFormat(type="json_schema", schema={"type": "array", "items": RECORD, "minItems": 1000}),
    "json": ResponseFormat(type="json_schema", schema={"type": "array", "items": {}, "minItems": 1000}),
    "regex": ResponseFormat(type="regex", text=r"([A-Za-z]{1,12}[ ,.;]){2000}"),
    "grammar": ResponseFormat(
        type="grammar", text='start: line~1000\nline: WORD (" " WORD)* "\\n"\nWORD: /[a-z]{2,9}/'
    ),
}


class Sizes(NamedTuple):
    """Tokens of an answer, and the shape of the model."""

    tokens: int = 64
    layers: int = 8
    hidden: int = 512
    vocabulary: int = 151936


QUICK = Sizes(4, 1, 128, 24000)


def make(folder: Path, layers: int, hidden: int, size: int) -> Path:
    """Write a Qwen3 of this shape, with a vocabulary as large as real ones."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = tokenizer_of(size)
    # A GGUF file has to name a token that begins a text.
    tokenizer.bos_token = tokenizer.eos_token
    config = Qwen3Config(
        vocab_size=size,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 128,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def text(folder: Path, device: str) -> Iterator[Any]:
    """Load the model with universal-text."""
    from universal_text.causal.model import CausalModel
    from universal_text.options import CausalOptions

    with closing(CausalModel(info_of(folder), CausalOptions(device=device, slots=max(CLIENTS)))) as model:
        yield model


@contextmanager
def gguf(folder: Path, device: str) -> Iterator[Any]:
    """Load the same weights with universal-gguf, as Q8_0."""
    from universal_gguf.generation.model import GenerationModel
    from universal_gguf.options import GenerationOptions

    with tempfile.TemporaryDirectory() as place:
        whole = make_gguf_from_transformers(Path(place) / "whole" / "model.gguf", folder)
        file = quantize(whole, Path(place) / "file" / "model.gguf", "Q8_0")
        whole.unlink()
        options = GenerationOptions(device=device, n_ctx=4096, slots=max(CLIENTS))
        with closing(GenerationModel(info_of(file.parent), options)) as model:
            yield model


async def seconds_per_token(model: Any, end: int, tokens: int, clients: int, form: ResponseFormat | None) -> float:
    """Return the time per token and answer of as many answers at once, prompts of a few tokens included."""

    async def answer(number: int) -> int:
        request = CompletionRequest(
            prompt=(1000 + number, 2000, 3000),
            max_tokens=tokens,
            temperature=0.0,
            logit_bias={end: -100.0},
            response_format=form,
        )
        events = [event async for event in model.complete(request)]
        assert [event.reason for event in events if isinstance(event, Finish)] == ["length"]
        return sum(event.completion_tokens for event in events if isinstance(event, Usage))

    began = time.perf_counter()
    written = await asyncio.gather(*map(answer, range(clients)))
    return (time.perf_counter() - began) / sum(written)


def measure(setting: Setting) -> Found:
    """Measure both backends on the same weights."""
    sizes = setting.sizes(Sizes(), QUICK)
    loaders: dict[str, Callable[[Path, str], Any]] = {"universal-text": text, "universal-gguf": gguf}
    found: list[Comparison] = []
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder), sizes.layers, sizes.hidden, sizes.vocabulary)
        for name, loader in loaders.items():
            with loader(path, setting.device) as model:
                found += asyncio.run(_compared(name, model, sizes, setting.rounds))
    return Found(f"{sizes.layers} layers of {sizes.hidden}, vocabulary {sizes.vocabulary}, greedy", found)


async def _compared(name: str, model: Any, sizes: Sizes, rounds: int) -> list[Comparison]:
    """Let free answers and each form take turns."""
    end, found = sizes.vocabulary - 1, []
    firsts: Samples = {}
    for kind, form in FORMS.items():
        began = time.perf_counter()
        await seconds_per_token(model, end, 2, 1, form)
        firsts[kind] = [1e3 * (time.perf_counter() - began)]
    found.append(Comparison(name, "first request in a form", "ms", firsts))
    for clients in CLIENTS:
        times: Samples = {kind: [] for kind in ("free", *FORMS)}
        for _, kind, _ in turns(times, rounds, warm=0):
            times[kind].append(1e3 * await seconds_per_token(model, end, sizes.tokens, clients, FORMS.get(kind)))
        for kind in FORMS:
            pair = {kind: times[kind], "free": times["free"]}
            case = f"{name}, {clients} at once"
            found.append(Comparison(case, f"a token in {kind}", "ms", pair, (Goal("free", most=GOAL),)))
    return found
