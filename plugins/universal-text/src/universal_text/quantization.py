"""Quantized weights: what those of a checkpoint need, and how others are quantized as they are loaded.

Nothing here imports a machine-learning library before a model is loaded.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from universal_core import LoadFailed, ModelInfo, accelerator


class Needs(NamedTuple):
    """What a way of quantizing needs: packages by the names that they are imported by, how to get them, and a GPU."""

    packages: tuple[str, ...]
    install: str
    cuda: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name in self.packages if find_spec(name) is None)


_EXTRA = 'pip install "universal-text[quantization]"'
_BITSANDBYTES = Needs(("bitsandbytes", "accelerate"), 'pip install "universal-text[bitsandbytes]"')
_TORCHAO = Needs(("torchao", "accelerate"), _EXTRA)

SEVERAL_DEVICES = Needs(("accelerate",), 'pip install "universal-text[several-devices]"')
"""What weights that are spread over several devices need."""

CHOSEN = {
    "torchao-int8": _TORCHAO,
    "torchao-int4": _TORCHAO._replace(cuda=True),
    "bitsandbytes-int8": _BITSANDBYTES,
    "bitsandbytes-nf4": _BITSANDBYTES,
}
"""What each value of the option ``quantization`` needs."""

# By quant_method of config.json. For what is not here, transformers itself says what it lacks.
_SAVED = {
    "aqlm": Needs(("aqlm", "accelerate"), "pip install 'aqlm[gpu,cpu]' accelerate"),
    "auto-round": Needs(("auto_round", "accelerate"), "pip install auto-round accelerate"),
    "awq": Needs(("gptqmodel", "accelerate"), "pip install gptqmodel accelerate"),
    "bitnet": Needs(("accelerate",), _EXTRA),
    "bitsandbytes": _BITSANDBYTES,
    "compressed-tensors": Needs(("compressed_tensors", "accelerate"), _EXTRA),
    "eetq": Needs(("kernels", "accelerate"), "pip install kernels accelerate", cuda=True),
    "fbgemm_fp8": Needs(("fbgemm_gpu", "accelerate"), "pip install fbgemm-gpu accelerate", cuda=True),
    "fp8": Needs(("accelerate",), _EXTRA),
    "gptq": Needs(("optimum", "gptqmodel", "accelerate"), "pip install optimum gptqmodel accelerate"),
    "higgs": Needs(("flute", "accelerate"), "pip install flute-kernel accelerate", cuda=True),
    "hqq": Needs(("hqq", "accelerate"), "pip install hqq accelerate"),
    "mxfp4": Needs(("accelerate",), _EXTRA),
    "mxfp8": Needs(("accelerate",), _EXTRA),
    "quanto": Needs(("optimum", "accelerate"), "pip install optimum-quanto accelerate"),
    "quark": Needs(("quark", "accelerate"), "pip install amd-quark accelerate"),
    "spqr": Needs(("spqr_quant", "accelerate"), "pip install 'spqr_quant[gpu]' accelerate", cuda=True),
    "torchao": _TORCHAO,
    "vptq": Needs(("vptq", "accelerate"), "pip install vptq accelerate"),
}
_ANY = Needs(("accelerate",), _EXTRA)

# These have kernels for some GPUs alone; elsewhere the weights are unpacked as they are loaded.
_BITS = {"fp8": 8, "mxfp8": 8, "mxfp4": 4}
_INSTEAD = 'a GGUF of the model runs without it (pip install "universal-core[gguf]")'


def saved_method(config: Mapping[str, Any]) -> str | None:
    """Return how a checkpoint was quantized, by the name in its config.json; None for one that is not.

    It is empty where the file tells of a quantization without its name.
    """
    told = _told(config)
    if told is None:
        return None
    if told.get("load_in_4bit") or told.get("load_in_8bit"):
        return "bitsandbytes"
    return str(told.get("quant_method") or "")


def described(config: Mapping[str, Any]) -> str:
    """Return words for a claim's reason about quantized weights, and what they lack here; empty for others."""
    method = saved_method(config)
    if method is None:
        return ""
    missing = _SAVED.get(method, _ANY).missing
    lack = f" and need {_listed(missing)}, not installed here" if missing else ""
    return f"; they are quantized ({method or 'without a name'}){lack}"


def unpacked_bytes(config: Mapping[str, Any], size: int) -> int:
    """Return what weight files of ``size`` bytes take in memory: more where they are unpacked to 16 bits.

    Everything in the files is taken for quantized, which is the most that it can be.
    """
    bits = _bits_before_unpacking(config)
    return size if bits is None else size * 16 // bits


def check_saved(info: ModelInfo, device: Any) -> str | None:
    """Return how a model's files are quantized, None for not at all.

    Raises LoadFailed, which names what is missing, where they cannot be run on a device of PyTorch.
    """
    method = saved_method(info.config)
    if method is None:
        return None
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

    known = {name.removesuffix("_4bit").removesuffix("_8bit") for name in AUTO_QUANTIZER_MAPPING}
    if method not in known:
        raise LoadFailed(
            f"the weights of {info.id} are quantized in a way that transformers does not know: quant_method in "
            f"config.json is {method or 'missing'!r}, known are {', '.join(sorted(known))}"
        )
    words = f"the weights of {info.id} are quantized ({method})"
    _check(_SAVED.get(method, _ANY), words, device)
    return method


def check_chosen(info: ModelInfo, name: str, device: Any, dtype: Any) -> Any:
    """Return the configuration by which transformers quantizes a model as it is loaded.

    ``name`` is a key of CHOSEN, and ``dtype`` what is computed in. Raises LoadFailed.
    """
    if (method := saved_method(info.config)) is not None:
        raise LoadFailed(f"the weights of {info.id} are quantized already ({method}): leave quantization out")
    _check(CHOSEN[name], f"quantization = {name!r}", device)
    import torch

    if name == "torchao-int4" and dtype != torch.bfloat16:
        raise LoadFailed(f'torchao-int4 computes in bfloat16, and not in {dtype}: set dtype = "bfloat16" too')
    return _configuration(name, dtype)


def check_several_devices(device_map: str) -> None:
    """Raise LoadFailed where weights cannot be spread over devices."""
    if missing := SEVERAL_DEVICES.missing:
        raise LoadFailed(f"device_map = {device_map!r} needs {_listed(missing)}: {SEVERAL_DEVICES.install}")


def unpack(config: Any, device: Any) -> bool:
    """Have weights unpacked as they are loaded where the device does not compute with them as they are; say whether.

    ``config`` is transformers' configuration of a quantized checkpoint, which is changed.
    """
    told = _told(config.to_dict())
    method = saved_method(config.to_dict())
    if told is None or method not in (*_BITS, "compressed-tensors"):
        return False
    wanted = {"dequantize": True}
    if method == "compressed-tensors":
        if len(told.get("config_groups") or {}) != 1:
            return False  # Layers of several kinds are unpacked by the package itself, when they are first used.
        if _is_float8(told) and _has_float8(device):
            wanted = {"use_optimized_inference": True}
    elif device.type == "cuda":
        return False
    owner = config if getattr(config, "quantization_config", None) else config.get_text_config()
    owner.quantization_config = {**told, **wanted}
    return "dequantize" in wanted


def _check(needs: Needs, words: str, device: Any) -> None:
    if needs.cuda and device.type != "cuda":
        raise LoadFailed(f"{words}, which needs an NVIDIA GPU, and the device is {device}; {_INSTEAD}")
    if missing := needs.missing:
        raise LoadFailed(f"{words}, which needs {_listed(missing)}, not installed here: {needs.install}; {_INSTEAD}")


def _configuration(name: str, dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig, TorchAoConfig

    bitsandbytes: Any = BitsAndBytesConfig  # the library has no types here
    if name == "bitsandbytes-int8":
        return bitsandbytes(load_in_8bit=True)
    if name == "bitsandbytes-nf4":
        return bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    if name == "torchao-int8":
        return TorchAoConfig(Int8WeightOnlyConfig())
    # The layout of PyTorch's own kernel, which needs no further package.
    return TorchAoConfig(Int4WeightOnlyConfig(group_size=128, int4_packing_format="tile_packed_to_4d"))


def _told(config: Mapping[str, Any]) -> dict[str, Any] | None:
    text = config.get("text_config")
    parts = (config, text if isinstance(text, dict) else {})
    return next((found for part in parts if isinstance(found := part.get("quantization_config"), dict)), None)


def _bits_before_unpacking(config: Mapping[str, Any]) -> int | None:
    """Return how many bits a weight has that takes 16 in memory; None where it stays as it is."""
    told, method = _told(config) or {}, saved_method(config)
    gpu = accelerator("auto") is not None
    if method == "compressed-tensors":
        return None if _is_float8(told) and gpu else min(map(_bits_of, _groups(told)), default=None)
    return None if gpu else _BITS.get(method or "")


def _groups(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups = told.get("config_groups")
    each = groups.values() if isinstance(groups, dict) else ()
    return [group["weights"] for group in each if isinstance(group, dict) and isinstance(group.get("weights"), dict)]


def _bits_of(weights: Mapping[str, Any]) -> int:
    bits = weights.get("num_bits")
    return bits if isinstance(bits, int) and 0 < bits < 16 else 16


def _is_float8(told: Mapping[str, Any]) -> bool:
    groups = _groups(told)
    return bool(groups) and all(weights.get("type") == "float" and _bits_of(weights) == 8 for weights in groups)


def _has_float8(device: Any) -> bool:
    import torch

    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)
