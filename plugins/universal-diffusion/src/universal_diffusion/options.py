"""The options of the ``diffusion`` backend, and what its nursery imports."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, ThreadsOption, TrustRemoteCodeOption

# What every pipeline imports sooner or later: a forked worker has it already.
PRELOAD = (
    "torch",
    "tokenizers",
    "transformers",
    "transformers.models.clip.modeling_clip",
    "transformers.models.t5.modeling_t5",
    "diffusers",
    "diffusers.pipelines.auto_pipeline",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl",
    "diffusers.pipelines.flux.pipeline_flux",
    "universal_diffusion.model",
)

SIZE_PATTERN = r"^[1-9][0-9]*(x[1-9][0-9]*)?$"


class DiffusionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pipeline is loaded and run."""

    device: DeviceOption = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Meta(description="Number format to compute in; auto is 16 bits where the device has them, else float32."),
    ] = "auto"
    threads: ThreadsOption = None
    slots: Annotated[
        int, Meta(ge=1, description="Requests that the model knows of at once; the next batch is among them.")
    ] = 16
    max_batch: Annotated[
        int, Meta(ge=1, description="Pictures that are made together, of one request or of several.")
    ] = 4
    default_steps: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Steps where a request names none; none means the pipeline's."),
    ] = None
    default_guidance: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Guidance scale where a request names none; none means the pipeline's."),
    ] = None
    default_size: Annotated[
        Annotated[str, Meta(pattern=SIZE_PATTERN)] | Annotated[int, Meta(ge=1)] | None,
        Meta(description="Size where a request names none: 768x512, or 512 for 512x512; none means the pipeline's."),
    ] = None
    max_pixels: Annotated[int, Meta(ge=64, description="Most pixels of one picture, width times height.")] = 2048 * 2048
    scheduler: Annotated[
        str | None, Meta(description="Scheduler where a request names none; none means the model's own.")
    ] = None
    enable_optimizations: Annotated[
        bool, Meta(description="Slice, tile and offload where the memory estimate asks for it; false never does.")
    ] = True
    attention_slicing: Annotated[
        bool | None, Meta(description="Compute attention in slices: always, never, or none for where it is needed.")
    ] = None
    vae_tiling: Annotated[
        bool | None, Meta(description="Decode large pictures in tiles: always, never, or none for where it is needed.")
    ] = None
    cpu_offload: Annotated[
        Literal["auto", "none", "model", "sequential"],
        Meta(description="Keep weights in RAM and move what computes to the GPU, by component (model) or by layer."),
    ] = "auto"
    compile: Annotated[
        bool, Meta(description="Compile the denoiser with torch.compile: a slow start, then faster steps.")
    ] = False
    channels_last: Annotated[bool, Meta(description="Keep convolutions' weights in the channels-last layout.")] = False
    loras: Annotated[
        dict[str, str], Meta(description="Adapters that requests may name: a name, and a path or repository for each.")
    ] = {}
    max_loras: Annotated[int, Meta(ge=1, description="Adapters kept in memory; the least recently used make room.")] = 8
    safety_checker: Annotated[bool, Meta(description="Use the safety checker that comes with the model.")] = True
    allow_pickle: Annotated[
        bool, Meta(description="Load pickles where the model has no safetensors. Only for models that you trust.")
    ] = False
    config: Annotated[
        str | None,
        Meta(description="For a model in one file: the folder or cached repository with its model_index.json."),
    ] = None
    trust_remote_code: TrustRemoteCodeOption = False

    @property
    def size(self) -> tuple[int, int] | None:
        """The configured width and height, None where the pipeline's own count."""
        if self.default_size is None:
            return None
        width, _, height = str(self.default_size).partition("x")
        return int(width), int(height or width)
