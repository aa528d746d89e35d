"""What transformers' own generate() writes, to compare with."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tiny.answers import Answer


class Generated(NamedTuple):
    """A greedy answer: its text and tokens, and the log-probabilities of all tokens at each place.

    ``margin`` is by how much the logit of the best token was ahead at the place where it was least so: where that is
    more than single precision loses, no other way to add up the same numbers writes another text.
    """

    text: str
    read: int
    tokens: list[int]
    logprobs: Any
    margin: float

    def explains(self, answer: Answer, tolerance: float = 1e-4) -> bool:
        """Whether an answer has this text, and at each place log-probabilities that are these within ``tolerance``.

        Of a token that ended it none are told.
        """
        if len(answer.logprobs) != len(self.tokens) - (answer.reason == "stop"):
            return False
        reported = [(one.logprob, *(other.logprob for other in one.alternatives)) for one in answer.logprobs]
        best = [
            [row[token].item(), *row.topk(len(values) - 1).values.tolist()]
            for row, token, values in zip(self.logprobs, self.tokens, reported, strict=False)
        ]
        return answer.text == self.text and all(
            abs(one - other) <= tolerance
            for mine, its in zip(best, reported, strict=True)
            for one, other in zip(mine, its, strict=True)
        )


@cache
def opened(path: Path) -> tuple[Any, Any]:
    """Return model and tokenizer of a folder, in single precision."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(path)


def generated(path: Path, prompt: str | list[int], most: int, **settings: Any) -> Generated:
    """Return what generate() of the model in a folder writes after a prompt, at most so many tokens."""
    import torch

    model, tokenizer = opened(path)
    ids = tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt
    read = torch.tensor([ids])
    found = model.generate(
        read,
        attention_mask=torch.ones_like(read),
        max_new_tokens=most,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        **settings,
    )
    tokens = found.sequences[0, len(ids) :].tolist()
    logits = torch.cat(found.logits).float()
    best = logits.topk(2).values
    margin = float((best[:, 0] - best[:, 1]).min())
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    return Generated(text, len(ids), tokens, logits.log_softmax(-1), margin)
