"""Adapters (LoRA): found by name, loaded once, and in use for exactly the batch that asks for them."""

import logging
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from universal_core import BadRequest, Forbidden, Lora, ModelNotFound, ModelRef, UnsupportedField
from universal_core.repositories import find_files
from universal_diffusion.options import DiffusionOptions

_log = logging.getLogger(__name__)

_WEIGHTS = ".safetensors"
_PATTERNS = ("*.safetensors",)
# What diffusers and peft raise about weights that do not belong to a model.
_MISFITS = (ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError)

Key = tuple[str, str | None]


class Loras:
    """The adapters of one pipeline: those used last stay in memory, up to a limit."""

    def __init__(self, pipeline: Any, options: DiffusionOptions, model: str) -> None:
        """Serve the adapters that the options name, and those of the hub, to what messages call ``model``."""
        self._pipeline = pipeline
        self._known = options.loras
        self._limit = options.max_loras
        self._model = model
        self._loaded: OrderedDict[Key, str] = OrderedDict()
        self._made = 0
        self._active = False

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the adapters in memory, the least recently used first."""
        return tuple(name for name, _ in self._loaded)

    def missing(self, loras: Sequence[Lora]) -> tuple[Lora, ...]:
        """Return those that are not in memory."""
        return tuple(lora for lora in loras if _key(lora) not in self._loaded)

    def fetch(self, loras: Sequence[Lora]) -> None:
        """Let the files of adapters be on this machine, downloaded if need be: in any thread, beside what is painted.

        Raises as ``use`` does for those that cannot be found.
        """
        for lora in loras:
            self._find(lora)

    def use(self, loras: Sequence[Lora]) -> None:
        """Let the next batch compute with exactly these adapters, each at its scale.

        Raises ModelNotFound for one that is not there, Forbidden for a path in a request, BadRequest for one that is
        not made for this model, UnsupportedField for a pipeline without adapters. Then none is in use.
        """
        if loras and not hasattr(self._pipeline, "load_lora_weights"):
            raise UnsupportedField(
                f"loras: {self._model} is a {type(self._pipeline).__name__}, which takes no adapters", param="loras"
            )
        self._disable()
        scales: dict[str, float] = {}
        for lora in loras:
            adapter = self._adapter(lora)
            scales[adapter] = scales.get(adapter, 0.0) + lora.scale
        self._drop_beyond(len(scales))
        if scales:
            self._enable(scales)

    def _enable(self, scales: Mapping[str, float]) -> None:
        self._active = True
        self._pipeline.enable_lora()
        self._pipeline.set_adapters(list(scales), adapter_weights=list(scales.values()))

    def _disable(self) -> None:
        if self._active:
            self._pipeline.disable_lora()
        self._active = False

    def _adapter(self, lora: Lora) -> str:
        """Return the name that peft has for an adapter, loaded if it was not, used last."""
        key = _key(lora)
        if key not in self._loaded:
            self._loaded[key] = self._load(lora)
            self._disable_quietly()
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _load(self, lora: Lora) -> str:
        path = self._find(lora)
        self._made += 1
        adapter = f"adapter_{self._made}"
        with _explained(lora, self._model), torch.no_grad():
            try:
                self._pipeline.load_lora_weights(
                    str(path.parent),
                    weight_name=path.name,
                    adapter_name=adapter,
                    use_safetensors=True,
                    local_files_only=True,
                )
                self._check(lora, adapter)
            except BaseException:
                with suppress(*_MISFITS):
                    self._pipeline.delete_adapters(adapter)
                raise
        return adapter

    def _check(self, lora: Lora, adapter: str) -> None:
        """Refuse an adapter of which no layer was found in the model: it would change nothing."""
        if not any(adapter in names for names in self._pipeline.get_list_adapters().values()):
            raise ValueError(f"{lora.model} has no layer that the model has")

    def _disable_quietly(self) -> None:
        # A new adapter is in use as soon as it is loaded.
        self._pipeline.disable_lora()

    def _drop_beyond(self, in_use: int) -> None:
        while len(self._loaded) > max(self._limit, in_use):
            _, adapter = self._loaded.popitem(last=False)
            self._pipeline.delete_adapters(adapter)

    def _find(self, lora: Lora) -> Path:
        """Return the file of an adapter: configured by name, else of a repository; never a path of a request."""
        place = self._known.get(lora.model)
        if place is None and ModelRef.parse(lora.model).is_path:
            raise Forbidden(
                "loras: a request names an adapter by its repository, or by a name from the model's configuration; "
                "paths stand in the configuration alone (option loras)",
                param="loras",
            )
        path = Path(place).expanduser() if place is not None else None
        if path is not None and path.is_file():
            return _safe(path, lora)
        folder = path if path is not None and path.is_dir() else self._folder(place or lora.model, lora)
        return _file_in(folder, lora)

    def _folder(self, repository: str, lora: Lora) -> Path:
        known = f"configured are {', '.join(self._known)}" if self._known else "none is configured"
        if repository != lora.model and ModelRef.parse(repository).is_path:
            _log.error("the adapter %s is configured as %s, where there is nothing", lora.model, repository)
            raise ModelNotFound(
                f"loras: {lora.model} is configured, and its files are missing: the server's log says where they "
                "should be",
                param="loras",
            )
        if repository.count("/") != 1 or ".." in repository:
            raise ModelNotFound(
                f"loras: there is no adapter {repository!r}: {known}, and one of the hub is called org/name",
                param="loras",
            )
        try:
            return find_files(repository, _PATTERNS)
        except ModelNotFound as error:
            raise ModelNotFound(f"loras: {error.message}; {known}", param="loras") from None


def _key(lora: Lora) -> Key:
    return lora.model, lora.weight_name


def _file_in(folder: Path, lora: Lora) -> Path:
    found = sorted(path.name for path in folder.glob(f"*{_WEIGHTS}"))
    if lora.weight_name is not None:
        if lora.weight_name not in found:
            raise ModelNotFound(
                f"loras: {lora.model} has no file {lora.weight_name!r}: it has {', '.join(found) or 'no safetensors'}",
                param="loras",
            )
        return folder / lora.weight_name
    if not found:
        raise BadRequest(f"loras: {lora.model} has no safetensors; pickles are not read", param="loras")
    usual = "pytorch_lora_weights.safetensors"
    if len(found) > 1 and usual not in found:
        raise BadRequest(
            f"loras: {lora.model} has several files; name one of {', '.join(found)} as weight_name", param="loras"
        )
    return folder / (usual if usual in found else found[0])


def _safe(path: Path, lora: Lora) -> Path:
    if path.suffix != _WEIGHTS:
        raise BadRequest(f"loras: {lora.model} is no safetensors file; pickles are not read", param="loras")
    return path


@contextmanager
def _explained(lora: Lora, model: str) -> Iterator[None]:
    """Turn what the libraries raise about an adapter into an error that names it."""
    try:
        with warnings.catch_warnings():
            # More than one adapter in a model is what this is for.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            yield
    except _MISFITS as error:
        # Cleaning up after an adapter that does not fit, diffusers fails over its name; the reason is underneath.
        cause = error.__context__ if isinstance(error, KeyError) and error.__context__ else error
        words = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        raise BadRequest(f"loras: {lora.model} was not made for {model}: {words}", param="loras") from error
    except OSError as error:
        raise ModelNotFound(f"loras: {lora.model} could not be read: {error}", param="loras") from error
