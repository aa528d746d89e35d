"""Donut: reads a document into fields, with marks such as ``<s_total>`` around them."""

import re
from typing import Any

from universal_vision.captions.encoder_decoder import VisionEncoderDecoder
from universal_vision.captions.writer import Prepared

_FIELD, _MARK = "<s_", re.compile(r"<[^<>]*>")


class Donut(VisionEncoderDecoder):
    """Goes on from its task, such as ``<s_cord-v2>``; without one from that of its files."""

    def text_of(self, prepared: Prepared, tokens: list[int]) -> str:
        """Return tokens as text, with the marks of fields and without the first, which is the task's."""
        marked: str = self.processor.decode(tokens, skip_special_tokens=False)
        if _FIELD not in marked:
            return super().text_of(prepared, tokens)
        for mark in (self.processor.tokenizer.eos_token, self.processor.tokenizer.pad_token):
            marked = marked.replace(mark, "")
        return _MARK.sub("", marked, count=1).strip()

    def parse(self, prepared: Prepared, text: str) -> Any:
        """Return the fields of a text, None for one without any."""
        return self.processor.token2json(text) if _FIELD in text else None
