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
    transformers: dict[str, Any] = {}
    diffusion: dict[str, Any] = {}
    extra_body: dict[str, Any] = {}


class FarmRuntime(msgspec.Struct):
    """The ``runtime`` section."""

    models: list[FarmModel] = []
    default_model: str | None = None


class FarmFile(msgspec.Struct):
    """As much of the project file as concerns a runtime."""

    runtime: FarmRuntime


def translate(data: bytes) -> dict[str, Any]:
    """Return the values, in the form of our own file, that a LlamaFarm YAML file stands for.

    Raises msgspec.DecodeError for a file of another form.
    """
    farm = msgspec.yaml.decode(data, type=FarmFile).runtime
    values: dict[str, Any] = {"model": {entry.name or entry.model: _translate(entry) for entry in farm.models}}
    if farm.default_model:
        values["models"] = {"default": farm.default_model}
    return values


def _translate(entry: FarmModel) -> dict[str, Any]:
    options = {key: value for table in _OPTION_TABLES for key, value in getattr(entry, table).items()}
    kind = options.pop("model_type", None)
    if kind is not None and kind not in _TASKS:
        raise msgspec.ValidationError(f"model_type {kind!r} of {entry.model} is not one of {', '.join(sorted(_TASKS))}")
    return {"model": entry.model, "options": options, "tasks": [_TASKS[kind]] if kind else []}
