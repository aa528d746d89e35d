"""Tokenizers trained in a moment on five lines."""

from collections.abc import Iterable
from typing import Any

END, TURN, TURN_END, PAD = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>"

CORPUS = (
    "the quick brown fox jumps over the lazy dog",
    "hello world, this is a tiny tokenizer trained on the spot",
    '{"name": "get_weather", "arguments": {"city": "Paris"}}',
    "<tool_call> </tool_call> system user assistant tool function",
    "0 1 2 3 4 5 6 7 8 9 10 100 true false null",
)

WORDS = ("▁", "▁yes", "yes", '▁{"', '{"', '"', "name", "▁name", '":', "▁true", "true", "}", "▁▁", "a", "b", "n", "o")

CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
# Tools
<tools>{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
</tools>
For each call return <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>
{% endif -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% elif message.content %}\
{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}
{%- if message.tool_calls %}{% for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}"""


def byte_level_tokenizer(
    size: int = 400,
    *,
    pieces: Iterable[str] = (),
    chat_template: str | None = CHAT_TEMPLATE,
    context: int = 512,
    begins: bool = False,
) -> Any:
    """Return a byte-level BPE tokenizer, which can write any text; each of ``pieces`` becomes one token.

    Where it ``begins``, it puts a token before every text.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END, TURN, TURN_END, PAD],
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=TURN_END, pad_token=PAD, model_max_length=context
    )
    wrapped.add_tokens(
        [AddedToken(piece, special=is_control(piece), normalized=False) for piece in dict.fromkeys(pieces)]
    )
    wrapped.chat_template = chat_template
    return wrapped


def sentencepieces() -> tuple[str, ...]:
    """Return the tokens of a vocabulary as Llama 2 has it: special ones, bytes, and words with their blanks."""
    return ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS)


def sentencepiece_tokenizer() -> Any:
    """Return a tokenizer that puts a blank before every text, and writes bytes for what it has no token for."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    names = {name: place for place, name in enumerate(sentencepieces())}
    tokenizer = Tokenizer(models.BPE(vocab=names, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def is_control(piece: str) -> bool:
    """Whether a piece is a special token, which is no part of a text: one that is written as ``<|...|>``."""
    return piece.startswith("<|") and piece.endswith("|>")
