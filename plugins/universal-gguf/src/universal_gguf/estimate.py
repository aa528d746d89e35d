"""What a model takes, told from its files, the options and the device, before it is loaded."""

from pathlib import Path
from typing import TypeVar

import msgspec

from universal_core import AdapterPlace, Claim, LoadFailed, MemoryEstimate, ModelInfo, Smaller
from universal_gguf.architectures import ENCODERS
from universal_gguf.build import has_accelerator
from universal_gguf.cache import CELLS, Store, cache_bytes
from universal_gguf.context import Context, cells_for, choose_context, planned_context
from universal_gguf.header import Header, read_header
from universal_gguf.options import GenerationOptions, PooledOptions
from universal_gguf.quantization import Choice, choose, files_of, path_of, variants_of
from universal_gguf.steps import checked_of, outputs_of, sequences_of, step_of

Options = GenerationOptions | PooledOptions
Chosen = TypeVar("Chosen", GenerationOptions, PooledOptions)

# Measured: Python and what a worker has of it for itself; and for each token of a byte-pair vocabulary 305 bytes in
# llama.cpp (its text and score, what looks it up, the pairs it is made of). The rest of the 370 is fitted.
_PROCESS = 24 * 2**20
_TOKEN = 370
# How often the scores of a step are there at a time, beside those in its graph: in the room that llama.cpp hands out,
# and in the engine's copy of them where a step is not the last of its turn. A third time is fitted: with it the
# estimate of Qwen3-0.6B in Q8_0 was 1.10 times what was measured, and nothing was found that takes as much.
_SCORES = 3
_FLOAT = 4
# What a projector computes, and what running an unknown model takes, beside the size of its files.
_LOOKING = 0.25
_UNKNOWN = 0.25
_MOST_ADVICE = 5
_WORTH = 0.97
_LEAST_CONTEXT = 2048
_SHORTER_TEXTS = (2048, 512)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What an estimate is made from: the model's files, its header where it is here, and how it is to be run."""

    info: ModelInfo
    choice: Choice
    header: Header | None
    options: Options
    device: str

    @property
    def processor(self) -> bool:
        """Whether everything is computed on the processor, whatever else the machine has."""
        return self.device == "cpu" or self.options.device == "cpu" or not has_accelerator()


def estimate(info: ModelInfo, claim: Claim, options: Options, device: str) -> MemoryEstimate | None:
    """Return what a model takes with some options on a device, None for one whose files are not there."""
    choice = choose(info)
    if choice is None:
        return None
    try:
        header = read_header(path_of(info, choice.first)) if info.path is not None else None
    except LoadFailed:
        # Whoever loads it is told.
        header = None
    model = Model(info=info, choice=choice, header=header, options=options, device=device)
    found = taken(model)
    return msgspec.structs.replace(found, smaller=_smaller(model, found.total))


def taken(model: Model) -> MemoryEstimate:
    """Return the parts of an estimate, without advice."""
    weights = model.choice.size + _beside(model)
    header = model.header
    if header is None:
        return _placed(model, weights, 0, int(model.choice.size * _UNKNOWN), _PROCESS)
    host = _PROCESS + _TOKEN * header.vocabulary_size
    if isinstance(model.options, PooledOptions):
        return _placed(model, weights, *_pooled(model, header, model.options), host)
    cache, working = _writing(model, header, model.options)
    if draft := _draft(model):
        of_draft = msgspec.structs.replace(model, header=draft)
        more, computing = _writing(of_draft, draft, model.options, cells=_cells(model, header, model.options))
        weights, working = weights + draft.file_size, working + more + computing
    return _placed(model, weights, cache, working + int(_projector(model) * _LOOKING), host)


def _placed(model: Model, weights: int, cache: int, working: int, host: int) -> MemoryEstimate:
    """Share what a model takes out between where it computes and the machine's own memory."""
    if model.device == "cpu":
        return MemoryEstimate(weights=weights, cache=cache, working=working, host=host)
    if model.processor:
        return MemoryEstimate(host=weights + cache + working + host)
    layers = model.options.n_gpu_layers
    if layers is None or layers < 0 or model.header is None:
        found = MemoryEstimate(weights=weights, cache=cache, working=working, host=host)
        return msgspec.structs.replace(found, divisible=layers is None)
    # The output counts as one layer more, the last to go.
    share = min(layers / (max(model.header.block_count, 1) + 1), 1.0)
    there = MemoryEstimate(weights=int(weights * share), cache=int(cache * share), working=working)
    return msgspec.structs.replace(there, host=host + weights + cache - there.weights - there.cache)


def _writing(model: Model, header: Header, options: GenerationOptions, cells: int | None = None) -> tuple[int, int]:
    """Return the bytes of the cache, and of what a step computes with what comes of it."""
    cells = _cells(model, header, options) if cells is None else cells
    step = max(options.n_batch, checked_of(options))
    computed = step_of(options, processor=model.processor)
    scores = outputs_of(options) * header.vocabulary_size * _FLOAT
    computing = compute_bytes(header, computed, cells, scores, flash=options.flash_attn != "off")
    return cache_bytes(header, cells, store_of(options, step)), computing + _SCORES * scores


def store_of(options: GenerationOptions, step: int | None = None) -> Store:
    """Return how the cache of a context is made for these options."""
    return Store(
        sequences=sequences_of(options),
        step=step or max(options.n_batch, checked_of(options)),
        type_k=options.cache_type_k,
        type_v=options.cache_type_v,
        whole=options.swa_full,
    )


def _cells(model: Model, header: Header, options: GenerationOptions) -> int:
    context = _context(model, header, options)
    return cells_for(context.size, context.maximum, slots=options.slots, asked=options.cache_tokens)


def _context(model: Model, header: Header, options: GenerationOptions) -> Context:
    try:
        return planned_context(model.info, header, options, model.choice.size)
    except LoadFailed:
        # The user's own table cannot be read, which loading will say.
        return choose_context(asked=options.n_ctx, trained=header.context_length)


def compute_bytes(header: Header, step: int, cells: int, scores: int, *, flash: bool) -> int:
    """Return the bytes of what a step of ``step`` tokens computes, by what llama.cpp sets aside for its graph.

    That is what its largest layer holds at a time, or the scores where they are more: queries, keys, values and what
    attention makes of them, or the feed-forward part; without flash attention its matrix too.
    """
    width = header.embedding_length
    heads = header.number("attention.head_count")
    head = header.number("attention.key_length") or (width // heads if heads else 0)
    inner = header.number("expert_feed_forward_length") * header.number("expert_used_count")
    inner = max(inner, header.number("feed_forward_length"), 2 * header.number("ssm.inner_size"))
    layer = _FLOAT * step * max(3 * width + 3 * heads * head, 4 * inner)
    matrix = 0 if flash else _FLOAT * step * cells * heads
    mask = (2 if flash else _FLOAT) * step * cells
    numbers = 8 * _FLOAT * step
    return max(layer + matrix, scores + _FLOAT * step * width) + mask + numbers


def _pooled(model: Model, header: Header, options: PooledOptions) -> tuple[int, int]:
    """Return the bytes of the cache, which an encoder has not, and of what reading the longest text computes."""
    trained = header.context_length
    encodes = header.architecture in ENCODERS
    limit = min(options.n_ctx or trained or options.n_batch, trained or 2**31)
    cells = -(-max(limit, options.n_batch) // CELLS) * CELLS
    if encodes:
        # Of an encoder that scores no tokens llama.cpp clears room for their scores all the same.
        unused = limit * header.vocabulary_size * _FLOAT
        return 0, compute_bytes(header, limit, limit, 0, flash=options.flash_attn != "off") + unused
    step = min(options.n_batch, 512)
    scores = step * header.vocabulary_size * _FLOAT
    store = Store(sequences=128, step=step)
    return cache_bytes(header, cells, store), compute_bytes(header, step, cells, scores, flash=True) + scores


def _beside(model: Model) -> int:
    """Return the bytes of what is loaded beside the model: its projector, and adapters that are on this machine."""
    if isinstance(model.options, PooledOptions):
        return 0
    places = (AdapterPlace.of(option) for option in (model.options.adapters or {}).values())
    return _projector(model) + sum(_size(Path(place.path).expanduser()) for place in places)


def _projector(model: Model) -> int:
    named = getattr(model.options, "mmproj", "none")
    if named is None:
        return model.choice.projector_size
    return 0 if named == "none" else _size(_found(model, named))


def _draft(model: Model) -> Header | None:
    named = getattr(model.options, "draft_model", None)
    try:
        return read_header(_found(model, named)) if named else None
    except LoadFailed:
        return None


def _found(model: Model, name: str) -> Path:
    """Return a file that is named by its path, or by its name beside the model's own."""
    named = Path(name).expanduser()
    if named.is_file() or model.info.path is None:
        return named
    return path_of(model.info, model.choice.first).parent / named.name


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 for one that is not on this machine."""
    return path.stat().st_size if path.is_file() else 0


def _smaller(model: Model, total: int) -> tuple[Smaller, ...]:
    """Return what would take less: other files of the model, a smaller context and cache, fewer answers at once."""
    found = [*_quantizations(model, total), *(_options(model) if model.header else ())]
    # One way to take so much is enough, and what hardly takes less is none.
    fewer = {one.total: one for one in reversed(found) if one.total < _WORTH * total}
    return tuple(sorted(fewer.values(), key=lambda one: -one.total)[:_MOST_ADVICE])


def _quantizations(model: Model, total: int) -> list[Smaller]:
    sizes, own = files_of(model.info), model.choice.size
    found = []
    for variant in variants_of(model.info):
        less = own - sum(sizes[name] for name in variant.files)
        if less > 0 and variant.name != model.choice.quantization:
            found.append(Smaller(f"{model.info.ref.name}:{variant.name}", total - less))
    # Far more of them than anyone reads: those next to what was asked for, and the smallest.
    found.sort(key=lambda one: -one.total)
    return [*found[:2], *found[-1:]]


def _options(model: Model) -> list[Smaller]:
    options = model.options
    if model.header is None:
        return []
    if isinstance(options, PooledOptions):
        longest = options.n_ctx or model.header.context_length or 0
        shorter = [size for size in _SHORTER_TEXTS if size < longest]
        return [Smaller(f"n_ctx = {size}", taken(_with(model, options, {"n_ctx": size})).total) for size in shorter]
    context = _context(model, model.header, options).size
    half = 1 << (max(context - 1, 1).bit_length() - 1)
    sizes = [size for size in (half, half // 4) if size >= _LEAST_CONTEXT]
    found: list[tuple[dict[str, object], str]] = [({"n_ctx": size}, f"n_ctx = {size}") for size in sizes]
    if options.flash_attn != "off":
        types: dict[str, object] = {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
        found.append((types, 'cache_type_k = "q8_0", cache_type_v = "q8_0"'))
    if options.slots > 1:
        fewer = options.slots // 4 or 1
        found.append(({"slots": fewer}, f"slots = {fewer}"))
        found += [({"n_ctx": size, "slots": fewer}, f"n_ctx = {size}, slots = {fewer}") for size in sizes]
    return [Smaller(advice, taken(_with(model, options, changes)).total) for changes, advice in found]


def _with(model: Model, options: Options, changes: dict[str, object]) -> Model:
    return msgspec.structs.replace(model, options=msgspec.structs.replace(options, **changes))
