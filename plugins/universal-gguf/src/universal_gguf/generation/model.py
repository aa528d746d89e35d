"""A loaded GGUF model that writes text: the tasks ``chat``, ``complete``, ``tokenize`` and ``detokenize``."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from universal_core import (
    ChatRequest,
    GenerationRequest,
    InternalError,
    LoadFailed,
    MemoryEstimate,
    ModelInfo,
    Progress,
    TokenizeRequest,
    usable_cores,
)
from universal_core.continuous_batching import Lookup
from universal_core.conversation import (
    Answer,
    ChatTemplate,
    Constraint,
    Engine,
    LanguageModel,
    Sequence,
    configured_template,
    dialect_of,
)
from universal_gguf.cache import most_cells
from universal_gguf.context import Context, cells_for, context_for
from universal_gguf.estimate import store_of
from universal_gguf.generation.adapters import Adapters
from universal_gguf.generation.contexts import Contexts
from universal_gguf.generation.draft import DraftModel
from universal_gguf.generation.media import MediaPrompt, media_in
from universal_gguf.generation.projector import Projector
from universal_gguf.generation.prompter import MediaPrompter
from universal_gguf.generation.sampling import Sampler
from universal_gguf.generation.sequence import MediaSequence
from universal_gguf.header import Header, read_header
from universal_gguf.library import Weights, offloaded_layers
from universal_gguf.options import GenerationOptions
from universal_gguf.quantization import Choice, choose, path_of

log = logging.getLogger(__name__)

Value = TypeVar("Value")

# One picture is decoded while another one is encoded.
_LOOKING = 2

_SAMPLING = {
    "temperature": "general.sampling.temp",
    "top_k": "general.sampling.top_k",
    "top_p": "general.sampling.top_p",
    "min_p": "general.sampling.min_p",
    "repetition_penalty": "general.sampling.penalty_repeat",
}


def _unheard(progress: Progress) -> None:
    """Tell nobody."""


class GenerationModel(LanguageModel):
    """Writes text for many requests at once."""

    def __init__(
        self,
        info: ModelInfo,
        options: GenerationOptions,
        report: Callable[[Progress], None] = _unheard,
        memory: MemoryEstimate | None = None,
    ) -> None:
        """Load the model with no larger a cache than was set aside in ``memory``, else what memory has room for."""
        choice, header = files_of(info)
        self._info, self._options, self._choice, self._header = info, options, choice, header
        self._room = most_cells(header, memory.cache, store_of(options)) if memory and memory.cache else None
        self._usual = 0
        context = self._context(options.n_ctx, self._room)
        self._usual = context.size
        layers = offloaded_layers(options, header, choice.size, self._cells(context.size))
        self._weights = Weights([str(path_of(info, name)) for name in choice.files], options, layers, report)
        self.adapters = Adapters(self._weights, header, options.adapters).names
        vocabulary = self._weights.vocabulary
        self._projector = self._load_projector()
        self._looking = ThreadPoolExecutor(_LOOKING, "looking")
        template = self._template()
        prompter = MediaPrompter(vocabulary, template, self._projector, lambda: self.context)
        dialect = dialect_of(
            vocabulary, template, reasoning_format=options.reasoning_format, tool_format=options.tool_format
        )
        super().__init__(vocabulary, prompter, self._recommended(), dialect)
        self._draft = self._draft_model(context.size) if options.draft_model else None
        lookup = Lookup(options.lookup_tokens) if options.lookup_tokens else None
        self._contexts = Contexts(self._weights, options, context.size, self._cells, self._draft or lookup)
        self._closed = False

    @property
    def context(self) -> int:
        """How many tokens prompt and answer may have together where a request asks for nothing."""
        return self._contexts.size

    def device_memory(self) -> int:
        """Return the bytes that the model has on accelerators."""
        return self._weights.device_memory()

    def close(self) -> None:
        """End the engines; what is still being written fails."""
        self._closed = True
        self._contexts.close()
        if self._draft is not None:
            self._draft.close()
        self._looking.shutdown(cancel_futures=True)
        if self._projector is not None:
            self._projector.close()
        self._weights.close()

    async def _engine_for(self, request: GenerationRequest) -> tuple[Engine, int]:
        if self._closed:
            raise InternalError("the model is being unloaded")
        asked = request.n_ctx
        if asked is None or asked <= self.context:
            lane = self._contexts.usual
            return lane.engine, min(asked or lane.size, lane.size)
        # A larger context takes seconds to make, so it is made beside what runs.
        size = self._context(asked).size
        if size <= self.context:  # Memory has no room for more.
            return self._contexts.usual.engine, self.context
        lane = await asyncio.to_thread(self._contexts.larger, size)
        return lane.engine, size

    async def _prepare(self, request: GenerationRequest | TokenizeRequest, work: Callable[[], Value]) -> Value:
        if isinstance(request, ChatRequest | TokenizeRequest) and media_in(request.messages):
            # Looking at pictures takes seconds, and requests without any must not wait for a thread meanwhile.
            return await asyncio.get_running_loop().run_in_executor(self._looking, work)
        return await super()._prepare(request, work)

    def _begin(
        self,
        request: GenerationRequest,
        prompt: list[int],
        answer: Answer,
        limit: int,
        constraint: Constraint | None,
    ) -> Sequence:
        media = prompt.media if isinstance(prompt, MediaPrompt) else {}
        # What stands for a picture is no token that could be penalised.
        tokens = [token for token in prompt if token >= 0] if media else prompt
        sampler = Sampler(self._sampling(request, answer), tokens, constraint)
        return MediaSequence(prompt, sampler, answer, limit=limit, ends=self._vocabulary.ends, media=media)

    def _context(self, asked: int | None, room: int | None = None) -> Context:
        options = self._options
        context = context_for(
            self._info,
            self._header,
            asked=asked,
            file_size=self._choice.size,
            device=options.device,
            cache_type_k=options.cache_type_k,
            cache_type_v=options.cache_type_v,
            defaults=options.context_defaults,
            maximum=room,
        )
        if context.warning:
            log.warning("%s: %s", self._info.id, context.warning)
        return context

    def _cells(self, size: int) -> int:
        # A larger context than the usual one takes memory that nobody has set aside: what is free then counts.
        maximum = self._context(size, self._room if size <= self._usual else None).maximum
        return cells_for(size, maximum, slots=self._options.slots, asked=self._options.cache_tokens)

    def _draft_model(self, size: int) -> DraftModel:
        """Load the configured draft model: a path, or the name of a file beside the model's own."""
        file = self._beside(self._options.draft_model or "")
        read_header(file)
        return DraftModel(file, self._options, self._weights.vocabulary, self._cells(size))

    def _load_projector(self) -> Projector | None:
        """Load what sees or hears: the file that the option names, by path or beside the model, else the one there."""
        options, named = self._options, self._options.mmproj
        beside = self._choice.projector
        if named == "none" or (named is None and beside is None):
            return None
        file = self._beside(named) if named is not None else path_of(self._info, beside or "")
        threads = options.n_threads_batch or options.n_threads or usable_cores()
        return Projector(file, self._weights, threads=threads, use_gpu=options.device != "cpu", most=options.n_batch)

    def _beside(self, name: str) -> Path:
        """Return a file that is named by its path, or by its name in the model's folder."""
        named = Path(name).expanduser()
        return named if named.is_file() else path_of(self._info, self._choice.first).parent / named

    def _template(self) -> ChatTemplate | None:
        """Return the configured chat template, else the model's own, with its variants for tools."""
        vocabulary = self._weights.vocabulary
        source: str | dict[str, str] | None = configured_template(self._options.chat_template)
        if source is None and (own := self._weights.metadata("tokenizer.chat_template")):
            tools = self._weights.metadata("tokenizer.chat_template.tool_use")
            source = {"default": own, "tool_use": tools} if tools else own
        return ChatTemplate(source, tokens=vocabulary.special_names()) if source else None

    def _recommended(self) -> dict[str, Any]:
        """Return the settings of sampling that the file recommends."""
        found = {name: self._weights.metadata(key) for name, key in _SAMPLING.items()}
        return {
            name: int(float(value)) if name == "top_k" else float(value)
            for name, value in found.items()
            if value is not None
        }


def files_of(info: ModelInfo) -> tuple[Choice, Header]:
    """Return which files are the model, and the header of the first. Raises LoadFailed, ModelNotFound."""
    choice = choose(info)
    if choice is None or info.path is None:
        raise LoadFailed(f"the files of {info.id} are not on this machine")
    return choice, read_header(path_of(info, choice.first))
