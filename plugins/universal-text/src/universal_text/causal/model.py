"""A loaded causal language model: the tasks ``chat``, ``complete``, ``tokenize`` and ``detokenize``."""

from typing import Any, ClassVar

from universal_core import GenerationRequest, MemoryEstimate, ModelInfo
from universal_core.continuous_batching import GuessedSequence
from universal_core.conversation import (
    Answer,
    Constraint,
    Engine,
    LanguageModel,
    Prompter,
    Sampling,
    Sequence,
    configured_template,
    context_asked,
    dialect_of,
    sampling_of,
)
from universal_core.pytorch import taken_memory, use_threads
from universal_text.causal.adapters import Adapters
from universal_text.causal.batching.compiling import Report
from universal_text.causal.batching.guessing import guesser_of
from universal_text.causal.engines import engine_of
from universal_text.causal.inputs import Inputs
from universal_text.causal.load import load, template_of, vocabulary_of
from universal_text.causal.sampling import Sampler
from universal_text.causal.settings import default_sampling
from universal_text.causal.vocabulary import TokenizerVocabulary
from universal_text.key_values import context_of
from universal_text.options import CausalOptions

# For the few models without positions (recurrent ones), whose state does not grow.
_UNBOUNDED_CONTEXT = 32768


class WritingModel(LanguageModel):
    """Writes text for many requests at once with a model of transformers, whatever its prompts are made of.

    ``info`` tells how the model wants to be sampled. ``inputs`` says what it is given for the tokens of a step.
    ``report`` is told how far a load is that takes long. ``memory`` is what has been set aside for all of it.
    """

    sequence: ClassVar[type[Sequence]] = GuessedSequence
    """The class of an answer being written; one of a plugin's own knows more of its prompt than tokens."""

    def __init__(
        self,
        info: ModelInfo,
        options: CausalOptions,
        model: Any,
        vocabulary: TokenizerVocabulary,
        prompter: Prompter,
        inputs: Inputs | None = None,
        report: Report | None = None,
        memory: MemoryEstimate | None = None,
    ) -> None:
        dialect = dialect_of(
            vocabulary,
            prompter.template,
            reasoning_format=options.reasoning_format,
            tool_format=options.tool_format,
        )
        super().__init__(vocabulary, prompter, default_sampling(info.documents.get("generation_config.json")), dialect)
        adapters = Adapters(model, options.adapters)
        self.adapters = adapters.names
        self._choices = _choices_of(model) or vocabulary.size
        self._device = model.device
        known = _context(model.config, options.n_ctx)
        guesser = guesser_of(options, vocabulary, self._choices)
        self._engine, self.batches, self.context = engine_of(
            model, options, adapters, known, guesser, inputs, report, memory
        )

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._device)

    def close(self) -> None:
        """End the engine; what is still being written fails."""
        self._engine.close()

    async def _engine_for(self, request: GenerationRequest) -> tuple[Engine, int]:
        return self._engine, context_asked(request.n_ctx, self.context)

    def _begin(
        self,
        request: GenerationRequest,
        prompt: list[int],
        answer: Answer,
        limit: int,
        constraint: Constraint | None,
    ) -> Sequence:
        sampler = Sampler(self._sampling(request, answer), prompt, constraint)
        return self.sequence(prompt, sampler, answer, limit=limit, ends=self._vocabulary.ends)

    def _sampling(self, request: GenerationRequest, answer: Answer) -> Sampling:
        return sampling_of(request, self._defaults, self._choices, answer.index)


class CausalModel(WritingModel):
    """A model that continues text."""

    def __init__(
        self,
        info: ModelInfo,
        options: CausalOptions,
        report: Report | None = None,
        memory: MemoryEstimate | None = None,
    ) -> None:
        use_threads(options.threads)
        model, tokenizer = load(info, options)
        vocabulary = vocabulary_of(model, tokenizer)
        template = configured_template(options.chat_template) or tokenizer.chat_template
        prompter = Prompter(vocabulary, template_of(template, tokenizer))
        super().__init__(info, options, model, vocabulary, prompter, report=report, memory=memory)


def _choices_of(model: Any) -> int | None:
    """Return how many tokens a model can write, which may be fewer than it can read; None where it does not tell."""
    layer = model.get_output_embeddings()
    return None if layer is None else int(layer.weight.shape[0])


def _context(config: Any, most: int | None) -> int:
    known = context_of(config.get_text_config().to_dict()) or _UNBOUNDED_CONTEXT
    return min(known, most or known)
