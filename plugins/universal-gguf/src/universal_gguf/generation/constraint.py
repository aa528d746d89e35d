"""Answers in a form: what may come next by a JSON schema or a grammar."""

import ctypes
import json
import threading
from functools import cached_property

import llama_cpp
import numpy
from llama_cpp import llama_cpp as binding
from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import any_to_lark
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from universal_core import BadRequest, ChatRequest, GenerationRequest
from universal_gguf.generation.sampling import Numbers
from universal_gguf.vocabulary import GgufVocabulary

_SPECIAL = b"\xff"


class Grammars:
    """Makes constraints for a model's vocabulary; what that takes is made when it is first needed, once."""

    def __init__(self, vocabulary: GgufVocabulary) -> None:
        self._vocabulary = vocabulary
        self._making = threading.Lock()

    def constraint_for(self, request: GenerationRequest) -> "Follower | None":
        """Return what the answer has to follow, None for free text. Raises BadRequest for a form that is not valid."""
        if request.grammar is not None:
            return self._follower(_from_text(request.grammar), "grammar")
        form = request.response_format if isinstance(request, ChatRequest) else None
        if form is None:
            return None
        schema = form.schema if form.schema is not None else {"type": "object"}
        param = "response_format" if form.schema is None else "response_format.json_schema.schema"
        return self._follower(LLMatcher.grammar_from_json_schema(json.dumps(schema)), param)

    def _follower(self, grammar: str, param: str) -> "Follower":
        with self._making:
            tokenizer = self._tokenizer
        matcher = LLMatcher(tokenizer, grammar)
        if matcher.is_error():
            words = matcher.get_error().strip().splitlines()
            raise BadRequest(f"{param}: {words[0] if words else 'it cannot be followed'}", param=param)
        return Follower(matcher, self._vocabulary.size)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        """What llguidance makes of a vocabulary; its own lltokenizer_from_vocab warns of old names at every token."""
        vocabulary = self._vocabulary
        return LLTokenizer.from_llamacpp(  # type: ignore[attr-defined, no-any-return]
            tokens=[self._spelled(token) for token in range(vocabulary.size)],
            vocab_ptr=vocabulary.pointer,
            tokenize_fptr=ctypes.cast(binding._lib.llama_tokenize, ctypes.c_void_p).value,
            eos_token=[token for token in range(vocabulary.size) if token in vocabulary.ends],
        )

    def _spelled(self, token: int) -> bytes:
        """Return the bytes of a token, marked where no text of an answer may be written with it."""
        written = self._vocabulary.bytes_of(token)
        attributes = llama_cpp.llama_vocab_get_attr(self._vocabulary.pointer, token)
        looks_special = written.startswith(b"<") and written.endswith(b">")
        if attributes & llama_cpp.LLAMA_TOKEN_ATTR_CONTROL or (
            attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED and looks_special
        ):
            return _SPECIAL + written
        return written


class Follower:
    """One answer on its way through a grammar."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._mask = allocate_token_bitmask(1, size)
        self._size = size

    def apply(self, logits: Numbers) -> None:
        """Set the logits of all tokens that may not come next to -inf; at the end only one that ends may come."""
        fill_next_token_bitmask(self._matcher, self._mask)
        allowed = numpy.unpackbits(self._mask.view(numpy.uint8), bitorder="little")[: self._size]
        logits[allowed == 0] = -numpy.inf

    def accept(self, token: int) -> None:
        """Go on from a token that was chosen."""
        self._matcher.consume_token(token)


def _from_text(text: str) -> str:
    """Return the grammar in llguidance's form: Lark as it is, and GBNF translated."""
    try:
        return str(LLMatcher.grammar_from_lark(any_to_lark(text)))
    except Exception as error:  # noqa: BLE001 - llguidance has no narrower class for GBNF that it cannot read
        raise BadRequest(f"grammar: {error}", param="grammar") from None
