"""Loading a causal model, with errors that say what to do."""

from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from universal_core import ModelInfo
from universal_core.conversation import ChatTemplate
from universal_text.causal.vocabulary import TokenizerVocabulary
from universal_text.loading import explained, folder_of, from_folder, load_pretrained
from universal_text.options import CausalOptions


def load(info: ModelInfo, options: CausalOptions) -> tuple[Any, Any]:
    """Return model and tokenizer from ``info.path``, without a look at the network."""
    model = load_model(info, AutoModelForCausalLM, options)
    with explained(info):
        return model, AutoTokenizer.from_pretrained(folder_of(info, options), **from_folder(options))


def load_model(info: ModelInfo, auto_class: Any, options: CausalOptions) -> Any:
    """Return what ``auto_class`` of transformers makes of a model's folder. Raises LoadFailed."""
    wanted = {"attn_implementation": options.attention} if options.attention else {}
    return load_pretrained(
        info, auto_class, options, quantization=options.quantization, device_map=options.device_map, **wanted
    )


def template_of(source: Any, tokenizer: Any) -> ChatTemplate | None:
    """Return a chat template (text, or texts by name) that knows a tokenizer's special tokens; None for none."""
    return ChatTemplate(source, tokens=tokenizer.special_tokens_map) if source else None


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
