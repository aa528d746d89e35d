"""A loaded causal language model: the tasks ``chat`` and ``complete``."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from universal_core import (
    BadRequest,
    ChatRequest,
    CompletionRequest,
    Event,
    Finish,
    GenerationRequest,
    ModelInfo,
    Text,
    Usage,
)
from universal_core.conversation import (
    PLAIN_STOPS,
    Answer,
    Engine,
    Job,
    Sequence,
    context_asked,
    room_for,
    sampling_of,
)
from universal_text.causal.load import load, vocabulary_of
from universal_text.causal.prompt import Prompter
from universal_text.causal.runner import SoloRunner
from universal_text.causal.sampling import Sampler
from universal_text.causal.scheduler import Scheduler
from universal_text.causal.settings import default_sampling
from universal_text.claims import context_of
from universal_text.devices import use_threads
from universal_text.options import CausalOptions

# For the few models without positions (recurrent ones), whose state does not grow.
_UNBOUNDED_CONTEXT = 32768
_WHOLE = 2**62


class CausalModel:
    """Writes text for many requests at once."""

    def __init__(self, info: ModelInfo, options: CausalOptions) -> None:
        use_threads(options.threads)
        model, tokenizer = load(info, options)
        self._vocabulary = vocabulary_of(model, tokenizer)
        self._prompter = Prompter(tokenizer, self._vocabulary)
        self._defaults = default_sampling(info.documents.get("generation_config.json"))
        self.context = _context(model.config, options.n_ctx)
        self._runner = SoloRunner(model)
        chunk = _WHOLE if self._runner.reads_whole_prompts else options.prefill_chunk
        self._engine = Engine(self._runner, Scheduler(options.slots, chunk))
        # Tokenizers are not promised to be safe in two threads at once.
        self._tokenizing = threading.Lock()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """Yield the assistant's next turn."""
        prompt = await self._tokenize(lambda: self._prompter.read_chat(request))
        stops = request.stop if self._prompter.has_template else (*request.stop, *PLAIN_STOPS)
        job = self._prepare(request, prompt, stops=stops, before=[], param="messages")
        async with aclosing(self._engine.stream(job)) as events:
            async for event in events:
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield what follows the prompt, after the prompt itself where ``echo`` asks for it."""
        if request.echo and request.logprobs is not None:
            raise BadRequest("echo cannot be combined with logprobs on this model", param="echo")
        prompt = await self._tokenize(lambda: self._prompter.read_text(request.prompt))
        job = self._prepare(request, prompt, stops=request.stop, before=prompt, param="prompt")
        if request.echo:
            shown = request.prompt if isinstance(request.prompt, str) else self._vocabulary.decode(prompt)
            for index in range(request.n):
                yield Text(text=shown, index=index)
        if request.max_tokens == 0:
            for index in range(request.n):
                yield Finish(reason="length", index=index)
            yield Usage(prompt_tokens=len(prompt))
            return
        async with aclosing(self._engine.stream(job)) as events:
            async for event in events:
                yield event

    def close(self) -> None:
        """End the engine; what is still being written fails."""
        self._engine.close()

    async def _tokenize(self, read: Callable[[], list[int]]) -> list[int]:
        """Read a prompt in another thread: a long one takes long enough to hold up every stream."""

        def guarded() -> list[int]:
            with self._tokenizing:
                return read()

        return await asyncio.to_thread(guarded)

    def _prepare(
        self, request: GenerationRequest, prompt: list[int], *, stops: tuple[str, ...], before: list[int], param: str
    ) -> Job:
        """Check everything that can be checked before any work, and make the job."""
        if not prompt:
            raise BadRequest("the prompt is empty", param=param)
        limit = room_for(len(prompt), request.max_tokens, context_asked(request.n_ctx, self.context), param)
        sequences = []
        for index in range(request.n):
            sampling = sampling_of(request, self._defaults, self._vocabulary.size, index)
            answer = Answer(self._vocabulary, index=index, stops=stops, before=before)
            sampler = Sampler(sampling, prompt)
            sequences.append(Sequence(prompt, sampler, answer, limit=limit, ends=self._vocabulary.ends))
        return Job(sequences, len(prompt))


def _context(config: Any, most: int | None) -> int:
    known = context_of(config.get_text_config().to_dict()) or _UNBOUNDED_CONTEXT
    return min(known, most or known)
