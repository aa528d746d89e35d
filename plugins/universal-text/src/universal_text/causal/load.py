"""Loading a causal model, with errors that say what to do."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils.logging import disable_progress_bar

from universal_core import LoadFailed, ModelInfo
from universal_core.pytorch import pick_device, pick_dtype
from universal_text.causal.vocabulary import TokenizerVocabulary
from universal_text.options import CausalOptions


def load(info: ModelInfo, options: CausalOptions) -> tuple[Any, Any]:
    """Return model and tokenizer from ``info.path``, without a look at the network."""
    if info.path is None:
        raise LoadFailed(f"the files of {info.id} are not on this machine")
    _check_code(info, options)
    try:
        return _load(info.path, options)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise LoadFailed(f"{info.id} could not be loaded: {_words(error)}") from error


def ends_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: all that the generation settings, the model and its tokenizer name."""
    found: set[int] = set()
    for named in (model.generation_config, model.config.get_text_config(), tokenizer):
        tokens = getattr(named, "eos_token_id", None)
        found.update(tokens if isinstance(tokens, list | tuple) else () if tokens is None else (tokens,))
    return frozenset(found)


def vocabulary_of(model: Any, tokenizer: Any) -> TokenizerVocabulary:
    """Return the tokens that the model has an embedding for."""
    size = int(model.get_input_embeddings().weight.shape[0])
    return TokenizerVocabulary(tokenizer, size, ends_of(model, tokenizer))


def _check_code(info: ModelInfo, options: CausalOptions) -> None:
    own_code = info.config.get("auto_map") and info.config.get("model_type") not in CONFIG_MAPPING
    if own_code and not options.trust_remote_code:
        raise LoadFailed(
            f"{info.id} brings its own Python code, which is run only for models that you trust: "
            "read it, then set trust_remote_code = true in this model's options"
        )


def _load(path: str, options: CausalOptions) -> tuple[Any, Any]:
    disable_progress_bar()  # type: ignore[no-untyped-call]  # a worker has no terminal
    shared: dict[str, Any] = {"local_files_only": True, "trust_remote_code": options.trust_remote_code}
    config = AutoConfig.from_pretrained(path, **shared)
    device = pick_device(options.device)
    wanted: dict[str, Any] = {"dtype": pick_dtype(options.dtype, device, _dtype_of(config))}
    if options.attention:
        wanted["attn_implementation"] = options.attention
    if options.device_map:
        wanted["device_map"] = options.device_map
    tokenizer = AutoTokenizer.from_pretrained(path, **shared)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        path, config=config, use_safetensors=True, output_loading_info=True, **shared, **wanted
    )
    model, report = loaded
    _check_complete(report)
    return (model if options.device_map else model.to(device)).eval(), tokenizer


def _check_complete(report: dict[str, Any]) -> None:
    """Refuse weights with holes: transformers would fill them with random numbers and go on."""
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(f"its files lack {len(missing)} of the model's weights ({shown})")


def _dtype_of(config: Any) -> torch.dtype | None:
    found = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    return found if isinstance(found, torch.dtype) else None


def _words(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return f"the device has too little memory for its weights; use a smaller model or another device ({error})"
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
