"""A request inside the engine: a job, and the sequences that are its answers."""

import asyncio
from typing import Any

from torch import Tensor

from universal_core import Event, FinishReason, Usage
from universal_text.causal.answer import Answer
from universal_text.causal.sampling import Sampler


class Sequence:
    """One answer being written: ``prompt`` is read in pieces, then at most ``limit`` tokens are written.

    ``state`` belongs to the runner, which keeps there what it knows of the tokens read so far.
    """

    def __init__(
        self, prompt: list[int], sampler: Sampler, answer: Answer, *, limit: int, ends: frozenset[int]
    ) -> None:
        self.job: Job | None = None
        self.state: Any = None
        self.written = 0
        self.finished = False
        self._prompt = prompt
        self._sampler = sampler
        self._answer = answer
        self._limit = limit
        self._ends = ends
        self._read = 0
        self._last = -1

    @property
    def unread(self) -> int:
        """How many tokens of the prompt have not been handed out yet."""
        return len(self._prompt) - self._read

    def take_prompt(self, most: int) -> list[int]:
        """Hand out the next tokens of the prompt."""
        piece = self._prompt[self._read : self._read + most]
        self._read += len(piece)
        return piece

    def skip_prompt(self) -> None:
        """Count the prompt as read: the state of another sequence with the same prompt was copied."""
        self._read = len(self._prompt)

    def take_last(self) -> list[int]:
        """Hand out the token that was written last."""
        return [self._last]

    def accept(self, logits: Tensor) -> list[Event]:
        """Choose the next token and return the events that it brings."""
        choice = self._sampler.choose(logits)
        self._last = choice.token
        self.written += 1
        if choice.token in self._ends:
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
    """All answers to one request, and the way back to the loop that waits for them."""

    def __init__(self, sequences: list[Sequence], prompt_tokens: int) -> None:
        self.sequences = sequences
        self.prompt_tokens = prompt_tokens
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
        return Usage(prompt_tokens=self.prompt_tokens, completion_tokens=written)


def job_of(sequence: Sequence) -> Job:
    """Return the job that a sequence belongs to."""
    if sequence.job is None:
        raise ValueError("a sequence runs only as part of a job")
    return sequence.job
