"""A loaded causal language model: the tasks ``chat``, ``complete``, ``tokenize`` and ``detokenize``."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from universal_core import GenerationRequest, ModelInfo
from universal_core.conversation import (
    Answer,
    ChatTemplate,
    Engine,
    LanguageModel,
    Prompter,
    Sequence,
    context_asked,
)
from universal_core.pytorch import use_threads
from universal_text.causal.load import load, vocabulary_of
from universal_text.causal.runner import SoloRunner
from universal_text.causal.sampling import Sampler
from universal_text.causal.scheduler import Scheduler
from universal_text.causal.settings import default_sampling
from universal_text.claims import context_of
from universal_text.options import CausalOptions

# For the few models without positions (recurrent ones), whose state does not grow.
_UNBOUNDED_CONTEXT = 32768
_WHOLE = 2**62
Value = TypeVar("Value")


class CausalModel(LanguageModel):
    """Writes text for many requests at once."""

    def __init__(self, info: ModelInfo, options: CausalOptions) -> None:
        use_threads(options.threads)
        model, tokenizer = load(info, options)
        source = tokenizer.chat_template
        template = ChatTemplate(source, tokens=tokenizer.special_tokens_map) if source else None
        vocabulary = vocabulary_of(model, tokenizer)
        defaults = default_sampling(info.documents.get("generation_config.json"))
        super().__init__(vocabulary, Prompter(vocabulary, template), defaults)
        self.context = _context(model.config, options.n_ctx)
        self._runner = SoloRunner(model)
        chunk = _WHOLE if self._runner.reads_whole_prompts else options.prefill_chunk
        self._engine = Engine(self._runner, Scheduler(options.slots, chunk))
        # Tokenizers are not promised to be safe in two threads at once.
        self._tokenizing = threading.Lock()

    def close(self) -> None:
        """End the engine; what is still being written fails."""
        self._engine.close()

    async def _engine_for(self, request: GenerationRequest) -> tuple[Engine, int]:
        return self._engine, context_asked(request.n_ctx, self.context)

    def _begin(self, request: GenerationRequest, prompt: list[int], answer: Answer, limit: int) -> Sequence:
        sampler = Sampler(self._sampling(request, answer), prompt)
        return Sequence(prompt, sampler, answer, limit=limit, ends=self._vocabulary.ends)

    async def _aside(self, work: Callable[[], Value]) -> Value:
        def guarded() -> Value:
            with self._tokenizing:
                return work()

        return await super()._aside(guarded)


def _context(config: Any, most: int | None) -> int:
    known = context_of(config.get_text_config().to_dict()) or _UNBOUNDED_CONTEXT
    return min(known, most or known)
