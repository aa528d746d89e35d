"""Which models this plugin offers to run, told from model_index.json, configurations and the list of files alone."""

import glob
from typing import Any

from universal_core import Backend, Claim, ModelInfo, available_memory
from universal_diffusion.checkpoints import Checkpoint, checkpoint_of
from universal_diffusion.files import INDEX, Component, components_of, files_for, variants_of
from universal_diffusion.options import PRELOAD, DiffusionOptions
from universal_diffusion.planning import plan, usual_device
from universal_diffusion.signatures import Relatives, relatives_of, signature_of

BACKEND = Backend(
    name="diffusion",
    model="universal_diffusion.model:DiffusionModel",
    tasks=("generate_image", "edit_image", "vary_image"),
    options=DiffusionOptions,
    preload=PRELOAD,
    engine="pytorch",
)

# The fields of a request, each with the parameters of a pipeline's call that it may become.
_FIELDS = {
    "guidance_scale": {"guidance_scale", "true_cfg_scale"},
    "negative_prompt": {"negative_prompt"},
    "clip_skip": {"clip_skip"},
    "mask": {"mask_image"},
    "strength": {"strength"},
}


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a pipeline of pictures, None for anything else.

    Raises ModelNotFound where the model is called by a variant that it does not have.
    """
    checkpoint = checkpoint_of(info)
    if checkpoint is not None:
        return _claim_checkpoint(info, checkpoint)
    kind = _class_of(info)
    relatives = _able(info, kind) if kind is not None else Relatives()
    tasks = _tasks(relatives)
    if kind is None or not tasks or _means_another_format(info):
        return None
    return _claim_folder(info, kind, relatives, tasks)


def _means_another_format(info: ModelInfo) -> bool:
    """Whether the variant in a model's name is a quantization of GGUF files that stand beside the pipeline."""
    return bool(info.matching("*.gguf")) and info.ref.variant not in {None, *variants_of(info)}


def _class_of(info: ModelInfo) -> str | None:
    index = info.documents.get(INDEX)
    kind = index.get("_class_name") if isinstance(index, dict) else None
    return kind if isinstance(kind, str) else None


def _able(info: ModelInfo, kind: str) -> Relatives:
    """Return the classes that can really run these weights: some need more than AutoPipeline looks at."""
    relatives = relatives_of(kind)
    index: dict[str, Any] = info.documents[INDEX]
    if _reads_pictures(info):
        return _bound(kind)
    if index.get("requires_aesthetics_score"):
        return Relatives(image=relatives.image, inpaint=relatives.inpaint)
    return relatives


def _bound(kind: str) -> Relatives:
    """Return the one class that can run weights which read a picture beside the latents: only it gives them one."""
    return Relatives(inpaint=kind) if "mask_image" in signature_of(kind).parameters else Relatives(image=kind)


def _reads_pictures(info: ModelInfo) -> bool:
    unet, vae = info.documents.get("unet/config.json"), info.documents.get("vae/config.json")
    channels = unet.get("in_channels") if isinstance(unet, dict) else None
    latents = vae.get("latent_channels", 4) if isinstance(vae, dict) else None
    return isinstance(channels, int) and isinstance(latents, int) and channels > latents


def _tasks(relatives: Relatives) -> tuple[str, ...]:
    """Return what can be done: a class for pictures that takes no strength only changes them as it is told."""
    varies = relatives.image is not None and "strength" in signature_of(relatives.image).parameters
    able = {
        "generate_image": relatives.text is not None,
        "edit_image": relatives.inpaint is not None or relatives.image is not None,
        "vary_image": varies,
    }
    return tuple(task for task in BACKEND.tasks if able[task])


def _claim_folder(info: ModelInfo, kind: str, relatives: Relatives, tasks: tuple[str, ...]) -> Claim | None:
    components = components_of(info)
    words = f"{INDEX} names {kind}, which diffusers has classes for: {', '.join(dict.fromkeys(relatives.names))}"
    return _claim(
        words + _unsafe(components),
        tasks,
        relatives,
        info,
        files=tuple(glob.escape(name) for name in files_for(info, components)),
    )


def _unsafe(components: tuple[Component, ...]) -> str:
    without = [
        each.name for each in components if each.needs_weights and (each.weights is None or each.weights.pickled)
    ]
    return f"; no safetensors for {', '.join(without)}, so that it needs allow_pickle" if without else ""


def _claim_checkpoint(info: ModelInfo, checkpoint: Checkpoint) -> Claim | None:
    relatives = relatives_of(checkpoint.kind)
    if checkpoint.reads_pictures:
        relatives = _bound(checkpoint.kind)
    words = (
        f"{checkpoint.name} has the tensors of a {checkpoint.kind}; its configuration must be at hand when it is loaded"
    )
    return _claim(words, _tasks(relatives), relatives, info, files=("*",))


def _claim(
    words: str, tasks: tuple[str, ...], relatives: Relatives, info: ModelInfo, *, files: tuple[str, ...]
) -> Claim:
    options, device = DiffusionOptions(), usual_device()
    done = plan(info, options, device).placement.words()
    return Claim(
        backend=BACKEND.name,
        tasks=tasks,
        reason=words + (f"; to fit into {available_memory(device) / 1e9:.1f} GB: {done}" if done else ""),
        slots=options.slots,
        fields=_fields(relatives),
        files=files,
    )


def _fields(relatives: Relatives) -> tuple[str, ...]:
    found = [signature_of(name) for name in relatives.names]
    taken = frozenset().union(*(each.parameters for each in found))
    return (
        "scheduler",
        *(field for field, parameters in _FIELDS.items() if parameters & taken),
        *(("loras",) if any(each.loads_loras for each in found) else ()),
    )
