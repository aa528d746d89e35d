"""Loading a pipeline, component by component, with errors that say what to do."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from universal_core import LoadFailed, ModelInfo, Progress
from universal_core.pytorch import pick_device, pick_dtype, use_threads
from universal_diffusion.checkpoints import checkpoint_of
from universal_diffusion.estimate import DENOISERS, Shape
from universal_diffusion.files import Component
from universal_diffusion.memory import free_memory
from universal_diffusion.options import DiffusionOptions
from universal_diffusion.pickles import with_pickles
from universal_diffusion.placement import Needs, Placement, choose_placement
from universal_diffusion.planning import with_upcast
from universal_diffusion.single_file import load_checkpoint
from universal_diffusion.weighing import is_stored_in, needs_of

Report = Callable[[Progress], None]

# What diffusers, transformers and safetensors raise about files that are damaged, missing or of another kind.
_REFUSALS = (OSError, ValueError, TypeError, ImportError, AttributeError, KeyError, RuntimeError, SafetensorError)


@dataclass(frozen=True)
class Loaded:
    """A pipeline ready to run: where it is, what it computes with, and what its pictures need of memory."""

    pipeline: Any
    device: torch.device
    dtype: torch.dtype
    needs: Needs
    placement: Placement


def load(info: ModelInfo, options: DiffusionOptions, report: Report = lambda _: None) -> Loaded:
    """Return the pipeline of ``info.path``, on its device, without a look at the network. Raises LoadFailed.

    Pickled weights are the exception: with ``allow_pickle`` they are downloaded here, and nowhere else.
    """
    if info.path is None:
        raise LoadFailed(f"the files of {info.id} are not on this machine")
    use_threads(options.threads)
    device = pick_device(options.device)
    with _explained(info), _quiet():
        if checkpoint := checkpoint_of(info):
            dtype = pick_dtype(options.dtype, device, torch.bfloat16)
            return _place(load_checkpoint(info, checkpoint, options, dtype), device, dtype, options)
        return _load_folder(info, options, device, report)


def _load_folder(info: ModelInfo, options: DiffusionOptions, device: torch.device, report: Report) -> Loaded:
    info, components = with_pickles(info, options)
    _check_code(info, components, options)
    folder = info.path or ""
    dtype = _dtype_of(info, components, options, device)
    needs = with_upcast(needs_of(info, components, dtype.itemsize), is_half=dtype == torch.float16)
    placement = choose_placement(needs, free_memory(device), device.type, options)
    target = device if placement.offload == "none" else torch.device("cpu")
    parts: dict[str, Any] = {}
    left_out = _left_out(components, options)
    loading = [each for each in components if _is_loaded_here(each) and each.name not in left_out]
    total = sum(each.weights.size for each in loading if each.weights) or 1
    done = 0
    for component in loading:
        report(Progress(f"loading {component.name}", done / total))
        parts[component.name] = _load_component(folder, component, dtype).to(target)
        done += component.weights.size if component.weights else 0
    report(Progress("putting the pipeline together", 1.0))
    pipeline = diffusers.DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call, unused-ignore]
        folder,
        local_files_only=True,
        use_safetensors=not options.allow_pickle,
        dtype=dtype,
        trust_remote_code=options.trust_remote_code,
        **parts,
        **left_out,
    )
    return prepare(Loaded(pipeline, device, dtype, needs, placement), options)


def _place(pipeline: Any, device: torch.device, dtype: torch.dtype, options: DiffusionOptions) -> Loaded:
    """Choose what to do about memory for a pipeline that is in RAM already, and do it."""
    modules = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    sizes = [sum(weight.nbytes for weight in part.parameters()) for part in modules.values()]
    shape = Shape.of({name: part.config for name, part in modules.items()})
    needs = Needs(weights=sum(sizes), largest=max(sizes, default=0), shape=shape, element=dtype.itemsize)
    needs = with_upcast(needs, is_half=dtype == torch.float16)
    placement = choose_placement(needs, free_memory(device), device.type, options)
    if placement.offload == "none":
        pipeline.to(device)
    return prepare(Loaded(pipeline, device, dtype, needs, placement), options)


def prepare(loaded: Loaded, options: DiffusionOptions) -> Loaded:
    """Switch on what the placement and the options ask for, and return the same pipeline."""
    pipeline, placement = loaded.pipeline, loaded.placement
    if placement.offload != "none" and loaded.device.type == "cpu":
        raise ValueError("cpu_offload is for models on a GPU, and this one runs on the processor")
    if placement.offload == "model":
        pipeline.enable_model_cpu_offload(device=loaded.device)
    elif placement.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=loaded.device)
    if placement.attention_slicing:
        pipeline.enable_attention_slicing()
    if options.enable_optimizations and hasattr(getattr(pipeline, "vae", None), "enable_slicing"):
        # A batch is decoded a picture at a time: the same pixels, and the memory of one.
        pipeline.vae.enable_slicing()
    denoisers = [found for name in DENOISERS if (found := getattr(pipeline, name, None)) is not None]
    if options.channels_last:
        for module in (*denoisers, pipeline.vae):
            module.to(memory_format=torch.channels_last)
    if options.compile:
        for module in denoisers:
            # In place: adapters, offloading and diffusers' own checks go on seeing the class they know.
            module.compile()
        _warm_up(loaded, options)
    return loaded


def _warm_up(loaded: Loaded, options: DiffusionOptions) -> None:
    """Run one step of the usual size, so that compiling is over before the first request.

    A pipeline that wants a picture compiles with its first request instead.
    """
    if "image" in inspect.signature(loaded.pipeline.__call__).parameters:
        return
    width, height = options.size or loaded.needs.shape.usual_size
    loaded.pipeline(prompt="", num_inference_steps=1, output_type="latent", width=width, height=height)


@contextmanager
def _explained(info: ModelInfo) -> Iterator[None]:
    """Turn what the libraries raise about a pipeline that cannot be loaded into a LoadFailed that names it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise LoadFailed(
            f"{info.id} could not be loaded: the device has too little memory for its weights; "
            f"set cpu_offload, or use a smaller model ({error})"
        ) from error
    except _REFUSALS as error:
        words = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise LoadFailed(f"{info.id} could not be loaded: {words}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep diffusers' remarks on components that are handed to it out of the log, and all bars for good."""
    # A worker has no terminal.
    diffusers_logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    usual = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()  # type: ignore[no-untyped-call, unused-ignore]
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(usual)


def _dtype_of(
    info: ModelInfo, components: Sequence[Component], options: DiffusionOptions, device: torch.device
) -> torch.dtype:
    """Return what to compute with: 16 bits wherever the device has them, float16 only if the files have it.

    A step of a UNet took 0.64 of the time in bfloat16, on a processor that has it (AVX512-BF16, one thread).
    """
    half = torch.float16 if is_stored_in(info, components, "F16") else torch.bfloat16
    return pick_dtype(options.dtype, device, half)


def _check_code(info: ModelInfo, components: Sequence[Component], options: DiffusionOptions) -> None:
    own = [each.name for each in components if _library_of(each) is None]
    if own and not options.trust_remote_code:
        raise LoadFailed(
            f"{info.id} brings its own Python code for {', '.join(own)}, which is run only for models that you trust: "
            "read it, then set trust_remote_code = true in this model's options"
        )


def _library_of(component: Component) -> Any | None:
    """Return the module that has a component's class, None where that is code of the model's own."""
    known: Mapping[str, Any] = {"diffusers": diffusers, "transformers": transformers}
    return known.get(component.library) or getattr(diffusers.pipelines, component.library, None)


def _is_loaded_here(component: Component) -> bool:
    return component.weights is not None and _library_of(component) is not None


def _load_component(folder: str, component: Component, dtype: torch.dtype) -> Any:
    """Return a component with all its weights; raises ValueError for files with holes."""
    weights = component.weights
    assert weights is not None
    found: Any = getattr(_library_of(component), component.kind)
    model, report = found.from_pretrained(
        str(Path(folder, component.name)),
        local_files_only=True,
        use_safetensors=not weights.pickled,
        output_loading_info=True,
        dtype=dtype,
        **({"variant": weights.variant} if weights.variant else {}),
    )
    _check_complete(component, report)
    return model.eval()


def _check_complete(component: Component, report: Mapping[str, Any]) -> None:
    """Refuse weights with holes: the libraries would fill them with random numbers and go on."""
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(f"the files of its {component.name} lack {len(missing)} weights ({shown})")


def _left_out(components: Sequence[Component], options: DiffusionOptions) -> dict[str, Any]:
    """Return the arguments of a pipeline that does without its safety checker, none for one that keeps it."""
    guarded = any(each.name == "safety_checker" for each in components)
    return {"safety_checker": None, "requires_safety_checker": False} if guarded and not options.safety_checker else {}
