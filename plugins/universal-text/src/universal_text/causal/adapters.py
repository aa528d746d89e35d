"""LoRA adapters over one model: all are loaded with it, and each row of a step is computed with its own or none."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from universal_core import AdapterPlace, LoadFailed, ModelNotFound
from universal_core.repositories import find_place

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

Options = Mapping[str, str | AdapterPlace]

# What adapter_config.json may say beside its defaults: what plain LoRA, rank-stabilised LoRA and DoRA are made of, and
# what tells where an adapter comes from. Everything else (whole layers, new tokens, biases of the model, layers that
# are there twice) would change the model for all, or is computed otherwise.
_HONOURED = frozenset(
    {
        *("peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
        *("inference_mode", "runtime_config", "r", "lora_alpha", "lora_dropout", "lora_bias", "rank_pattern"),
        *("alpha_pattern", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
        *("fan_in_fan_out", "use_rslora", "use_dora", "init_lora_weights", "eva_config"),
    }
)
# Adapters that were begun otherwise belong to a model whose own weights were changed at the beginning.
_PLAIN_BEGINNINGS = (True, False, None, "gaussian", "eva")
_SHOWN = 3


class Adapters:
    """The adapters of a model, by the names that requests have for them."""

    def __init__(self, model: Any, options: Options | None) -> None:
        """Put the adapters into the model. Raises LoadFailed, which names the one at fault and what is wrong with it.

        Layers of the model that an adapter changes are replaced by peft's, which compute with what is active: a list
        that all of them share here. So choosing costs nothing, where peft's own ``set_adapter`` takes 6 ms for the 224
        layers of a small model; and with an empty list their numbers are those of the model to the last bit.
        """
        # peft's names are attributes of modules: without dots, and none that a module has already.
        self._inner = {name: f"adapter_{number}" for number, name in enumerate(options or ())}
        self._active: list[str] = []
        for name, option in (options or {}).items():
            with _explained(name):
                _load(model, self._inner[name], AdapterPlace.of(option))
        if options:
            model.eval()
            for layer in _layers(model):
                layer._active_adapter = self._active

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all adapters."""
        return tuple(self._inner)

    def use(self, name: str | None) -> None:
        """Let the model compute with an adapter from now on, None for the model itself."""
        self._active[:] = () if name is None else (self._inner[name],)


def _load(model: Any, name: str, place: AdapterPlace) -> None:
    folder = _folder(place.path)
    peft = _library()
    told = _document(folder)
    config = peft.LoraConfig.from_pretrained(str(folder))
    _check_config(config, peft.LoraConfig)
    # How training began is over.
    config.init_lora_weights, config.inference_mode = True, True
    weights = _weights(folder / WEIGHTS)
    try:
        peft.inject_adapter_in_model(config, model, name)
        report = peft.set_peft_model_state_dict(model, weights, name)
        missing = [key for key in report.missing_keys if f".{name}." in f"{key}." and "lora_" in key]
        _check_complete(report.unexpected_keys, missing)
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        made_for = told.get("base_model_name_or_path")
        hint = f" (it was made for {made_for})" if made_for else ""
        raise ValueError(f"it does not fit this model{hint}: {_words(error)}") from error
    for layer in _layers(model):
        layer.set_scale(name, place.scale)


def _folder(place: str) -> Path:
    folder = find_place(place, (CONFIG, WEIGHTS))
    if folder.is_file():
        raise ValueError(f"{place} is a file: expected the folder that peft saved, with {CONFIG} and {WEIGHTS}")
    there = {path.name for path in folder.iterdir()}
    if WEIGHTS not in there and "adapter_model.bin" in there:
        raise ValueError(f"its weights are a pickle, which can run code while it is read: save them as {WEIGHTS}")
    if missing := sorted({CONFIG, WEIGHTS} - there):
        gguf = "; it is a GGUF file, which the backend gguf takes" if any(n.endswith(".gguf") for n in there) else ""
        raise ValueError(f"there is no {' and no '.join(missing)} in {folder}{gguf}")
    return folder


def _document(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / CONFIG).read_text("utf-8"))
    kind = told.get("peft_type") if isinstance(told, dict) else None
    if kind != "LORA":
        raise ValueError(f"{CONFIG} names the kind {kind!r}, and only LORA can be used")
    return dict(told)


def _check_config(config: Any, kind: Any) -> None:
    """Refuse what would not be plain LoRA; whatever a later version of peft adds, too."""
    usual = kind()
    for name in (field.name for field in fields(kind)):
        value = getattr(config, name)
        if name not in _HONOURED and value and value != getattr(usual, name):
            raise ValueError(f"{CONFIG} has {name} = {value!r}, which is not supported: only plain LoRA is")
    if config.init_lora_weights not in _PLAIN_BEGINNINGS:
        raise ValueError(
            f"it was begun with init_lora_weights = {config.init_lora_weights!r}, which changes the model's own "
            "weights; save it again as plain LoRA (peft's path_initial_model_for_weight_conversion)"
        )


def _weights(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an adapter by their names inside the model."""
    with safe_open(file, "pt") as opened:
        found = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - no mapping
    whole = [key for key in found if "lora_" not in key]
    if whole:
        raise ValueError(
            f"it brings whole weights ({_some(whole)}), as adapters with a larger vocabulary do: only plain LoRA can "
            "be used; merge it into its model, and serve that"
        )
    return found


def _check_complete(unexpected: list[str], missing: list[str]) -> None:
    if unexpected:
        raise ValueError(f"the model has no place for {len(unexpected)} of its weights ({_some(unexpected)})")
    if missing:
        raise ValueError(f"its file lacks {len(missing)} of the weights that it tells of ({_some(missing)})")


def _layers(model: Any) -> Iterator[Any]:
    from peft.tuners.lora import LoraLayer

    return (module for module in model.modules() if isinstance(module, LoraLayer))


def _library() -> Any:
    try:
        import peft
    except ImportError:
        raise ValueError('adapters need peft: pip install "universal-text[lora]"') from None
    return peft


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what is wrong with an adapter into a LoadFailed that names it."""
    try:
        with warnings.catch_warnings():
            # Several adapters in a model are what this is for; what does not fit is checked here.
            warnings.simplefilter("ignore")
            yield
    except (ModelNotFound, LoadFailed) as error:
        raise LoadFailed(f"adapter {name}: {error.message}") from error
    except (ValueError, TypeError, OSError, SafetensorError) as error:
        raise LoadFailed(f"adapter {name}: {_words(error)}") from error


def _words(error: Exception) -> str:
    """Return an error's words on one line; of torch's list of all that does not fit, the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = next((line for line in lines if line.startswith("size mismatch")), None)
    return first or " ".join(lines) or type(error).__name__


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
