"""What is missing between two texts, by the tokens that a file has for that."""

from pathlib import Path
from typing import Any

import pytest

from tiny.answers import completion
from tiny.causal import scripted_chain
from tiny.gguf import add_numbers, make_gguf_scripted
from universal_core import UnsupportedField

NAMED = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
UNHEARD_OF = ("<before>", "<after>", "<between>")
SUFFIX_FIRST = ("[SUFFIX]", "[PREFIX]")
PREFIX, SUFFIX = "def double(x):\n    ", "\n    return y <|fim_middle|>"


@pytest.mark.parametrize("marks", [NAMED, UNHEARD_OF])
def test_a_gap_is_filled_up_to_where_the_model_says_that_it_is(
    marks: tuple[str, ...], tmp_path: Path, new_model: Any, ask_writer: Any
) -> None:
    model = new_model(_marked(tmp_path, marks))
    plain, echoed = ask_writer(
        model, completion(PREFIX, suffix=SUFFIX), completion(PREFIX, suffix=SUFFIX, echo=True, n=2)
    )
    assert (plain.text, plain.reason) == ("return 2 * x", "stop")
    assert [found.text for found in echoed.by_index.values()] == [PREFIX + "return 2 * x"] * 2


def _marked(folder: Path, marks: tuple[str, ...]) -> Path:
    """Write a model that fills a gap; what marks nobody has heard of are for is told in its metadata."""
    pieces = [*marks, "return ", "2 * x", "<|fim_pad|>", "never"]
    (folder / "plain").mkdir()
    file = make_gguf_scripted(folder / "plain" / "model.gguf", pieces)
    tokenizer, _ = scripted_chain(pieces, None)
    keys = [f"tokenizer.ggml.fim_{part}_token_id" for part in ("pre", "suf", "mid")]
    numbers = dict(zip(keys, tokenizer.convert_tokens_to_ids(list(marks)), strict=True))
    return file if marks == NAMED else add_numbers(file, folder / "model.gguf", numbers)


def test_marks_stand_where_the_family_has_them_and_no_text_writes_one(
    tmp_path: Any, new_model: Any, ask_writer: Any
) -> None:
    for marks in (NAMED, SUFFIX_FIRST):
        folder = tmp_path / marks[0].strip("<|>[]")
        folder.mkdir()
        model = new_model(make_gguf_scripted(folder / "model.gguf", ["Hello", *marks]))
        vocabulary = model._vocabulary
        prompt = model._filler.read(PREFIX, SUFFIX)
        shown = [vocabulary.bytes_of(token).decode() for token in prompt if vocabulary.is_special(token)]
        assert shown == list(marks)
        first, second, *last = [place for place, token in enumerate(prompt) if vocabulary.is_special(token)]
        parts = [prompt[first + 1 : second], prompt[second + 1 : last[0] if last else None]]
        assert [vocabulary.decode(part) for part in parts] == ([PREFIX, SUFFIX] if last else [SUFFIX, PREFIX])


def test_a_model_without_marks_refuses_a_suffix_by_name(shared_model: Any, ask_writer: Any) -> None:
    with pytest.raises(UnsupportedField, match="suffix: the model's vocabulary has no tokens") as caught:
        ask_writer(shared_model("llama"), completion("a", suffix="b"))
    assert caught.value.param == "suffix"
