"""The request of the ``complete`` task: continue a text."""

from typing import ClassVar

from universal_core.messages.generation import GenerationRequest


class CompletionRequest(GenerationRequest, frozen=True, kw_only=True):
    """Continue one prompt, given as text or as token ids.

    ``echo`` repeats the prompt before the answer; ``suffix`` is the text that must follow the answer.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"prompt", "max_tokens", "max_tokens_is_ceiling"})

    prompt: str | tuple[int, ...]
    echo: bool = False
    suffix: str | None = None
