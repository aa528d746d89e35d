"""Answers in a form: which tokens may come next by a grammar, with llguidance."""

import json
import threading
from functools import cached_property

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from universal_core.conversation.constraint import Grammar
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import BadRequest


class Grammars:
    """Makes constraints for a model's vocabulary; what that takes is made when it is first needed, once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._making = threading.Lock()

    def follow(self, grammar: Grammar) -> "Follower":
        """Return what keeps an answer to a grammar. Raises BadRequest for one that cannot be followed."""
        with self._making:
            tokenizer = self._tokenizer
        parts = [{"name": name, **part} for name, part in grammar.parts.items()]
        matcher = LLMatcher(tokenizer, json.dumps({"grammars": [{"lark_grammar": grammar.rules}, *parts]}))
        if matcher.is_error():
            words = matcher.get_error().strip().splitlines()
            param = next(iter(grammar.params.values()), None)
            raise BadRequest(f"{param}: {words[0] if words else 'it cannot be followed'}", param=param)
        return Follower(matcher)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        vocabulary = self._vocabulary
        ends = [token for token in range(vocabulary.size) if token in vocabulary.ends]
        return LLTokenizer(TokenizerWrapper(_Spelling(vocabulary, ends)), n_vocab=vocabulary.size, eos_token=ends)


class _Spelling:
    """A vocabulary as llguidance wants it."""

    def __init__(self, vocabulary: Vocabulary, ends: list[int]) -> None:
        self._vocabulary = vocabulary
        self.eos_token_id = ends[0] if ends else None
        self.bos_token_id = None
        self.tokens = [vocabulary.bytes_of(token) for token in range(vocabulary.size)]
        self.special_token_ids = [token for token in range(vocabulary.size) if vocabulary.is_special(token)]

    def __call__(self, text: bytes | str) -> list[int]:
        written = text.decode(errors="replace") if isinstance(text, bytes) else text
        return self._vocabulary.encode(written, special=False)


class Follower:
    """One answer on its way through a grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def mask(self) -> bytes | None:
        """Return a bit for each token, set where it may come next; at the end only those that end an answer."""
        return self._matcher.compute_bitmask()

    def accept(self, token: int) -> None:
        """Go on from a token that was chosen."""
        self._matcher.consume_token(token)

    def copy(self) -> "Follower":
        """Return the same for a further answer."""
        return Follower(self._matcher.deep_copy())
