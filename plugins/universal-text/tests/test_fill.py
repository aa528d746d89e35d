"""What is missing between two texts: filled in by models whose vocabulary has marks for it, refused by others."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tiny.answers import alike, completion
from tiny.causal import make_scripted
from universal_core import BadRequest, UnsupportedField

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
PREFIX, SUFFIX = "def double(x):\n    ", "\n    return y <|fim_middle|>"


def test_the_marks_are_tokens_that_no_text_writes(tmp_path: Path, open_model: Any) -> None:
    model = open_model(make_scripted(tmp_path, [*QWEN, "x"]))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    marks = tokenizer.convert_tokens_to_ids(list(QWEN))
    found = model._filler.read(f"{PREFIX}<|im_end|>", SUFFIX)
    assert [token for token in found if token in (0, 1, 2, 3, *marks)] == marks
    assert tokenizer.decode(found) == f"{QWEN[0]}{PREFIX}<|im_end|>{QWEN[1]}{SUFFIX}{QWEN[2]}"


def test_a_gap_is_filled_up_to_where_the_model_says_that_it_is(tmp_path: Path, open_model: Any, ask: Any) -> None:
    model = open_model(make_scripted(tmp_path, [*QWEN, "return ", "2 * x", "<|fim_pad|>", "never"]))
    plain, echoed, several = ask(
        model,
        completion(PREFIX, suffix=SUFFIX),
        completion(PREFIX, suffix=SUFFIX, echo=True),
        completion(PREFIX, suffix=SUFFIX, n=2, max_tokens=1),
    )
    assert (plain.text, plain.reason) == ("return 2 * x", "stop")
    assert echoed.text == PREFIX + "return 2 * x"
    assert [(found.text, found.reason) for found in several.by_index.values()] == [("return ", "length")] * 2
    tokens = tuple(AutoTokenizer.from_pretrained(tmp_path).encode(PREFIX))
    assert alike(ask(model, completion(tokens, suffix=SUFFIX, echo=True))[0], echoed)


def test_a_model_without_marks_refuses_a_suffix_by_name(llama: Any, ask: Any) -> None:
    with pytest.raises(UnsupportedField, match="suffix: the model's vocabulary has no tokens") as caught:
        ask(llama, completion("a", suffix="b"))
    assert caught.value.param == "suffix"


def test_a_suffix_beside_a_scored_prompt_is_refused(llama: Any, ask: Any) -> None:
    with pytest.raises(BadRequest, match="cannot be combined") as caught:
        ask(llama, completion("a", suffix="b", echo=True, logprobs=1))
    assert caught.value.param == "suffix"
