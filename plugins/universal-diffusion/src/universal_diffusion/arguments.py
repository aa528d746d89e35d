"""From a request to what a pipeline is called with; what a pipeline does not take is refused by name."""

import inspect
import math
import secrets
from typing import Any

from universal_core import BadRequest, EditImageRequest, ImageRequest, UnsupportedField, VaryImageRequest
from universal_diffusion.guidance import Guidance, choose_guidance
from universal_diffusion.inputs import Inputs
from universal_diffusion.options import DiffusionOptions
from universal_diffusion.order import Order, Row, Settings
from universal_diffusion.pipelines import (
    Pipelines,
    Way,
    bins_sizes,
    call_defaults,
    default_size,
    parameters,
    size_multiple,
)
from universal_diffusion.schedulers import Schedulers

USUAL_STRENGTH = 0.75
"""How far an edit without a mask goes where the request does not say: as far as a variation."""

_LARGEST_SEED = 2**63 - 1
_QUALITY = {"low": 0.5, "medium": 1.0, "high": 2.0}


class Desk:
    """Takes requests in for one model."""

    def __init__(self, pipelines: Pipelines, schedulers: Schedulers, options: DiffusionOptions) -> None:
        self._pipelines = pipelines
        self._schedulers = schedulers
        self._options = options

    def order(self, request: ImageRequest, inputs: Inputs) -> Order:
        """Return what is to be painted; raises BadRequest and UnsupportedField naming the field that is at fault."""
        way = self._way(request, inputs)
        pipeline = self._pipelines.get(way)
        size = self._size(request, pipeline, inputs)
        guidance = choose_guidance(request, pipeline, self._options.default_guidance)
        scheduler = self._schedulers.name(request.scheduler, pipeline)
        steps = self._steps(request, pipeline, scheduler)
        strength = _strength(request, pipeline, way, steps)
        settings = Settings(
            way=way,
            size=size,
            steps=steps,
            scheduler=scheduler,
            guided=guidance.negative_prompt is not None,
            doubled=guidance.doubled,
            loras=_loras(request, pipeline),
            clip_skip=_clip_skip(request, pipeline),
            keywords=_keywords(pipeline, size, steps, guidance, strength),
            # Editors take a list of pictures as so many pictures of one edit, if they take one at all.
            solo=way == "instruct",
        )
        return Order(
            settings=settings,
            rows=_rows(request, guidance, _fitting(inputs, pipeline, size)),
            previews=request.previews,
            guidance=guidance.effective,
            strength=strength,
        )

    def _way(self, request: ImageRequest, inputs: Inputs) -> Way:
        if isinstance(request, EditImageRequest):
            return self._way_to_edit(request, inputs)
        if isinstance(request, VaryImageRequest):
            return "image"
        return "text"

    def _way_to_edit(self, request: EditImageRequest, inputs: Inputs) -> Way:
        editor = self._pipelines.find("instruct")
        _check_count(request, editor)
        if inputs.mask is not None and self._pipelines.find("inpaint"):
            return "inpaint"
        if request.mask is not None and (editor or self._pipelines.find("image")):
            raise UnsupportedField("mask: this model paints within no mask; leave it out", param="mask")
        if editor:
            return "instruct"
        if self._pipelines.find("image") or not self._pipelines.find("inpaint"):
            return "image"
        raise BadRequest(
            "mask: this model paints within a mask alone; send one, or an image that is transparent where it is to be "
            "painted anew",
            param="mask",
        )

    def _size(self, request: ImageRequest, pipeline: Any, inputs: Inputs) -> tuple[int, int]:
        multiple = size_multiple(pipeline)
        size = request.size or self._usual_size(pipeline, inputs, multiple)
        if any(side < multiple or side % multiple for side in size):
            near = " or ".join(dict.fromkeys(f"{w}x{h}" for w, h in (_down(size, multiple), _up(size, multiple))))
            raise BadRequest(
                f"size: {size[0]}x{size[1]} is not possible with this model: width and height must be multiples of "
                f"{multiple}; the nearest are {near}",
                param="size",
            )
        if size[0] * size[1] > self._options.max_pixels:
            raise BadRequest(
                f"size: {size[0]}x{size[1]} has {size[0] * size[1]} pixels, and at most "
                f"{self._options.max_pixels} are allowed; ask for a smaller size",
                param="size",
            )
        return size

    def _usual_size(self, pipeline: Any, inputs: Inputs, multiple: int) -> tuple[int, int]:
        if inputs.images and not _looks_by_own_rules(pipeline):
            return _down(inputs.size, multiple)
        if inputs.images:
            return _down(_scaled(inputs.size, _usual_area(pipeline)), multiple)
        return self._options.size or default_size(pipeline)

    def _steps(self, request: ImageRequest, pipeline: Any, scheduler: str | None) -> int:
        most = self._schedulers.most_steps(scheduler)
        usual = self._options.default_steps or call_defaults(pipeline).get("num_inference_steps")
        if request.num_inference_steps is not None:
            steps = request.num_inference_steps
        elif usual is None:
            raise BadRequest(
                "num_inference_steps: this model has no usual number of steps; name one", param="num_inference_steps"
            )
        else:
            steps = min(most, max(1, round(usual * _QUALITY[request.quality])))
        if not 1 <= steps <= most:
            raise BadRequest(
                f"num_inference_steps: expected 1 to {most} with this scheduler, got {steps}",
                param="num_inference_steps",
            )
        return steps


def takes_several_images(pipeline: Any) -> bool:
    """Whether a pipeline takes a list of pictures as the pictures of one edit, rather than as one edit each."""
    # Neither signature nor annotation tell it; those that do call them so, in each of diffusers' families.
    return "condition_images" in inspect.unwrap(type(pipeline).__call__).__code__.co_varnames


def _check_count(request: EditImageRequest, editor: Any) -> None:
    if len(request.images) > 1 and not (editor and request.mask is None and takes_several_images(editor)):
        raise BadRequest(f"image: this model edits one picture, and {len(request.images)} were sent", param="image")


def _strength(request: ImageRequest, pipeline: Any, way: Way, steps: int) -> float | None:
    asked = getattr(request, "strength", None)
    if "strength" not in parameters(pipeline):
        if asked is not None:
            raise UnsupportedField("strength: this model does as it is told, as far as it is told", param="strength")
        return None
    usual = USUAL_STRENGTH if way == "image" else float(call_defaults(pipeline)["strength"])
    strength = usual if asked is None else asked
    if not 0 < strength <= 1:
        raise BadRequest(f"strength: expected more than 0 and at most 1, got {strength}", param="strength")
    if int(steps * strength) < 1:
        raise BadRequest(
            f"strength: {strength} of {steps} steps is less than one step, so that nothing would change; "
            f"ask for a strength of at least {1 / steps:.3g} or for more steps",
            param="strength",
        )
    return strength


def _clip_skip(request: ImageRequest, pipeline: Any) -> int | None:
    if request.clip_skip is None:
        return None
    encoder = getattr(pipeline, "text_encoder", None)
    layers = getattr(getattr(encoder, "config", None), "num_hidden_layers", None)
    if "clip_skip" not in parameters(pipeline) or layers is None:
        raise UnsupportedField("clip_skip: this model's prompts are not read by CLIP alone", param="clip_skip")
    # Where a second encoder reads along, diffusers takes the last layer but one even if none is skipped.
    most = layers - (2 if hasattr(pipeline, "text_encoder_2") else 1)
    if not 0 <= request.clip_skip <= most:
        raise BadRequest(
            f"clip_skip: expected 0 to {most} layers to be left out at the end, got {request.clip_skip}",
            param="clip_skip",
        )
    return request.clip_skip


def _loras(request: ImageRequest, pipeline: Any) -> Any:
    if request.loras and not hasattr(pipeline, "load_lora_weights"):
        raise UnsupportedField("loras: diffusers loads no adapters into this kind of model", param="loras")
    return request.loras


def _keywords(
    pipeline: Any, size: tuple[int, int], steps: int, guidance: Guidance, strength: float | None
) -> tuple[tuple[str, Any], ...]:
    """Return what a call is given for all its rows, in an order that makes equal ones equal."""
    found: dict[str, Any] = {"num_inference_steps": steps, **dict(guidance.keywords)}
    if strength is not None:
        found["strength"] = strength
    found |= {"width": size[0], "height": size[1]}
    # Some editors take of width and height the proportions alone, and this for the number of pixels.
    found["max_area"] = size[0] * size[1]
    if not bins_sizes(pipeline):
        found["use_resolution_binning"] = False
    takes = parameters(pipeline)
    return tuple(sorted((name, value) for name, value in found.items() if name in takes))


def _fitting(inputs: Inputs, pipeline: Any, size: tuple[int, int]) -> Inputs:
    """Return the pictures in the size of the result, or as they are for editors with rules of their own."""
    return inputs if _looks_by_own_rules(pipeline) or not inputs.images else inputs.resized(size)


def _looks_by_own_rules(pipeline: Any) -> bool:
    """Whether a pipeline looks at pictures in a size of its choice, and makes one of any size of what it saw."""
    takes = parameters(pipeline)
    return {"image", "width"} <= takes.keys() and not {"strength", "mask_image"} & takes.keys()


def _usual_area(pipeline: Any) -> int:
    width, height = default_size(pipeline)
    return int(call_defaults(pipeline).get("max_area") or width * height)


def _scaled(size: tuple[int, int], area: int) -> tuple[int, int]:
    """Return a size of the same proportions with so many pixels."""
    factor = math.sqrt(area / (size[0] * size[1]))
    return round(size[0] * factor), round(size[1] * factor)


def _rows(request: ImageRequest, guidance: Guidance, inputs: Inputs) -> tuple[Row, ...]:
    first = secrets.randbits(32) if request.seed is None else request.seed
    if not 0 <= first <= _LARGEST_SEED - request.n:
        raise BadRequest(f"seed: expected 0 to {_LARGEST_SEED - request.n}, got {first}", param="seed")
    return tuple(
        Row(request.prompt, guidance.negative_prompt, first + index, inputs) for index in range(max(1, request.n))
    )


def _down(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    width, height = (max(multiple, side // multiple * multiple) for side in size)
    return width, height


def _up(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    width, height = (max(multiple, -(-side // multiple) * multiple) for side in size)
    return width, height
