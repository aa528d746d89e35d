"""A request inside an engine: a job, and the sequences that are its answers."""

import asyncio
from collections.abc import Container
from typing import Any, Protocol

from universal_core.conversation.answer import Answer
from universal_core.conversation.sampling import Choice
from universal_core.conversation.scores import PromptScores
from universal_core.messages import Event, FinishReason, Usage


class Sampler(Protocol):
    """Chooses the tokens of one answer."""

    def choose(self, logits: Any) -> Choice:
        """Return the next token for what the runner made of the last one.

        That may be made for another answer to the same prompt, which has the same logits.
        """

    def score(self, logits: Any, tokens: list[int]) -> list[Choice]:
        """Return tokens of a prompt with their log-probabilities by the logits before each, ``[tokens, vocabulary]``.

        The alternatives are as many as the answer has.
        """


class Sequence:
    """One answer being written: ``tokens`` has the prompt and what was written, at most ``limit`` tokens.

    The first ``read`` of them have been handed to the model. ``state`` belongs to the runner, which keeps there what
    it knows of the tokens read so far. ``scores`` are there where the answer repeats its prompt with log-probabilities.
    ``further_ends`` are tokens that end this answer, beside those that end any. ``adapter`` is the one that it is
    written with, None for the model alone.
    """

    def __init__(
        self, prompt: list[int], sampler: Sampler, answer: Answer, *, limit: int, ends: Container[int]
    ) -> None:
        self.job: Job | None = None
        self.state: Any = None
        self.adapter: str | None = None
        self.scores: PromptScores | None = None
        self.further_ends: Container[int] = ()
        self.tokens = list(prompt)
        self.read = 0
        self.written = 0
        self.finished = False
        self._sampler = sampler
        self._answer = answer
        self._limit = limit
        self._ends = ends

    @property
    def sampler(self) -> Sampler:
        """What chooses the tokens: a runner may let those of several sequences choose together."""
        return self._sampler

    @property
    def reasoning_tokens(self) -> int:
        """How many of the tokens that were written belong to thoughts."""
        return self._answer.reasoning_tokens

    @property
    def unread(self) -> int:
        """How many tokens have not been handed out yet."""
        return len(self.tokens) - self.read

    @property
    def is_scored(self) -> bool:
        """Whether the logits after each of the next tokens are wanted."""
        return self.scores is not None and not self.scores.complete

    @property
    def reusable(self) -> int:
        """How many of the first tokens need not be read where something else has read them: at least one must be."""
        last = len(self.tokens) - 1
        return last if self.scores is None else min(last, self.scores.read)

    def portion(self, most: int) -> int:
        """Return how many tokens to hand out next, where there is room for ``most``."""
        return min(most, self.unread)

    def take(self, most: int = 1) -> list[int]:
        """Hand out the next tokens; they count as read from now on."""
        piece = self.tokens[self.read : self.read + most]
        self.read += len(piece)
        return piece

    def wanted(self, count: int) -> int:
        """Return after how many of the last ``count`` tokens that were handed out the logits are wanted."""
        if self.is_scored:
            return count
        return 0 if self.unread else 1

    def note(self, logits: Any) -> Any:
        """Take in the logits that were wanted; return those after the last token, None while there is more to read."""
        if self.scores is None or self.scores.complete:
            return logits
        rows = logits.reshape(-1, logits.shape[-1])
        self.scores.note(self.read - len(rows), rows, self._sampler.score)
        return None if self.unread else rows[-1]

    def accept(self, logits: Any) -> list[Event]:
        """Choose the next token and return the events that it brings."""
        if self.scores is None or self.written:
            return self._choose(logits)
        told = self.scores.told(self._answer.index)
        return [*told, *(self._choose(logits) if self._limit else self._finish("length"))]

    def _choose(self, logits: Any) -> list[Event]:
        choice = self._sampler.choose(logits)
        self.tokens.append(choice.token)
        self.written += 1
        if choice.token in self._ends or choice.token in self.further_ends:
            return self._finish("stop")
        events = self._answer.push(choice)
        if self._answer.stopped:
            return events + self._finish("stop")
        if self.written >= self._limit:
            return events + self._finish("length")
        return events

    def _finish(self, reason: FinishReason) -> list[Event]:
        self.finished = True
        return self._answer.finish(reason)


class Job:
    """All answers to one request, and the way back to the loop that waits for them.

    ``cached_tokens`` tells how many of the prompt's tokens were not computed again.
    """

    def __init__(self, sequences: list[Sequence], prompt_tokens: int) -> None:
        self.sequences = sequences
        self.prompt_tokens = prompt_tokens
        self.cached_tokens = 0
        self.loop = asyncio.get_running_loop()
        self.arrived: asyncio.Queue[list[Event] | Exception] = asyncio.Queue()
        self.over = False
        for sequence in sequences:
            sequence.job = self

    @property
    def finished(self) -> bool:
        """Whether every answer is complete."""
        return all(sequence.finished for sequence in self.sequences)

    def usage(self) -> Usage:
        """Return the tokens read and written; the prompt counts once, however many answers there are."""
        written = sum(sequence.written for sequence in self.sequences)
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=written,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=sum(sequence.reasoning_tokens for sequence in self.sequences),
        )


def job_of(sequence: Sequence) -> Job:
    """Return the job that a sequence belongs to."""
    if sequence.job is None:
        raise ValueError("a sequence runs only as part of a job")
    return sequence.job
