"""How closely a picture follows its prompt, and what it keeps away from: which of a pipeline's arguments say so."""

from dataclasses import dataclass
from typing import Any

from universal_core import BadRequest, ImageRequest, UnsupportedField
from universal_diffusion.pipelines import call_defaults, parameters

USUAL_TRUE_GUIDANCE = 4.0
"""How far a negative prompt pushes where the request does not say and the pipeline has it off: as in Qwen-Image."""

# What the authors of Qwen-Image put where there is nothing to keep away from.
_NOTHING = " "


@dataclass(frozen=True, slots=True)
class Guidance:
    """What a call is given: its keywords and the negative prompt of each row; ``effective`` is the scale that acts.

    ``doubled`` says that each step makes two predictions, one of them of what to keep away from.
    """

    keywords: tuple[tuple[str, float], ...] = ()
    negative_prompt: str | None = None
    effective: float | None = None
    doubled: bool = False


def choose_guidance(request: ImageRequest, pipeline: Any, default: float | None) -> Guidance:
    """Return where a request's guidance_scale and negative_prompt go; ``default`` is the configured scale.

    Raises UnsupportedField for one that the pipeline does not take, BadRequest for a negative prompt without effect.
    """
    takes = parameters(pipeline)
    if request.negative_prompt and "negative_prompt" not in takes:
        raise UnsupportedField("negative_prompt: this model takes none", param="negative_prompt")
    if request.guidance_scale is not None and not {"guidance_scale", "true_cfg_scale"} & takes.keys():
        raise UnsupportedField("guidance_scale: this model follows its prompt as it learned to", param="guidance_scale")
    if request.guidance_scale is not None and request.guidance_scale < 0:
        raise BadRequest(f"guidance_scale: expected 0 or more, got {request.guidance_scale}", param="guidance_scale")
    scale = default if request.guidance_scale is None else request.guidance_scale
    if "true_cfg_scale" in takes and (request.negative_prompt or not _is_distilled(pipeline)):
        return _true_guidance(request, pipeline, scale)
    return _usual_guidance(request, pipeline, scale if "guidance_scale" in takes else None)


def _usual_guidance(request: ImageRequest, pipeline: Any, scale: float | None) -> Guidance:
    usual = call_defaults(pipeline).get("guidance_scale")
    effective = usual if scale is None else scale
    negative = request.negative_prompt
    if negative and (_is_embedded(pipeline) or (effective is not None and effective <= 1)):
        why = "this model has guidance built in" if _is_embedded(pipeline) else f"guidance_scale is {effective}"
        raise BadRequest(
            f"negative_prompt: it would have no effect, since {why}; leave it out"
            + ("" if _is_embedded(pipeline) else ", or ask for a guidance_scale above 1"),
            param="negative_prompt",
        )
    keywords = () if scale is None else (("guidance_scale", scale),)
    guides = effective is None or effective > 1
    doubled = guides and not _is_embedded(pipeline) and not _is_distilled(pipeline)
    return Guidance(keywords, negative if guides else None, effective, doubled)


def _true_guidance(request: ImageRequest, pipeline: Any, scale: float | None) -> Guidance:
    """Return the guidance of a pipeline that guides by a second prediction, and only if it has a negative prompt."""
    if scale is None and not request.negative_prompt:
        return Guidance()
    usual = float(call_defaults(pipeline)["true_cfg_scale"])
    effective = scale if scale is not None else usual if usual > 1 else USUAL_TRUE_GUIDANCE
    if effective > 1:
        return Guidance((("true_cfg_scale", effective),), request.negative_prompt or _NOTHING, effective, doubled=True)
    if request.negative_prompt:
        raise BadRequest(
            f"negative_prompt: it would have no effect, since guidance_scale is {effective}; leave it out, or ask for "
            "a guidance_scale above 1",
            param="negative_prompt",
        )
    return Guidance((("true_cfg_scale", effective),), None, effective)


def _is_distilled(pipeline: Any) -> bool:
    """Whether a transformer takes the scale as an input, so that one prediction does."""
    config = getattr(getattr(pipeline, "transformer", None), "config", {})
    return bool(config.get("guidance_embeds"))


def _is_embedded(pipeline: Any) -> bool:
    """Whether a UNet takes the scale as an input, as those of latent consistency models do."""
    config = getattr(getattr(pipeline, "unet", None), "config", {})
    return config.get("time_cond_proj_dim") is not None
