"""The options of this plugin's backends."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from universal_core import (
    AdaptersOption,
    DeviceOption,
    DtypeOption,
    ReasoningFormatOption,
    ThreadsOption,
    ToolFormatOption,
    TrustRemoteCodeOption,
)

# The same for all backends, so that one nursery, with one copy of PyTorch in memory, forks the workers of all.
PRELOAD = (
    "torch",
    "tokenizers",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen3.modeling_qwen3",
    "universal_text.causal.model",
    "universal_text.classifier.judge",
    "universal_text.classifier.names",
    "universal_text.classifier.texts",
    "universal_text.encoder.model",
)


class CausalOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a causal language model is loaded and run."""

    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"
    trust_remote_code: TrustRemoteCodeOption = False
    device_map: Annotated[
        str | None,
        Meta(description="Spread the weights over several devices: auto, balanced or sequential; needs accelerate."),
    ] = None
    quantization: Annotated[
        Literal["torchao-int8", "torchao-int4", "bitsandbytes-int8", "bitsandbytes-nf4"] | None,
        Meta(description="Quantize the weights as they are loaded, for a half or a third of the memory."),
    ] = None
    compile: Annotated[
        bool,
        Meta(description="Compile the model as it is loaded, which takes minutes and a C++ compiler."),
    ] = False
    threads: ThreadsOption = None
    slots: Annotated[int, Meta(ge=1, description="Answers that are written at the same time; more of them wait.")] = 8
    n_ctx: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Most tokens of prompt and answer together; none means as many as the model knows positions."),
    ] = None
    cache_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Tokens that all answers and kept prefixes may have in the key-value cache together; none "
            "means 2048 for each slot, and on a processor, or with n_ctx, a whole context where half of the free "
            "memory holds it."
        ),
    ] = None
    prefill_chunk: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Prompt tokens that are read between two steps of the answers being written; none means 256 on "
            "a processor and 1024 on a graphics card."
        ),
    ] = None
    chat_template: Annotated[
        str | None, Meta(description="Jinja template of conversations, or a file with one; none means the model's own.")
    ] = None
    reasoning_format: ReasoningFormatOption = "auto"
    tool_format: ToolFormatOption = "auto"
    attention: Annotated[
        str | None,
        Meta(
            description="Attention implementation of transformers (sdpa, eager, flash_attention_2, ...); none means "
            "the one that computes answers together, any other computes them one by one."
        ),
    ] = None
    draft_model: Annotated[
        str | None,
        Meta(description="Small model that guesses ahead for an answer alone: a folder, or a repository of the hub."),
    ] = None
    draft_tokens: Annotated[int, Meta(ge=1, description="Most tokens that are guessed in one step.")] = 8
    lookup_tokens: Annotated[
        int, Meta(ge=0, description="Most tokens guessed in one step from what the prompt repeats; 0 switches it off.")
    ] = 0
    adapters: AdaptersOption = None
