"""The options of this plugin's backends."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from universal_core import AdaptersOption, ReasoningFormatOption, ToolFormatOption
from universal_gguf.names import is_quantization

# The same for both backends, so that one nursery, with one llama.cpp in memory, forks the workers of both.
PRELOAD = ("llama_cpp", "numpy", "universal_gguf.generation.model", "universal_gguf.pooled.model")

Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]

Device = Annotated[
    str,
    Meta(
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        description="Where to run: auto, cpu, cuda, cuda:1 or mps; auto takes what llama.cpp was built for.",
    ),
]
ContextSize = Annotated[
    Count | None, Meta(description="Tokens of context; none means what the model was trained with. Memory caps it.")
]
GpuLayers = Annotated[
    Annotated[int, Meta(ge=-1)] | None,
    Meta(description="Layers on the accelerator; none means as many as fit, -1 all."),
]
Threads = Annotated[
    Count | None, Meta(description="Threads to compute with; none means one per physical core that may be used.")
]
FlashAttention = Annotated[
    Literal["auto", "on", "off"],
    Meta(description="Flash attention; auto leaves it to llama.cpp."),
]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
UseMmap = Annotated[bool, Meta(description="Map the file into memory instead of reading it.")]
UseMlock = Annotated[bool, Meta(description="Keep the weights from being swapped out.")]
TensorSplit = Annotated[
    tuple[Annotated[float, Meta(ge=0)], ...],
    Meta(description="Shares of the model that each accelerator takes; none means by their free memory."),
]
SplitMode = Annotated[
    Literal["layer", "row", "none"],
    Meta(description="How several accelerators share the model: layer by layer, by rows of each tensor, or not."),
]
MainGpu = Annotated[
    int, Meta(ge=0, description="The accelerator that takes all, or what is not shared, by its number.")
]


class GenerationOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model that writes text is loaded and run."""

    device: Device = "auto"
    n_ctx: ContextSize = None
    slots: Annotated[
        int, Meta(ge=1, le=256, description="Answers that are written at the same time; more of them wait.")
    ] = 16
    cache_tokens: Annotated[
        Count | None,
        Meta(description="Tokens that all answers and kept beginnings share; none means it is worked out from n_ctx."),
    ] = None
    n_batch: Annotated[int, Meta(ge=1, description="Most tokens of one step, prompts and answers together.")] = 512
    n_gpu_layers: GpuLayers = None
    n_threads: Threads = None
    n_threads_batch: Annotated[
        Count | None, Meta(description="Threads for steps with many tokens; none means n_threads.")
    ] = None
    flash_attn: FlashAttention = "auto"
    cache_type_k: Annotated[CacheType, Meta(description="Number format of the cache's keys.")] = "f16"
    cache_type_v: Annotated[
        CacheType, Meta(description="Number format of the cache's values; those below f16 need flash attention.")
    ] = "f16"
    use_mmap: UseMmap = True
    use_mlock: UseMlock = False
    rope_scaling: Annotated[
        Literal["none", "linear", "yarn", "longrope"] | None,
        Meta(description="How positions beyond the training context are scaled; none means what the model says."),
    ] = None
    rope_freq_base: Annotated[
        Positive | None, Meta(description="Base frequency of the rotary positions; none means the model's.")
    ] = None
    rope_freq_scale: Annotated[
        Positive | None, Meta(description="Factor on the rotary frequencies; none means the model's.")
    ] = None
    yarn_ext_factor: Annotated[float | None, Meta(description="YaRN's extrapolation mix; none means the model's.")] = (
        None
    )
    yarn_attn_factor: Annotated[
        float | None, Meta(description="YaRN's factor on attention; none means the model's.")
    ] = None
    yarn_beta_fast: Annotated[
        float | None, Meta(description="YaRN's low correction dimension; none means the model's.")
    ] = None
    yarn_beta_slow: Annotated[
        float | None, Meta(description="YaRN's high correction dimension; none means the model's.")
    ] = None
    yarn_orig_ctx: Annotated[
        Count | None, Meta(description="Context that YaRN starts from; none means the model's training context.")
    ] = None
    tensor_split: TensorSplit = ()
    split_mode: SplitMode = "layer"
    main_gpu: MainGpu = 0
    swa_full: Annotated[
        bool, Meta(description="Keep the whole context of sliding-window layers, so that prefixes can be used again.")
    ] = True
    draft_model: Annotated[
        str | None,
        Meta(description="Small model that guesses ahead: a path, or the name of a file beside the model."),
    ] = None
    draft_tokens: Annotated[int, Meta(ge=1, description="Most tokens that are guessed in one step.")] = 8
    lookup_tokens: Annotated[
        int, Meta(ge=0, description="Most tokens guessed in one step from what the prompt repeats; 0 switches it off.")
    ] = 0
    mmproj: Annotated[
        str | None,
        Meta(description='Projector for images and sound; none means the one beside the model, "none" uses none.'),
    ] = None
    chat_template: Annotated[
        str | None, Meta(description="Jinja template of conversations, or a file with one; none means the model's own.")
    ] = None
    reasoning_format: ReasoningFormatOption = "auto"
    tool_format: ToolFormatOption = "auto"
    context_defaults: Annotated[
        str | None,
        Meta(description="Your own model_context_defaults.yaml; none means the one beside the server's configuration."),
    ] = None
    adapters: AdaptersOption = None

    def __post_init__(self) -> None:
        """Refuse adapters that nobody could ask for: what is called like a quantization means that."""
        for name in self.adapters or ():
            if is_quantization(name):
                raise ValueError(f"an adapter cannot be called {name}, which is a quantization: choose another name")


class PooledOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model that turns text into vectors or scores is loaded and run."""

    device: Device = "auto"
    n_ctx: ContextSize = None
    n_batch: Annotated[
        int, Meta(ge=1, description="Most tokens that go through the model at once, of all texts together.")
    ] = 2048
    n_gpu_layers: GpuLayers = None
    n_threads: Threads = None
    flash_attn: FlashAttention = "auto"
    use_mmap: UseMmap = True
    use_mlock: UseMlock = False
    tensor_split: TensorSplit = ()
    split_mode: SplitMode = "layer"
    main_gpu: MainGpu = 0
    pooling: Annotated[
        Literal["mean", "cls", "last", "rank"] | None,
        Meta(description="How the tokens' vectors become one; none means what the model says."),
    ] = None
