"""What a model thinks of the tokens of a prompt, for answers that repeat it with log-probabilities."""

from collections.abc import Callable
from typing import Any

from universal_core.conversation.logprobs import described
from universal_core.conversation.sampling import Choice
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.messages import Text

Score = Callable[[Any, list[int]], list[Choice]]
"""From logits ``[tokens, vocabulary]`` and the tokens that came after each, to these with their log-probabilities."""


class PromptScores:
    """Notes the log-probabilities of a prompt's tokens while the prompt is read; all answers to it share them.

    ``text`` is how the prompt is shown. Only numbers of the tokens are kept, never the logits. The first token comes
    after nothing, so it has none.
    """

    def __init__(self, vocabulary: Vocabulary, tokens: list[int], text: str) -> None:
        self._vocabulary = vocabulary
        self._tokens = tokens
        self._text = text
        self._choices = [Choice(tokens[0])]

    @property
    def complete(self) -> bool:
        """Whether there is nothing more to note."""
        return len(self._choices) == len(self._tokens)

    @property
    def read(self) -> int:
        """After how many of the first tokens the logits are not needed any more."""
        return len(self._choices) - 1

    def note(self, start: int, logits: Any, score: Score) -> None:
        """Take the logits after the tokens from place ``start`` on, ``[tokens, vocabulary]``; some may be known."""
        known = self.read
        following = self._tokens[known + 1 : start + len(logits) + 1]
        self._choices += score(logits[known - start : known - start + len(following)], following)

    def told(self, index: int) -> list[Text]:
        """Return the prompt as the beginning of answer ``index``."""
        entries = tuple(described(self._vocabulary, choice) for choice in self._choices)
        # What the tokenizer puts before a text is a token without a place in it.
        before = 0 if self._text.startswith(entries[0].token) else int(self._vocabulary.is_special(self._tokens[0]))
        parts = (("", entries[:before]), (self._text, entries[before:]))
        return [Text(text=text, index=index, logprobs=part) for text, part in parts if text or part]
