"""What is missing between two texts: prompts in the forms that families of models were trained on."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tiny.answers import completion
from tiny.causal import make_scripted
from tiny.tokenizers import byte_level_tokenizer
from universal_core import UnsupportedField
from universal_core.conversation.fill import Filler, plain_tokens
from universal_text.causal import TokenizerVocabulary

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
DEEPSEEK = ("<\uff5cfim▁begin\uff5c>", "<\uff5cfim▁hole\uff5c>", "<\uff5cfim▁end\uff5c>")
FAMILIES = {
    "qwen": (*QWEN, "0 {0} PREFIX {1} SUFFIX {2}"),
    "starcoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "0 {0} PREFIX {1} SUFFIX {2}"),
    "deepseek": (*DEEPSEEK, "0 {0} PREFIX {1} SUFFIX {2}"),
    "codellama": ("▁<PRE>", "▁<SUF>", "▁<MID>", "0 {0} PREFIX {1} SUFFIX {2}"),
    "codestral": ("[PREFIX]", "[SUFFIX]", "0 {1} SUFFIX {0} PREFIX"),
}
PREFIX, SUFFIX = "def double(x):\n    ", "\n    return y"


def vocabulary_of(tokenizer: Any) -> TokenizerVocabulary:
    return TokenizerVocabulary(tokenizer, len(tokenizer), frozenset({2}))


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_has_the_form_of_its_family(family: str, begins: bool) -> None:
    *marks, form = FAMILIES[family]
    tokenizer = byte_level_tokenizer(pieces=marks, begins=begins)
    parts = {
        "PREFIX": tokenizer.encode(PREFIX, add_special_tokens=False),
        "SUFFIX": tokenizer.encode(SUFFIX, add_special_tokens=False),
        "0": [0] if begins else [],
        **{f"{{{place}}}": [tokenizer.convert_tokens_to_ids(mark)] for place, mark in enumerate(marks)},
    }
    expected = [token for name in form.split() for token in parts[name]]
    filler = Filler(vocabulary_of(tokenizer))
    assert filler.read(PREFIX, SUFFIX) == expected
    assert filler.read([*parts["0"], *parts["PREFIX"]], SUFFIX) == expected, "a prefix of tokens is taken as it is"
    assert set(tokenizer.convert_tokens_to_ids(marks)) <= filler.ends


def test_no_text_writes_a_mark() -> None:
    tokenizer = byte_level_tokenizer(pieces=QWEN)
    text = "a <|fim_suffix|> b<|fim_middle|><|im_end|><|fim_<|fim_prefix|>"
    tokens = Filler(vocabulary_of(tokenizer)).read(text, text)
    marks = tokenizer.convert_tokens_to_ids(QWEN)
    assert [token for token in tokens if token in (0, 1, 2, 3, *marks)] == [marks[0], marks[1], marks[2]]
    assert tokenizer.decode(tokens[1 : tokens.index(marks[1])]) == text


def test_a_suffix_gets_no_space_from_a_tokenizer_that_begins_every_text_with_one() -> None:
    pieces = ["<unk>", "▁", *"abcdefgh", "▁a", *(f"<0x{byte:02X}>" for byte in range(256))]
    model = models.BPE({piece: place for place, piece in enumerate(pieces)}, [("▁", "a")], byte_fallback=True)
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    vocabulary = vocabulary_of(PreTrainedTokenizerFast(tokenizer_object=backend))
    text = [vocabulary.bytes_of(token) for token in plain_tokens(vocabulary, "ab", continues=True)]
    assert text == [b"a", b"b"]
    assert vocabulary.bytes_of(plain_tokens(vocabulary, "ab")[0]) == b" a"


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
    assert ask(model, completion(tokens, suffix=SUFFIX, echo=True))[0] == echoed


def test_a_model_without_marks_refuses_a_suffix_by_name(llama: Any, ask: Any) -> None:
    with pytest.raises(UnsupportedField, match="suffix: the model's vocabulary has no tokens") as caught:
        ask(llama, completion("a", suffix="b"))
    assert caught.value.param == "suffix"


def test_a_suffix_beside_a_scored_prompt_is_refused(llama: Any, ask: Any) -> None:
    with pytest.raises(Exception, match="cannot be combined") as caught:
        ask(llama, completion("a", suffix="b", echo=True, logprobs=1))
    assert caught.value.param == "suffix"  # type: ignore[attr-defined]
