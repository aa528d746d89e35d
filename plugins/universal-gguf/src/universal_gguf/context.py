"""How large a model's context may be: what was asked for, what the model knows, and what the memory has room for."""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import msgspec

from universal_core import LoadFailed, ModelInfo, available_memory, total_memory
from universal_gguf.build import has_accelerator
from universal_gguf.header import Header
from universal_gguf.options import GenerationOptions

FALLBACK = 2048
LEAST = 512
MEMORY_SHARE = 0.8
"""The share of the available memory that a model with its context may take."""

OVERHEAD = 1.2
"""What a token takes beside its keys and values (masks, scores, padding), as a factor."""

KEPT = 8192
"""The context below which other models have to go, rather than that it gets smaller to fit beside them."""

SLOT_TOKENS = 2048
"""What a slot usually needs of the cache, in tokens."""

FILE = "model_context_defaults.yaml"

Patterns = Mapping[str, int]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A context size in tokens, where it came from, the memory's maximum, and a warning where that is the reason."""

    size: int
    origin: str
    maximum: int | None = None
    warning: str | None = None


def choose_context(
    *,
    asked: int | None,
    trained: int | None,
    names: Sequence[str] = (),
    tables: Sequence[Patterns] = (),
    maximum: int | None = None,
) -> Context:
    """Return the context's size: the first that is known of what was asked for, the training context, the pattern
    that fits one of the names, the memory's maximum, and 2048; never more than the maximum.
    """
    size, origin = _wanted(asked, trained, names, tables, maximum)
    if maximum is None or size <= maximum:
        return Context(size=size, origin=origin, maximum=maximum)
    warning = (
        f"a context of {size} tokens ({origin}) does not fit into memory, which has room for {maximum}: "
        f"{maximum} it is. A smaller quantization, or cache_type_k and cache_type_v of q8_0, make room for more"
    )
    return Context(size=maximum, origin="memory", maximum=maximum, warning=warning)


def _wanted(
    asked: int | None, trained: int | None, names: Sequence[str], tables: Sequence[Patterns], maximum: int | None
) -> tuple[int, str]:
    if asked:
        return asked, "asked for"
    if trained:
        return trained, "the model's training context"
    pattern, size = find_pattern(names, tables)
    if pattern is not None:
        return size, f"the pattern {pattern!r}"
    return (maximum, "memory") if maximum is not None else (FALLBACK, "nothing else is known")


def find_pattern(names: Sequence[str], tables: Sequence[Patterns]) -> tuple[str | None, int]:
    """Return the pattern that fits one of the names and its size, None and 0 where none does.

    Tables come in their order; in a table exact names come before wildcards, and long patterns before short ones.
    """
    lowered = [name.lower() for name in names if name]
    for table in tables:
        for pattern in sorted(table, key=lambda text: (_is_wild(text), -len(text), text)):
            if any(fnmatchcase(name, pattern.lower()) for name in lowered):
                return pattern, table[pattern]
    return None, 0


def _is_wild(pattern: str) -> bool:
    return any(mark in pattern for mark in "*?[")


def memory_maximum(available: int, file_size: int, bytes_per_token: float) -> int | None:
    """Return the most tokens that memory has room for, None where a token takes none or it is not known how much.

    ``usable = available x 0.8 - file size`` and ``maximum = the power of two at or below usable / bytes per token``,
    at least 512; all in bytes. ``bytes_per_token`` includes the overhead.
    """
    if bytes_per_token <= 0:
        return None
    tokens = int((available * MEMORY_SHARE - file_size) / bytes_per_token)
    return max(LEAST, 1 << (tokens.bit_length() - 1)) if tokens > 0 else LEAST


def cells_for(size: int, maximum: int | None, *, slots: int, asked: int | None = None) -> int:
    """Return how many tokens the cache of a context has room for, all answers and kept beginnings together.

    That is ``asked`` (the option cache_tokens), else 2,048 for every slot as far as memory goes; at least ``size``.
    """
    if asked is not None:
        return max(size, asked)
    wanted = slots * min(size, SLOT_TOKENS)
    return max(size, wanted if maximum is None else min(wanted, maximum))


def bytes_per_token(header: Header, type_k: str = "f16", type_v: str = "f16") -> float:
    """Return the bytes that one token of context takes, the overhead included; 0 where that is not known."""
    return header.cache_bytes_per_token(type_k, type_v) * OVERHEAD


def context_for(
    info: ModelInfo,
    header: Header,
    *,
    asked: int | None = None,
    file_size: int,
    device: str = "auto",
    cache_type_k: str = "f16",
    cache_type_v: str = "f16",
    defaults: str | None = None,
    available: int | None = None,
    maximum: int | None = None,
) -> Context:
    """Return the context's size for a model on this machine as it is now.

    ``file_size`` is that of all its parts and ``defaults`` the option context_defaults. ``available`` are bytes, where
    others count than those that are free, and ``maximum`` are tokens, where it is known already for how many there is
    room. Raises LoadFailed for a file of defaults that cannot be used.
    """
    if maximum is None:
        room = free_memory(device) if available is None else available
        maximum = memory_maximum(room, file_size, bytes_per_token(header, cache_type_k, cache_type_v))
    names = names_of(info, header)
    return choose_context(
        asked=asked, trained=header.context_length, names=names, tables=tables(defaults), maximum=maximum
    )


def planned_context(info: ModelInfo, header: Header, options: GenerationOptions, file_size: int) -> Context:
    """Return the context that a model will be loaded with: one for which there is room beside the models that are here.

    Where that would be a small one, it is what there is room for without them. Raises LoadFailed as context_for does.
    """

    def planned(available: int | None) -> Context:
        return context_for(
            info,
            header,
            asked=options.n_ctx,
            file_size=file_size,
            device=options.device,
            cache_type_k=options.cache_type_k,
            cache_type_v=options.cache_type_v,
            defaults=options.context_defaults,
            available=available,
        )

    beside = planned(None)
    if beside.warning is None or beside.size >= KEPT:
        return beside
    alone = planned(total_memory(options.device if has_accelerator() else "cpu"))
    return alone if alone.size <= KEPT else msgspec.structs.replace(alone, size=KEPT, maximum=KEPT)


def free_memory(device: str) -> int:
    """Return the free bytes where the model will be: the accelerator's if llama.cpp was built for one, else RAM."""
    return available_memory(device if has_accelerator() else "cpu")


def names_of(info: ModelInfo, header: Header | None = None) -> tuple[str, ...]:
    """Return what a pattern may call a model: the name asked for, without organisation too, and its own name."""
    name = info.ref.name
    last = name.rstrip("/").rpartition("/")[2]
    own = header.text("general.name") if header else ""
    return (info.id, name, last, last.removesuffix(".gguf"), own)


def tables(option: str | None = None) -> tuple[Patterns, ...]:
    """Return the user's own patterns, where there are any, and ours. Raises LoadFailed for a file that is not usable.

    The user's are in the file that the option names, else in model_context_defaults.yaml beside the server's
    configuration, whose folder is in the environment.
    """
    folder = os.environ.get("UNIVERSAL_CONFIG_FOLDER")
    beside = Path(folder) / FILE if folder else None
    own = Path(option).expanduser() if option else beside if beside and beside.is_file() else None
    return (read_patterns(own), _ours()) if own else (_ours(),)


@cache
def _ours() -> Patterns:
    return read_patterns(Path(__file__).with_name(FILE))


def read_patterns(path: Path) -> Patterns:
    """Return the patterns of a YAML file, each with its tokens. Raises LoadFailed where it has any other form."""
    try:
        # Behind msgspec is PyYAML, which is imported here and not before.
        found = msgspec.yaml.decode(path.read_bytes(), type=dict[str, int] | None) or {}
    except OSError as error:
        raise LoadFailed(f"{path} cannot be read: {error.strerror or error}", param="model") from None
    except msgspec.DecodeError as error:
        raise LoadFailed(f'{path}: expected lines like "*Qwen3-4B*": 32768, found: {error}', param="model") from None
    wrong = next((pattern for pattern, size in found.items() if size < 1), None)
    if wrong is not None:
        raise LoadFailed(f"{path}: the context of {wrong!r} is {found[wrong]}, expected 1 or more", param="model")
    return found
