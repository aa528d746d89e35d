"""What a form costs: the time per token of answers in a form beside that of free ones, by the same model, as ratios.

    python bench/structured.py [--rounds 5] [--tokens 64] [--layers 8] [--hidden 512] [--vocabulary 151936]

Goal: at most 1.05 with every form, for one answer and for several at once, in both backends. The weights are random,
which is the hardest case: what a random model wants to say is never what the form allows. Greedy, the cheapest way of
sampling, so that nothing hides what the form costs; no answer ends before its last token.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent / "llama"))

from tiny.folder import info_of
from tiny.gguf import make_gguf_from_transformers, quantize
from universal_core import CompletionRequest, Finish, ResponseFormat, Usage, usable_cores
from vocabulary import END, SPECIAL, byte_level

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


def make(folder: Path, layers: int, hidden: int, size: int) -> Path:
    """Write a Qwen3 of this shape, with a vocabulary as large as real ones."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    tokens, merges = byte_level(size)
    names = {token: place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=names, merges=[tuple(merge.split(" ")) for merge in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=SPECIAL[0])
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
        eos_token_id=wrapped.eos_token_id,
        bos_token_id=wrapped.bos_token_id,
        pad_token_id=wrapped.pad_token_id,
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


@contextmanager
def text(folder: Path) -> Iterator[Any]:
    """Load the model with universal-text."""
    from universal_text.causal.model import CausalModel
    from universal_text.options import CausalOptions

    with closing(CausalModel(info_of(folder), CausalOptions(device="cpu", slots=max(CLIENTS)))) as model:
        yield model


@contextmanager
def gguf(folder: Path) -> Iterator[Any]:
    """Load the same weights with universal-gguf, as Q8_0."""
    from universal_gguf.generation.model import GenerationModel
    from universal_gguf.options import GenerationOptions

    with tempfile.TemporaryDirectory() as place:
        whole = make_gguf_from_transformers(Path(place) / "whole" / "model.gguf", folder)
        file = quantize(whole, Path(place) / "file" / "model.gguf", "Q8_0")
        whole.unlink()
        options = GenerationOptions(device="cpu", n_ctx=4096, slots=max(CLIENTS))
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


async def measure(name: str, model: Any, arguments: argparse.Namespace) -> None:
    """Let free answers and each form take turns, and print the medians."""
    end = arguments.vocabulary - 1
    for form in FORMS.values():
        began = time.perf_counter()
        await seconds_per_token(model, end, 2, 1, form)
        print(f"{name}: first request in a form took {1e3 * (time.perf_counter() - began):.0f} ms")
    for clients in CLIENTS:
        found: dict[str, list[float]] = {kind: [] for kind in ("free", *FORMS)}
        for _ in range(arguments.rounds):
            for kind, times in found.items():
                times.append(await seconds_per_token(model, end, arguments.tokens, clients, FORMS.get(kind)))
        for kind in FORMS:
            pairs = zip(found[kind], found["free"], strict=True)
            cost = statistics.median(formed / free for formed, free in pairs)
            missed = "" if cost <= GOAL else ": missed"
            free, formed = (1e3 * statistics.median(found[each]) for each in ("free", kind))
            print(
                f"{name:<15} {clients} at once  {kind:<8} {formed:7.2f} ms a token, free {free:7.2f}"
                f"   {cost:5.3f} (at most {GOAL}{missed})",
                flush=True,
            )


def main() -> None:
    """Measure both backends on the same weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = {"rounds": 5, "tokens": 64, "layers": 8, "hidden": 512, "vocabulary": 151936}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    loaders: dict[str, Callable[[Path], Any]] = {"universal-text": text, "universal-gguf": gguf}
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder), arguments.layers, arguments.hidden, arguments.vocabulary)
        print(f"vocabulary {arguments.vocabulary}, {usable_cores()} cores, {arguments.tokens} tokens an answer")
        for name, loader in loaders.items():
            with loader(path) as model:
                asyncio.run(measure(name, model, arguments))


if __name__ == "__main__":
    main()
