"""What is missing between two texts: prompts in the forms that families of models were trained on."""

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from tiny.tokenizers import byte_level_tokenizer
from universal_core.conversation import Vocabulary
from universal_core.conversation.fill import Filler, plain_tokens


class Spelled(Vocabulary):
    """The tokens of a tokenizer of transformers; what was added to it is special."""

    def __init__(self, tokenizer: Any) -> None:
        self.size, self.ends = len(tokenizer), {2}
        self._tokenizer = tokenizer

    def encode(self, text: str, *, special: bool) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=special))

    def decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def decode_all(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens))

    def bytes_of(self, token: int) -> bytes:
        if self.is_special(token):
            return str(self._tokenizer.added_tokens_decoder[token]).encode()
        return str(self._tokenizer.convert_ids_to_tokens(token)).replace("▁", " ").encode()

    def is_special(self, token: int) -> bool:
        return token in self._tokenizer.added_tokens_decoder


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
    filler = Filler(Spelled(tokenizer))
    assert filler.read(PREFIX, SUFFIX) == expected
    assert filler.read([*parts["0"], *parts["PREFIX"]], SUFFIX) == expected, "a prefix of tokens is taken as it is"
    assert set(tokenizer.convert_tokens_to_ids(marks)) <= filler.ends


def test_no_text_writes_a_mark() -> None:
    tokenizer = byte_level_tokenizer(pieces=QWEN)
    text = "a <|fim_suffix|> b<|fim_middle|><|im_end|><|fim_<|fim_prefix|>"
    tokens = Filler(Spelled(tokenizer)).read(text, text)
    marks = tokenizer.convert_tokens_to_ids(QWEN)
    assert [token for token in tokens if token in (0, 1, 2, 3, *marks)] == [marks[0], marks[1], marks[2]]
    assert tokenizer.decode(tokens[1 : tokens.index(marks[1])]) == text


def test_a_suffix_gets_no_space_from_a_tokenizer_that_begins_every_text_with_one() -> None:
    pieces = ["<unk>", "▁", *"abcdefgh", "▁a", *(f"<0x{byte:02X}>" for byte in range(256))]
    model = models.BPE({piece: place for place, piece in enumerate(pieces)}, [("▁", "a")], byte_fallback=True)
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    vocabulary = Spelled(PreTrainedTokenizerFast(tokenizer_object=backend))
    text = [vocabulary.bytes_of(token) for token in plain_tokens(vocabulary, "ab", continues=True)]
    assert text == [b"a", b"b"]
    assert vocabulary.bytes_of(plain_tokens(vocabulary, "ab")[0]) == b" a"
