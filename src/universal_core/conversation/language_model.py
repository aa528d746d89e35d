"""The tasks of a model that writes text, whatever computes underneath."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from functools import cached_property, partial
from typing import Any, TypeVar

from msgspec.structs import replace

from universal_core.conversation.answer import Answer
from universal_core.conversation.budget import ThinkingBudget
from universal_core.conversation.constraint import Constraint
from universal_core.conversation.dialect import Dialect
from universal_core.conversation.dialects import dialect_of
from universal_core.conversation.engine import Engine
from universal_core.conversation.fill import Filler
from universal_core.conversation.forms import grammar_of
from universal_core.conversation.grammars import Grammars
from universal_core.conversation.job import Job, Sequence
from universal_core.conversation.plain import PLAIN_STOPS
from universal_core.conversation.prompt import Prompter
from universal_core.conversation.sampling import Sampling
from universal_core.conversation.scores import PromptScores
from universal_core.conversation.settings import room_for, sampling_of
from universal_core.conversation.truncation import ChatReader
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import BadRequest
from universal_core.messages import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    DetokenizeResult,
    Event,
    Finish,
    GenerationRequest,
    Text,
    TokenizeRequest,
    TokenizeResult,
    Usage,
)

Value = TypeVar("Value")

_TAIL = 48


class LanguageModel(ABC):
    """Answers ``chat``, ``complete``, ``tokenize`` and ``detokenize`` for many requests at once.

    A plugin's model inherits from it and says which engine writes, and how an answer is begun. ``defaults`` are the
    model's own settings of sampling, by the names of the request's fields. Without a ``dialect`` it is the one that the
    prompter's chat template shows.
    """

    adapters: Collection[str] = ()
    """The names of the adapters that answers can be written with."""

    def __init__(
        self, vocabulary: Vocabulary, prompter: Prompter, defaults: dict[str, Any], dialect: Dialect | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._dialect = dialect or dialect_of(vocabulary, prompter.template)
        prompter.ending = self._dialect.ending
        prompter.shown = self._dialect.shown
        self._grammars = Grammars(vocabulary)
        self._prompter = prompter
        self._defaults = defaults

    @abstractmethod
    async def _engine_for(self, request: GenerationRequest) -> tuple[Engine, int]:
        """Return what writes the answer, and how many tokens prompt and answer may have together."""

    @abstractmethod
    def _begin(
        self,
        request: GenerationRequest,
        prompt: list[int],
        answer: Answer,
        limit: int,
        constraint: Constraint | None,
    ) -> Sequence:
        """Return an answer that is ready to be written; runs on a thread of its own."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """Yield the assistant's next turn."""
        request = self._dialect.told(request)
        stops = request.stop if self._prompter.has_template else (*request.stop, *PLAIN_STOPS)
        reader = ChatReader(self._prompter.read_chat, request)
        continues = bool(request.chat_template_kwargs.get("continue_final_message"))
        begin = partial(self._begin_all, request, reader.read, stops, "messages", continues=continues)
        async with aclosing(self._write(request, begin, reader.news)) as events:
            async for event in events:
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield what follows the prompt, after the prompt itself where ``echo`` asks for it."""
        begin = partial(self._begin_completion, request)
        async with aclosing(self._write(request, begin, partial(self._echo, request))) as events:
            async for event in events:
                yield event

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResult:
        """Return the tokens of a text, or of a conversation as ``chat`` reads it."""

        def read() -> TokenizeResult:
            text = request.text
            if text is None:
                tokens = self._prompter.read_chat(self._dialect.told(request.chat))
            else:
                tokens = self._vocabulary.encode(text, special=request.add_special)
            return self._vocabulary.tokenized(tokens, pieces=request.pieces)

        return await self._prepare(request, read)

    async def detokenize(self, request: DetokenizeRequest) -> DetokenizeResult:
        """Return the text of tokens."""
        return await self._aside(lambda: self._vocabulary.detokenized(request.tokens))

    async def _prepare(self, request: GenerationRequest | TokenizeRequest, work: Callable[[], Value]) -> Value:
        """Read a request's prompt in another thread; a plugin may have threads of its own for some requests."""
        return await self._aside(work)

    async def _aside(self, work: Callable[[], Value]) -> Value:
        """Work in another thread: a long text takes long enough to hold up every stream."""
        return await asyncio.to_thread(work)

    async def _write(
        self,
        request: GenerationRequest,
        begin: Callable[[int], list[Sequence]],
        before: Callable[[], list[Event]],
    ) -> AsyncGenerator[Event, None]:
        """Yield what ``before`` returns when the answers are begun, then the answers."""
        engine, context = await self._engine_for(request)
        answers = await self._prepare(request, partial(begin, context))
        count = len(answers[0].tokens)
        for event in before():
            yield event
        if request.max_tokens == 0 and answers[0].scores is None:
            for index in range(request.n):
                yield Finish(reason="length", index=index)
            yield Usage(prompt_tokens=count)
            return
        async with aclosing(engine.stream(Job(answers, count))) as events:
            async for event in events:
                yield event

    def _begin_completion(self, request: CompletionRequest, context: int) -> list[Sequence]:
        """Begin the answers to a prompt, which are a part of the same text."""
        filler = self._filler if request.suffix else None
        if filler and request.echo and request.logprobs is not None:
            raise BadRequest("suffix cannot be combined with echo and logprobs; leave one of them out", param="suffix")

        def read(context: int) -> list[int]:
            prompt, suffix = request.prompt, request.suffix or ""
            return filler.read(prompt, suffix) if filler else self._prompter.read_text(prompt)

        answers = self._begin_all(request, read, request.stop, "prompt", context, continues=True)
        scored = request.echo and request.logprobs is not None
        prompt = answers[0].tokens
        scores = PromptScores(self._vocabulary, list(prompt), self._shown(request)) if scored else None
        for answer in answers:
            answer.scores = scores
            answer.further_ends = filler.ends if filler else ()
        return answers

    def _echo(self, request: CompletionRequest) -> list[Event]:
        """Return the prompt as the beginning of each answer; with log-probabilities it comes when the model read it."""
        if not request.echo or request.logprobs is not None:
            return []
        shown = self._shown(request)
        return [Text(text=shown, index=index) for index in range(request.n)]

    def _shown(self, request: CompletionRequest) -> str:
        given = request.prompt
        return given if isinstance(given, str) else self._vocabulary.decode(list(given))

    @cached_property
    def _filler(self) -> Filler:
        return Filler(self._vocabulary)

    def _begin_all(
        self,
        request: GenerationRequest,
        read: Callable[[int], list[int]],
        stops: tuple[str, ...],
        param: str,
        context: int,
        *,
        continues: bool = False,
    ) -> list[Sequence]:
        """Read the prompt, check everything that can be checked before any work, and return the answers to write.

        ``continues`` says that an answer goes on with the text of its prompt.
        """
        self._check_adapter(request.adapter)
        prompt = read(context)
        if not prompt:
            raise BadRequest("the prompt is empty", param=param)
        limit = room_for(len(prompt), request, context, param)
        before = [token for token in prompt if token >= 0] if continues else []
        tail = self._tail(prompt)
        constraint = self._constraint(request, tail)
        sequences = [
            self._begin(
                request,
                prompt,
                Answer(self._vocabulary, index=index, stops=stops, before=before, **self._parsing(request, tail)),
                limit,
                constraint.copy() if constraint else None,
            )
            for index in range(request.n)
        ]
        for sequence in sequences:
            sequence.adapter = request.adapter
        return sequences

    def _check_adapter(self, name: str | None) -> None:
        if name is not None and name not in self.adapters:
            there = ", ".join(self.adapters) or "none"
            raise BadRequest(f"model: there is no adapter {name!r}; loaded are: {there}", param="model")

    def _parsing(self, request: GenerationRequest, tail: str) -> dict[str, Any]:
        """Return how an answer is taken apart: what completes a text is nothing but content."""
        if not isinstance(request, ChatRequest):
            return {}
        return {"parser": self._dialect.parser(request, tail), "markers": self._dialect.markers(request)}

    def _constraint(self, request: GenerationRequest, tail: str) -> Constraint | None:
        form = grammar_of(request.response_format) if request.response_format else None
        grammar = self._dialect.grammar(request, tail, form) if isinstance(request, ChatRequest) else form
        kept = self._grammars.follow(grammar) if grammar else None
        if not isinstance(request, ChatRequest) or request.thinking_budget is None:
            return kept
        end = self._dialect.thought_end(request, tail)
        if end is None:
            return kept
        tokens = self._vocabulary.encode(end, special=False)
        thoughts = self._parsing(replace(request, tools=()), tail)
        return ThinkingBudget(self._vocabulary, **thoughts, budget=request.thinking_budget, end=tokens, inner=kept)

    def _tail(self, prompt: list[int]) -> str:
        """Return the end of a prompt, special tokens included: a turn may have begun there."""
        return self._vocabulary.decode_all([token for token in prompt[-_TAIL:] if token >= 0])

    def _sampling(self, request: GenerationRequest, answer: Answer) -> Sampling:
        """Return the settings of an answer: what the request says, else what the model recommends."""
        return sampling_of(request, self._defaults, self._vocabulary.size, answer.index)
