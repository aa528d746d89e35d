"""Answers in a form: which tokens may come next by a grammar, with llguidance."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from universal_core.conversation.constraint import Grammar
from universal_core.conversation.schemas import blame, followable
from universal_core.conversation.spelling import Spelling
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import BadRequest

# What a client sends may cost this much: objects of some hundred members need rows of thousands of items, and all
# states of a lexer together 100 MB.
_LIMITS = LLParserLimits(
    max_items_in_row=20_000, initial_lexer_fuel=500_000, max_lexer_states=50_000, verbose_errors=False
)
# A grammar takes some thirty times the memory of its text: 60 MB for all that are kept.
_KEPT, _KEPT_TEXT = 64, 2_000_000
# Some expressions explode at their first characters only: these are tried before any work is done.
_TRIED = 3


class Grammars:
    """Makes constraints for a model's vocabulary; what that takes is made when it is first needed, once.

    The grammars that were asked for last are kept, since agents send the same tools and schemas again and again.
    It may be used from several threads, and compiles without holding up the others.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._making = threading.Lock()
        self._keeping = threading.Lock()
        self._kept: OrderedDict[str, Follower] = OrderedDict()

    def follow(self, grammar: Grammar) -> "Follower":
        """Return what keeps an answer to a grammar. Raises BadRequest for one that cannot be followed.

        An answer that is complete ends with a token of the vocabulary's ``ends``, and nothing else may follow it.
        """
        key = json.dumps([grammar.rules, dict(grammar.parts), dict(grammar.params)], default=dict)
        with self._keeping:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key].copy()
        found = self._compile(grammar)
        with self._keeping:
            self._kept[key] = found
            while len(self._kept) > _KEPT or sum(map(len, self._kept)) > _KEPT_TEXT:
                self._kept.popitem(last=False)
        return found.copy()

    def _compile(self, grammar: Grammar) -> "Follower":
        with self._making:
            tokenizer = self._tokenizer
        param = next(iter(grammar.params.values()), None)
        parts = {name: _part(part, grammar.params.get(name, param)) for name, part in grammar.parts.items()}
        matcher = LLMatcher(tokenizer, _joined(grammar.rules, parts), log_level=0, limits=_LIMITS)
        if matcher.is_error():
            _explain(parts, grammar.params, tokenizer)
            raise _refused(matcher.get_error(), param)
        if warnings := matcher.get_grammar_warnings():
            # A schema inside a client's own grammar may ask to be kept to only in part.
            raise _refused(warnings[0], param)
        follower = Follower(matcher, self._vocabulary, param)
        follower.try_out(_TRIED)
        return follower

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        vocabulary = self._vocabulary
        ends = [token for token in range(vocabulary.size) if token in vocabulary.ends]
        if not ends:
            raise BadRequest("this model has no token that ends an answer, so it cannot answer in a form")
        return LLTokenizer(TokenizerWrapper(Spelling(vocabulary, ends)), n_vocab=vocabulary.size, eos_token=ends)


class Follower:
    """One answer on its way through a grammar; ``param`` is the field of the request that asked for it."""

    def __init__(self, matcher: LLMatcher, vocabulary: Vocabulary, param: str | None) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._param = param

    def mask(self) -> bytes:
        """Return a bit for each token, set where it may come next; at the end only those that end an answer.

        Raises BadRequest where the grammar turned out to be too complex, or the model has no token to go on with.
        """
        mask = self._matcher.compute_bitmask()
        self._check()
        if mask.count(0) == len(mask):
            raise BadRequest(
                f"{self._param}: the model has no token with which the answer could go on", param=self._param
            )
        return mask

    def accept(self, token: int) -> None:
        """Go on from a token that was chosen; one that ends the answer changes nothing. Raises BadRequest."""
        if token not in self._vocabulary.ends:
            self._matcher.consume_token(token)
            self._check()

    def copy(self) -> "Follower":
        """Return the same for a further answer."""
        return Follower(self._matcher.deep_copy(), self._vocabulary, self._param)

    def try_out(self, count: int) -> None:
        """Raise BadRequest where the first tokens cannot be written; this here stays where it is."""
        trial = self.copy()
        for _ in range(count):
            mask = int.from_bytes(trial.mask(), "little")
            first = (mask & -mask).bit_length() - 1
            if first in self._vocabulary.ends:
                return
            trial.accept(first)

    def _check(self) -> None:
        # In this state llguidance would let an answer end anywhere, as if it were complete.
        if self._matcher.is_error():
            raise _refused(self._matcher.get_error(), self._param)


def _part(part: Mapping[str, Any], param: str | None) -> dict[str, Any]:
    if "json_schema" not in part:
        return dict(part)
    return {"json_schema": followable(part["json_schema"], param)}


def _joined(rules: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the form in which llguidance takes grammars that name one another."""
    named = [{"name": name, **part} for name, part in parts.items()]
    return json.dumps({"grammars": [{"lark_grammar": rules}, *named]})


def _explain(parts: dict[str, dict[str, Any]], params: Mapping[str, str], tokenizer: LLTokenizer) -> None:
    """Raise BadRequest for a part that cannot be followed by itself, with the place in it; schemas name no others."""

    def problem_of(name: str, part: Mapping[str, Any]) -> str | None:
        rules = _joined(f"start: @{name}", {**parts, name: part} if "lark_grammar" in part else {name: part})
        words = LLMatcher.validate_grammar(rules, tokenizer, limits=_LIMITS)
        return _reason(words) if words else None

    def fault(name: str, part: dict[str, Any]) -> str | None:
        if "json_schema" not in part:
            return problem_of(name, part)
        return blame(part["json_schema"], lambda schema: problem_of(name, {"json_schema": schema}))

    fallback = next(iter(params.values()), None)
    for name in sorted(parts, key=lambda name: "lark_grammar" in parts[name]):
        if problem := fault(name, parts[name]):
            param = params.get(name, fallback)
            raise BadRequest(f"{param}: {problem}", param=param)


def _refused(words: str, param: str | None) -> BadRequest:
    if words.startswith("NoExtension"):
        words = "no answer at all can follow it"
    return BadRequest(f"{param}: {_reason(words)}", param=param)


def _reason(words: str) -> str:
    """Return what a message of llguidance's says, without its drawings."""
    lines = [line.strip() for line in words.split("<state>")[0].splitlines() if line.strip()]
    telling = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return ": ".join([line.rstrip(":") for line in [*lines[:1], *telling]]) or "it cannot be followed"
