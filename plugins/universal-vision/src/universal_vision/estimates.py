"""What models that look at pictures take in memory, told from their files and options before anything is loaded.

The factors are measured ones: ``python -m bench memory`` compares them with what processes really take.
"""

import math
from functools import partial
from typing import Any

from universal_core import MemoryEstimate, ModelInfo
from universal_text.estimates import (
    Beside,
    cheaper,
    estimate_writing,
    loaded_bytes,
    number_size,
    overhead,
    saved_format,
)
from universal_text.files import number_in, weight_files
from universal_vision.captions.options import CaptionOptions
from universal_vision.chat.options import ChatOptions
from universal_vision.options import BatchOptions

_MEGABYTE = 10**6
# What is alive of a patch at once: a layer's input, query, key, value, context and output, and the feed-forward values
# before and after their activation.
_WIDTHS, _INNER, _PEAK = 6, 2, 1.4
_SCRATCH = 60 * _MEGABYTE
# Of the first layer of networks of convolutions, where their maps are largest.
_FEW_CHANNELS = 128
# Pictures that are read before they are computed, in batches; and what a decoded photograph has in pixels.
_BATCHES_AHEAD, _PHOTO = 3, 2**20
# Beyond it a batch of pictures of any size is cut.
_PIXELS_AT_ONCE = 2**22
# Bytes of a pixel in the layers of a model that finds things, a network of convolutions before it among them.
_BYTES_A_PIXEL = 280
# Of one that gives each pixel a kind: it brings the maps of all its levels to one size. Measured with SegFormer alone.
_BYTES_A_PIXEL_OF_KINDS = 1400
# What masks of a picture take at most while they are computed for every pixel.
_MOST_MASKS = 2**30
# Tokens of a caption and of what it is written from.
_WRITTEN = 256
_BEAMS = {"florence2": 3}


def estimate_encoder(info: ModelInfo, options: BatchOptions, device: str) -> MemoryEstimate:
    """Return what a model takes that classifies pictures or makes vectors of them, and what would take less."""
    return cheaper(partial(_encoder, info, device), options, _changes(info, options, device))


def estimate_regions(info: ModelInfo, options: BatchOptions, device: str) -> MemoryEstimate:
    """Return what a model takes that finds things, makes masks or estimates depths, and what would take less."""
    return cheaper(partial(_regions, info, device), options, _changes(info, options, device))


def estimate_captions(info: ModelInfo, options: CaptionOptions, device: str) -> MemoryEstimate:
    """Return what a model takes that writes about pictures in batches, and what would take less."""
    return cheaper(partial(_captions, info, device), options, _changes(info, options, device))


def estimate_chat(info: ModelInfo, options: ChatOptions, device: str) -> MemoryEstimate:
    """Return what a chat model takes that sees, and what would take less."""
    number = number_size(options.dtype, saved_format(info.config), device)
    vision = _vision(info.config)
    patches = _pixels(info, options.max_pixels) // (number_in(vision, "patch_size") or 14) ** 2
    return estimate_writing(info, options, device, Beside(alone=True, working=_activations(vision, patches, number)))


def _encoder(info: ModelInfo, device: str, options: BatchOptions) -> MemoryEstimate:
    number, vision = _number(info, options.dtype, device), _vision(info.config)
    side = _side(info, vision)
    most = options.most(device)
    patches = most * (side // (number_in(vision, "patch_size") or 16)) ** 2
    return _loaded(info, device, number, _activations(vision, patches, number) + _ready(most, side * side))


def _regions(info: ModelInfo, device: str, options: BatchOptions) -> MemoryEstimate:
    number = _number(info, options.dtype, device)
    most = options.most(device)
    pixels = _side(info, _vision(info.config)) ** 2
    at_once = min(most * pixels, max(_PIXELS_AT_ONCE, pixels))
    # Of every pixel and kind a number, and those that they are made from.
    kinds = len(info.config.get("id2label") or ())
    masks = min(_MOST_MASKS, 2 * 4 * _PHOTO * kinds) if _makes_masks(info) else 0
    each = _BYTES_A_PIXEL_OF_KINDS if _tells_kinds(info) else _BYTES_A_PIXEL
    return _loaded(info, device, number, at_once * each * number // 4 + _ready(most, pixels) + masks)


def _captions(info: ModelInfo, device: str, options: CaptionOptions) -> MemoryEstimate:
    number, vision = _number(info, options.dtype, device), _vision(info.config)
    side = _side(info, vision)
    patches = options.batch_size * (side // (number_in(vision, "patch_size") or 16)) ** 2
    working = _activations(vision, patches, number) + _ready(options.slots, side * side)
    beams = options.num_beams or _BEAMS.get(str(info.config.get("model_type")), 1)
    return _loaded(info, device, number, working, _attended(info, options.batch_size * beams, number))


def _loaded(info: ModelInfo, device: str, number: int, working: int, cache: int = 0) -> MemoryEstimate:
    process = overhead(info, device)
    return MemoryEstimate(
        weights=loaded_bytes(info, weight_files(info), number),
        working=working + process.device,
        cache=cache,
        host=process.host,
    )


def _number(info: ModelInfo, dtype: str, device: str) -> int:
    return number_size(dtype, saved_format(info.config), device)


def _vision(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the part that sees."""
    found = (config.get(name) for name in ("vision_config", "backbone_config", "encoder"))
    return next((inner for inner in found if isinstance(inner, dict)), config)


def _activations(vision: dict[str, Any], patches: int, number: int) -> int:
    """Return what some patches take in a layer of a vision transformer."""
    width = number_in(vision, "hidden_size", "embed_dim") or _FEW_CHANNELS
    inner = number_in(vision, "intermediate_size") or int(width * (vision.get("mlp_ratio") or 4))
    return int(_PEAK * patches * (_WIDTHS * width + _INNER * inner) * number) + _SCRATCH


def _ready(most: int, pixels: int) -> int:
    """Return what pictures take that are ready, in float32, and those that are being read."""
    return _BATCHES_AHEAD * most * pixels * 3 * 4 + 2 * _PHOTO * 3 * 4


def _attended(info: ModelInfo, rows: int, number: int) -> int:
    """Return the keys and values of rows that are being written."""
    text = info.config.get("text_config")
    config = text if isinstance(text, dict) else info.config
    layers = number_in(config, "decoder_layers", "num_hidden_layers")
    return 2 * rows * layers * number_in(config, "hidden_size", "d_model") * _WRITTEN * number


def _settings(info: ModelInfo) -> dict[str, Any]:
    """Return how pictures are prepared, as the files beside the model tell it."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        told = info.documents.get(name)
        if isinstance(told, dict):
            inner = told.get("image_processor")
            return inner if isinstance(inner, dict) else told
    return {}


def _side(info: ModelInfo, vision: dict[str, Any]) -> int:
    """Return the side of a square with as many pixels as a picture has that goes into the model."""
    settings = _settings(info)
    crop, size = (settings.get(name) for name in ("crop_size", "size"))
    told = crop if isinstance(crop, dict) and settings.get("do_center_crop") else size
    if isinstance(told, dict):
        if height := number_in(told, "height"):
            return int(math.sqrt(height * (number_in(told, "width") or height)))
        if shortest := number_in(told, "shortest_edge"):
            # Of a photograph, whose sides are as 3 to 4.
            return int(shortest * math.sqrt(4 / 3))
    return number_in({"side": told}, "side") or number_in(vision, "image_size") or 224


def _pixels(info: ModelInfo, most: int | None) -> int:
    """Return the pixels that a chat model reads of a photograph, the parts that it is cut into together."""
    settings = _settings(info)
    size = settings.get("size")
    longest = number_in(size, "longest_edge") if isinstance(size, dict) else 0
    area = number_in(settings, "max_pixels") or (longest if longest > 10_000 else 0)
    if area:
        return min(area, most or _PHOTO)
    if longest and settings.get("max_image_size"):
        return min(longest * longest, most or longest * longest)
    side = number_in(_vision(info.config), "image_size") or 384
    return side * side * (5 if "image_grid_pinpoints" in info.config else 1)


def _makes_masks(info: ModelInfo) -> bool:
    return any("Segment" in name for name in info.architectures)


def _tells_kinds(info: ModelInfo) -> bool:
    return any(name.endswith("ForSemanticSegmentation") for name in info.architectures)


def _changes(info: ModelInfo, options: Any, device: str) -> dict[str, dict[str, object]]:
    """Return what could be configured to take less, by the line that does it."""
    found: dict[str, dict[str, object]] = {"batch_size = 1": {"batch_size": 1}}
    if _number(info, options.dtype, device) == 4:
        found['dtype = "bfloat16"'] = {"dtype": "bfloat16"}
    return found
