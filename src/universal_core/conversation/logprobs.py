"""Chosen tokens as events tell them."""

from universal_core.conversation.sampling import Choice
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.messages import TokenAlternative, TokenLogprob


def described(vocabulary: Vocabulary, choice: Choice) -> TokenLogprob:
    """Return a choice with its tokens as text and bytes."""
    data = vocabulary.bytes_of(choice.token)
    others = tuple(_alternative(vocabulary, token, value) for token, value in choice.alternatives)
    return TokenLogprob(token=_text(data), data=data, logprob=choice.logprob, alternatives=others)


def _alternative(vocabulary: Vocabulary, token: int, logprob: float) -> TokenAlternative:
    data = vocabulary.bytes_of(token)
    return TokenAlternative(token=_text(data), data=data, logprob=logprob)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
