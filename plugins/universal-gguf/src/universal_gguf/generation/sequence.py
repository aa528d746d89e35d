"""An answer to a prompt that may have pictures and recordings."""

from collections.abc import Container, Mapping
from types import MappingProxyType

from universal_core.continuous_batching import GuessedSequence
from universal_core.conversation import Answer, Sampler
from universal_gguf.generation.media import Medium


class MediaSequence(GuessedSequence):
    """An answer whose prompt has ``media``, by the places where they stand."""

    def __init__(
        self,
        prompt: list[int],
        sampler: Sampler,
        answer: Answer,
        *,
        limit: int,
        ends: Container[int],
        media: Mapping[int, Medium] = MappingProxyType({}),
    ) -> None:
        super().__init__(prompt, sampler, answer, limit=limit, ends=ends)
        self.media = media

    def portion(self, most: int) -> int:
        """Return how many tokens to read next: text up to a medium, or of a medium what may be read apart."""
        for place, medium in self.media.items():
            end = place + medium.span.tokens
            if self.read < place:
                return min(most, place - self.read)
            if self.read < end:
                return min(most, end - self.read) if medium.causal else end - self.read
        return super().portion(most)

    def medium_at(self, place: int) -> tuple[int, Medium]:
        """Return the medium that stands at a place, with the place where it begins."""
        begin = max(start for start in self.media if start <= place)
        return begin, self.media[begin]
