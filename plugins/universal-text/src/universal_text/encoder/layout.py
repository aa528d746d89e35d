"""The folder layout of sentence-transformers: what happens to a text before, and to its vectors after, the model."""

from pathlib import Path
from typing import Any

import msgspec

from universal_core import LoadFailed
from universal_text.documents import read_document, read_settings
from universal_text.encoder.options import PoolingMode

# The flags up to sentence-transformers 5, in the order in which several poolings are put side by side.
_FLAGS: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "last",
}
# The names since sentence-transformers 6.
_MODES: dict[str, PoolingMode] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt",
    "weightedmean": "weightedmean",
    "lasttoken": "last",
}
_ONE_VECTOR = (None, "sentence_embedding")


class Normalize(msgspec.Struct, frozen=True):
    """Scale the vector to length one."""


class Dense(msgspec.Struct, frozen=True):
    """A linear layer whose weights are in ``folder``; ``activation`` is the full name of a torch.nn class."""

    folder: str
    inputs: int
    outputs: int
    bias: bool = True
    activation: str = "torch.nn.modules.activation.Tanh"
    residual: bool = False


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a folder says beyond its transformer.

    ``transformer`` is the folder with the weights and the tokenizer. ``pooling`` has one mode or several that are
    put side by side. ``dimensions`` cuts the vectors of every request that asks for nothing else.
    """

    transformer: str
    pooling: tuple[PoolingMode, ...] = ("mean",)
    include_prompt: bool = True
    steps: tuple[Dense | Normalize, ...] = ()
    prompts: dict[str, str] = {}
    default_prompt: str | None = None
    max_length: int | None = None
    lower_case: bool = False
    dimensions: int | None = None


def read_layout(path: str) -> Layout:
    """Return the layout of a model's folder; without a modules.json it is a bare encoder with mean pooling.

    Raises LoadFailed, naming it, for a module or a setting that is not known here.
    """
    folder = Path(path)
    if not (folder / "modules.json").is_file():
        return Layout(transformer=path)
    modules = sorted(read_document(folder / "modules.json"), key=lambda module: module.get("idx", 0))
    kinds = [_kind(module) for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise LoadFailed(f"modules.json must begin with Transformer and Pooling, this one has {', '.join(kinds)}.")
    folders = [folder / str(module.get("path") or "") for module in modules]
    settings = _settings(folders[0])
    pooling = read_document(folders[1] / "config.json")
    general = read_document(folder / "config_sentence_transformers.json")
    steps = (_step(kind, place) for kind, place in zip(kinds[2:], folders[2:], strict=True))
    return Layout(
        transformer=str(folders[0]),
        pooling=_pooling(pooling),
        include_prompt=pooling.get("include_prompt", True),
        steps=tuple(step for step in steps if step is not None),
        prompts={name: text or "" for name, text in (general.get("prompts") or {}).items()},
        default_prompt=_default_prompt(general),
        max_length=settings.get("max_seq_length"),
        lower_case=settings.get("do_lower_case", False),
        dimensions=general.get("truncate_dim"),
    )


def _kind(module: dict[str, Any]) -> str:
    """Return the class name of a module of sentence-transformers; old and new packages use the same ones."""
    package, _, name = str(module.get("type", "")).rpartition(".")
    if package.partition(".")[0] != "sentence_transformers":
        raise LoadFailed(f"modules.json names {module.get('type')!r}, which is not a module of sentence-transformers.")
    return name


def _settings(folder: Path) -> dict[str, Any]:
    """Return how the transformer is called."""
    found = read_settings(folder)
    task = found.get("transformer_task", "feature-extraction")
    if task != "feature-extraction" or found.get("module_output_name", "token_embeddings") != "token_embeddings":
        raise LoadFailed(f"The Transformer module is set up for {task!r}; only token vectors can be pooled.")
    return found


def _pooling(config: dict[str, Any]) -> tuple[PoolingMode, ...]:
    named = config.get("pooling_mode")
    if named is None:
        return tuple(mode for flag, mode in _FLAGS.items() if config.get(flag)) or ("mean",)
    names = [named] if isinstance(named, str) else list(named)
    unknown = [name for name in names if name not in _MODES]
    if unknown or not names:
        raise LoadFailed(f"Pooling mode {unknown} is not known; the known ones are {', '.join(_MODES)}.")
    return tuple(_MODES[name] for name in names)


def _default_prompt(general: dict[str, Any]) -> str | None:
    name: str | None = general.get("default_prompt_name")
    if name is not None and name not in (general.get("prompts") or {}):
        raise LoadFailed(f"config_sentence_transformers.json has no prompt {name!r}, its default_prompt_name.")
    return name


def _step(kind: str, folder: Path) -> Dense | Normalize | None:
    """Return what a module behind the pooling does, None for one that does nothing outside of training."""
    if kind == "Dropout":
        return None
    config = read_document(folder / "config.json")
    if config.get("module_input_name") not in _ONE_VECTOR or config.get("module_output_name") not in _ONE_VECTOR:
        raise LoadFailed(f"The {kind} module in {folder} does not work on the pooled vector.")
    if kind == "Normalize":
        return Normalize()
    if kind == "Dense":
        return _dense(folder, config)
    raise LoadFailed(f"The module {kind} of modules.json is not supported; Pooling, Dense, Normalize and Dropout are.")


def _dense(folder: Path, config: dict[str, Any]) -> Dense:
    try:
        inputs, outputs = int(config["in_features"]), int(config["out_features"])
    except KeyError as error:
        raise LoadFailed(f"{folder / 'config.json'} lacks {error}.") from error
    return Dense(
        folder=str(folder),
        inputs=inputs,
        outputs=outputs,
        bias=config.get("bias", True),
        activation=config.get("activation_function", "torch.nn.modules.activation.Tanh"),
        residual=config.get("use_residual", False),
    )
