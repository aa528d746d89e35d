"""The text side of one answer: tokens go in, events come out."""

from collections.abc import Sequence

from universal_core.conversation.detokenize import Detokenizer
from universal_core.conversation.logprobs import described
from universal_core.conversation.sampling import Choice
from universal_core.conversation.stops import StopMatcher
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.messages import Event, Finish, FinishReason, Text, TokenLogprob


class Answer:
    """Turns the chosen tokens of answer ``index`` into Text events, up to a stop string.

    ``before`` holds the tokens in front of the answer where the answer continues their text.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, index: int = 0, stops: Sequence[str] = (), before: Sequence[int] = ()
    ) -> None:
        self.index = index
        self.stopped = False
        self._vocabulary = vocabulary
        self._detokenizer = Detokenizer(vocabulary.decode, before)
        self._stops = StopMatcher(stops)
        self._read = 0
        self._sent = 0
        self._logprobs: list[tuple[int, TokenLogprob]] = []

    def push(self, choice: Choice) -> list[Event]:
        """Return the events that a further token brings; ``stopped`` tells afterwards whether it was the last."""
        if choice.logprob is not None:
            self._logprobs.append((self._read, described(self._vocabulary, choice)))
        text = self._detokenizer.feed(choice.token)
        self._read += len(text)
        text, self.stopped = self._stops.feed(text)
        return self._emit(text)

    def finish(self, reason: FinishReason) -> list[Event]:
        """Return what was held back, and the end."""
        rest: list[Event] = []
        if not self.stopped:
            text, self.stopped = self._stops.feed(self._detokenizer.flush())
            rest = self._emit(text + self._stops.flush(), last=not self.stopped)
        return [*rest, Finish(reason=reason, index=self.index)]

    def _emit(self, text: str, *, last: bool = False) -> list[Event]:
        self._sent += len(text)
        ready = [entry for start, entry in self._logprobs if last or start < self._sent]
        if not text and not ready:
            return []
        # A token goes out with the text in which it begins; those of a stop string begin after the last text.
        self._logprobs = [pair for pair in self._logprobs if not last and pair[0] >= self._sent]
        return [Text(text=text, index=self.index, logprobs=tuple(ready))]
