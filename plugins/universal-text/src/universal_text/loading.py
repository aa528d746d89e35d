"""What loading a model through transformers has in common: local files, whole weights, errors that say what to do."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Any, Protocol

import torch
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging

from universal_core import LoadFailed, ModelInfo
from universal_core.pytorch import pick_device, pick_dtype
from universal_text.quantization import check_chosen, check_saved, check_several_devices, unpack


class LoadOptions(Protocol):
    """The options of a backend that say how a model is loaded."""

    @property
    def device(self) -> str:
        """Where to run."""

    @property
    def dtype(self) -> str:
        """The number format of the weights."""

    @property
    def trust_remote_code(self) -> bool:
        """Whether code that comes with the model may run."""


def be_quiet() -> None:
    """Keep transformers' bars and remarks out of the log for good.

    A worker has no terminal; what is remarked on loading is checked here, and a request that is at fault is answered.
    """
    log: Any = logging  # the library has no types here
    log.set_verbosity_error()
    log.disable_progress_bar()
    # It tells of each of its kernels that are for other devices.
    getLogger("torchao").setLevel("ERROR")


@contextmanager
def explained(info: ModelInfo) -> Iterator[None]:
    """Turn what transformers raises about a model that cannot be loaded into a LoadFailed that names the model."""
    try:
        yield
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise LoadFailed(f"{info.id} could not be loaded: {_words(error)}") from error


def folder_of(info: ModelInfo, options: LoadOptions) -> str:
    """Return the folder of a model that may be loaded.

    Raises LoadFailed for one whose files are elsewhere, or whose own code would have to run and is not trusted.
    """
    if info.path is None:
        raise LoadFailed(f"the files of {info.id} are not on this machine")
    own_code = info.config.get("auto_map") and info.config.get("model_type") not in CONFIG_MAPPING
    if own_code and not options.trust_remote_code:
        raise LoadFailed(
            f"{info.id} brings its own Python code, which is run only for models that you trust: "
            "read it, then set trust_remote_code = true in this model's options"
        )
    return info.path


def from_folder(options: LoadOptions) -> dict[str, Any]:
    """Return the arguments of every ``from_pretrained`` here: no look at the network, no code that is not trusted."""
    return {"local_files_only": True, "trust_remote_code": options.trust_remote_code}


def load_pretrained(
    info: ModelInfo,
    auto_class: Any,
    options: LoadOptions,
    *,
    may_lack: Collection[str] = (),
    quantization: str | None = None,
    device_map: str | None = None,
    **wanted: Any,
) -> Any:
    """Return a model ready to run, on its device: what ``auto_class`` makes of a folder with weights in safetensors.

    ``quantization`` is a name of ``universal_text.quantization.CHOSEN``. With ``device_map`` the weights are spread
    over several devices. ``wanted`` are further arguments of ``from_pretrained``. Weights whose name has one of the
    parts ``may_lack`` need not be there. Raises LoadFailed.
    """
    path = folder_of(info, options)
    device = pick_device(options.device)
    quantized = check_saved(info, device) is not None
    if device_map:
        check_several_devices(device_map)
    be_quiet()
    with explained(info):
        config = AutoConfig.from_pretrained(path, **from_folder(options))
        dtype = pick_dtype(options.dtype, device, _dtype_of(config))
        unpacked = unpack(config, device)
        if quantization:
            wanted["quantization_config"] = check_chosen(info, quantization, device, dtype)
        # Quantized weights are made on the device, which they cannot all be moved to later.
        place = device_map or ({"": str(device)} if quantized or quantization else None)
        model, report = auto_class.from_pretrained(
            path,
            config=config,
            dtype=dtype,
            device_map=place,
            use_safetensors=True,
            output_loading_info=True,
            **from_folder(options),
            **wanted,
        )
        _check_complete(report, may_lack)
        if quantization:
            _check_quantized(model, quantization)
        if unpacked:
            _convert(model, dtype)
        return (model if place else model.to(device)).eval()


def _check_quantized(model: Any, name: str) -> None:
    if all(type(weight) is torch.nn.Parameter for weight in model.parameters()):
        raise ValueError(f"it has no layers that {name} quantizes; leave the option quantization out")


def _convert(model: Any, dtype: torch.dtype) -> None:
    """Bring all weights to one number format; transformers leaves those beside the unpacked ones in the file's own."""
    exact = set(model._keep_in_fp32_modules_strict or ())
    for name, weight in model.named_parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(torch.float32 if exact & set(name.split(".")) else dtype)


def _check_complete(report: dict[str, Any], may_lack: Collection[str]) -> None:
    """Refuse weights with holes: transformers would fill them with random numbers and go on."""
    names = sorted(report.get("missing_keys") or ())
    missing = [name for name in names if not set(name.split(".")) & set(may_lack)]
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(f"its files lack {len(missing)} of the model's weights ({shown})")


def _dtype_of(config: Any) -> torch.dtype | None:
    found = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    return found if isinstance(found, torch.dtype) else None


def _words(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return f"the device has too little memory for its weights; use a smaller model or another device ({error})"
    # Some have several lines, for a terminal.
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if isinstance(error, KeyError) else words
