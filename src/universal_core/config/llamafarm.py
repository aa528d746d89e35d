"""Reads a LlamaFarm project file: ``runtime.models[]`` become models of ours."""

from typing import Any

import msgspec

_OPTION_TABLES = ("transformers", "diffusion", "extra_body")

# What LlamaFarm calls a kind of model is for us a task that the backend must offer.
_TASKS = {
    "text": "chat",
    "language": "chat",
    "embedding": "embed",
    "encoder": "embed",
    "reranker": "rerank",
    "classification": "classify",
    "image": "generate_image",
    "diffusion": "generate_image",
    "audio": "transcribe",
    "speech": "speak",
    "vision": "classify_image",
    "multimodal": "caption",
}


class FarmModel(msgspec.Struct):
    """One entry of ``runtime.models``; keys that concern LlamaFarm alone are left to it."""

    model: str
    name: str | None = None
    default: bool | None = None
    keep_loaded: bool | None = None
    transformers: dict[str, Any] | None = None
    diffusion: dict[str, Any] | None = None
    extra_body: dict[str, Any] | None = None


class FarmRuntime(msgspec.Struct):
    """The ``runtime`` section, whose models may be a list, or stand below their names."""

    models: list[FarmModel] | dict[str, FarmModel] | None = None
    default_model: str | None = None


class FarmFile(msgspec.Struct):
    """As much of the project file as concerns a runtime."""

    runtime: FarmRuntime


def translate(data: bytes) -> dict[str, Any]:
    """Return the values, in the form of our own file, that a LlamaFarm YAML file stands for.

    Raises msgspec.DecodeError for a file of another form.
    """
    farm = msgspec.yaml.decode(data, type=FarmFile).runtime
    entries = _named(farm)
    values: dict[str, Any] = {"model": {name: _translate(entry) for name, entry in entries.items()}}
    default = farm.default_model or next((name for name, entry in entries.items() if entry.default), None)
    if default:
        values["models"] = {"default": default}
    return values


def _named(farm: FarmRuntime) -> dict[str, FarmModel]:
    if isinstance(farm.models, dict):
        return farm.models
    named: dict[str, FarmModel] = {}
    for entry in farm.models or ():
        name = entry.name or entry.model
        if name in named:
            raise msgspec.ValidationError(f"two of runtime.models have the name {name}; give each its own")
        named[name] = entry
    return named


def _translate(entry: FarmModel) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for table in _OPTION_TABLES:
        for key, value in (getattr(entry, table) or {}).items():
            if options.setdefault(key, value) != value:
                raise msgspec.ValidationError(
                    f"{key} of {entry.model} is {options[key]!r} and, in {table}, {value!r}; write it once"
                )
    kind = options.pop("model_type", None)
    if kind is not None and kind not in _TASKS:
        raise msgspec.ValidationError(f"model_type {kind!r} of {entry.model} is not one of {', '.join(sorted(_TASKS))}")
    return {
        "model": entry.model,
        "options": options,
        "tasks": [_TASKS[kind]] if kind else [],
        "pinned": bool(entry.keep_loaded),
    }
