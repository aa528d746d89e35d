"""What EleutherAI's lm-eval asks of a server (model ``local-completions``), and the same computed by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Pair = tuple[list[int], list[int]]
"""The tokens of a context, and those of what may follow."""

Post = Callable[[dict[str, Any]], dict[str, Any]]


def asked(post: Post, model: str, pairs: Sequence[Pair], **fields: Any) -> list[tuple[float, bool]]:
    """Return for each pair the log-likelihood of what follows, and whether it is what the model would write."""
    prompts = [context + rest for context, rest in pairs]
    body = {"model": model, "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234}
    choices = sorted(post({**body, "echo": True, **fields})["choices"], key=lambda choice: choice["index"])
    return [_judged(choice["logprobs"], len(context)) for choice, (context, _) in zip(choices, pairs, strict=True)]


def _judged(found: dict[str, Any], start: int) -> tuple[float, bool]:
    tokens, best = found["tokens"][start:-1], found["top_logprobs"][start:-1]
    greedy = all(token == max(top, key=top.get) for token, top in zip(tokens, best, strict=True))
    return sum(found["token_logprobs"][start:-1]), greedy


def computed(folder: Path, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
    """Return the same by one forward pass of transformers over each pair."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for context, rest in pairs:
        with torch.inference_mode():
            rows = model(torch.tensor([context + rest])).logits[0, len(context) - 1 : -1].log_softmax(-1)
        told = rows.gather(-1, torch.tensor(rest)[:, None]).sum()
        found.append((float(told), rows.argmax(-1).tolist() == rest))
    return found


def pairs_of(folder: Path) -> list[Pair]:
    """Return pairs for a model's tokenizer, of several lengths; the last is what the model itself would write."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = [("hello", " world"), ("the quick brown fox " * 8, "jumps over the lazy dog"), ("überall 漢字", " 😀!")]
    pairs = [(tokenizer.encode(one), tokenizer.encode(two)) for one, two in texts]
    context = pairs[0][0]
    written = model.generate(torch.tensor([context]), max_new_tokens=5, do_sample=False, eos_token_id=-1)
    return [*pairs, (context, written[0, len(context) :].tolist())]
