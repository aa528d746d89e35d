"""Adapters (LoRA) over a configured model: which name means which, told from the configuration alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from universal_core.config import SHORTCUTS, Config, ModelConfig
from universal_core.errors import BadRequest, ModelNotFound, UnsupportedField
from universal_core.messages import DetokenizeRequest, GenerationRequest, Request, TokenizeRequest
from universal_core.models import ModelInfo

OPTION = "adapters"
"""The option of a backend whose keys are the names of a model's adapters."""


class Adapted(msgspec.Struct, frozen=True):
    """What ``base:adapter`` means: the configured name of the model, and the adapter over it."""

    base: str
    adapter: str


def adapters_of(entry: ModelConfig | None) -> tuple[str, ...]:
    """Return the names of the adapters that a model is configured with, in order."""
    found = entry.options.get(OPTION) if entry is not None else None
    return tuple(found) if isinstance(found, dict) else ()


def find_adapted(config: Config, name: str) -> Adapted | None:
    """Return what a name means that is ``base:adapter``, or an alias for it; None for every other name."""
    entry = config.model.get(name)
    base, _, adapter = ((entry and entry.model) or name).strip().rpartition(":")
    if adapter not in adapters_of(config.model.get(base)):
        return None
    return Adapted(base, adapter)


def refuse_settings(config: Config, name: str, adapted: Adapted) -> None:
    """Raise BadRequest where the alias of an adapter has settings of a model: they would change nothing."""
    entry = config.model.get(name, ModelConfig())
    own = ("options", "backend", "tasks", "unload_timeout", *SHORTCUTS)
    if any(getattr(entry, field) not in (None, (), {}) for field in own):
        raise BadRequest(
            f"{name} is the adapter {adapted.adapter} of {adapted.base}, whose weights and process it shares: write "
            f'options, backend, tasks and the like below [model."{adapted.base}"]',
            param="model",
        )


def is_pinned(config: Config, base: str) -> bool:
    """Whether a model is to stay in memory, because its own entry or one of an adapter over it says so."""
    return any(
        entry.pinned and (name == base or ((found := find_adapted(config, name)) is not None and found.base == base))
        for name, entry in config.model.items()
    )


def all_adapted(config: Config) -> dict[str, Adapted]:
    """Return every adapter of every configured model by the names that mean it: ``base:adapter``, and aliases."""
    found = {
        f"{base}:{adapter}": Adapted(base, adapter)
        for base, entry in config.model.items()
        for adapter in adapters_of(entry)
    }
    aliases = ((name, find_adapted(config, name)) for name in config.model)
    return found | {name: adapted for name, adapted in aliases if adapted is not None}


def with_adapter(request: Request, adapter: str, name: str) -> Request:
    """Return a request that is answered with an adapter. Raises UnsupportedField for one that adapters are not for."""
    if isinstance(request, GenerationRequest):
        return msgspec.structs.replace(request, adapter=adapter)
    if isinstance(request, TokenizeRequest | DetokenizeRequest):
        return request  # An adapter has the tokens of its model.
    raise UnsupportedField(
        f"model: {name} is an adapter, and adapters write chats and completions only; name the model without it",
        param="model",
    )


@contextmanager
def told_of(config: Config, name: str, info: ModelInfo) -> Iterator[None]:
    """Name a model's adapters where the name of one of them was expected. Raises ModelNotFound.

    Only of GGUF files may what follows a colon name one as the backends like; files of other models bear it in their
    names, or it names nothing.
    """
    others = near(config, name)
    if not info.matching("*.gguf") and (others or _lacks_variant(info)):
        words = others or (
            f"; {info.ref.name} has no file with {info.ref.variant} in its name, and the configuration gives it no "
            "adapters"
        )
        raise ModelNotFound(f"model {name!r} was not found{words}", param="model")
    try:
        yield
    except ModelNotFound as error:
        raise ModelNotFound(f"{error.message}{others}", param="model") from None


def _lacks_variant(info: ModelInfo) -> bool:
    variant = (info.ref.variant or "").lower()
    return bool(info.files) and not any(variant in file.name.lower() for file in info.files)


def near(config: Config, name: str) -> str:
    """Return which adapters a model has, as the end of a message about a name that is none of them; else nothing."""
    base, _, _ = name.strip().rpartition(":")
    known = adapters_of(config.model.get(base))
    return f"; the adapters of {base} are {', '.join(known)}" if known else ""
