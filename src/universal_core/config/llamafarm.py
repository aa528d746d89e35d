"""Reads a LlamaFarm project file: ``runtime.models[]`` become models of ours."""

from typing import Any

import msgspec

_OPTION_TABLES = ("transformers", "diffusion", "extra_body")


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
    models = {
        entry.name or entry.model: {
            "model": entry.model,
            "options": {key: value for table in _OPTION_TABLES for key, value in getattr(entry, table).items()},
        }
        for entry in farm.models
    }
    values: dict[str, Any] = {"model": models}
    if farm.default_model:
        values["models"] = {"default": farm.default_model}
    return values
