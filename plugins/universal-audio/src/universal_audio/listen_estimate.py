"""What a model that hears takes, told from its files, the options and the device, before it is loaded."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from universal_audio.advice import advised
from universal_audio.converted import Weight, read_weights
from universal_audio.listen.options import RecognitionOptions, WhisperOptions
from universal_core import LoadFailed, MemoryEstimate, ModelInfo

# What a worker has for itself of Python and of the libraries that its nursery has imported. With faster-whisper 30 MB
# were measured; with transformers nothing was: this is a little over what its other models have.
_PROCESS = {"whisper": 40 * 2**20, "speech-recognition": 100 * 2**20}
# What finding speech takes for a second of what is looked at together: not measured by itself.
_SPEECH_SECOND = 720 * 1024
_WINDOW = 30
_WINDOWS_IN_A_BLOCK = 4
# Of 30 s of sound: the samples, the frames that are read of them, and the vectors that Whisper's encoder makes.
_SAMPLES, _FRAMES, _VECTORS = 480_000, 3000, 1500
# A window's text has at most half of these, but growing by a token, and another guess going on, make copies. Measured
# with 220 tokens, five guesses and 8 windows in the size of Whisper base: 790 MB at most, of which this makes 735.
_TOKENS = 448
_HEAD = 64
_LAYER = re.compile(r"decoder/layer_(\d+)/")
_FLOAT = 4
_ELEMENTS = {"float32": 4, "bfloat16": 2, "float16": 2}


class Shape(msgspec.Struct, frozen=True):
    """The measures of a Whisper that decide what it takes."""

    width: int
    heads: int
    layers: int
    vocabulary: int


def estimate_whisper(info: ModelInfo, options: WhisperOptions, device: str) -> MemoryEstimate:
    """Return what faster-whisper takes with a Whisper, in whichever format it is."""
    less = {
        'compute_type = "int8"': msgspec.structs.replace(options, compute_type="int8"),
        "batch_size = 2": msgspec.structs.replace(options, batch_size=2),
        "batch_size = 1": msgspec.structs.replace(options, batch_size=1),
    }
    return advised(_whisper(info, options, device), {text: _whisper(info, each, device) for text, each in less.items()})


def _whisper(info: ModelInfo, options: WhisperOptions, device: str) -> MemoryEstimate:
    weights = _converted(info)
    shape = _shape_of(weights) if weights else _shape_in(info.config)
    element, matrix = _formats(options.compute_type, device)
    values = sum(each.values for each in weights.values()) or _values(info)
    matrices = sum(each.values for name, each in weights.items() if _is_integer(name, each)) or values
    block = _WINDOW * max(options.batch_size, _WINDOWS_IN_A_BLOCK)
    cache = options.batch_size * _remembered(shape, options.beam_size, element)
    return MemoryEstimate(
        weights=matrices * matrix + (values - matrices) * element,
        # What the encoder computes is let go of before the first key is kept, so only the larger of both counts.
        working=max(options.batch_size * _encoding(shape, element) - cache, 0),
        cache=cache,
        # What speech is in is found on the processor.
        host=_PROCESS["whisper"] + block * _SPEECH_SECOND,
    )


def _converted(info: ModelInfo) -> dict[str, Weight]:
    """Return the weights of a model in CTranslate2's format; none for another, and for one that is not here."""
    if info.path is None or not info.matching("model.bin"):
        return {}
    try:
        return read_weights(Path(info.path, "model.bin"))
    except LoadFailed:
        return {}


def _formats(name: str, device: str) -> tuple[int, int]:
    """Return the bytes of a number, and of one in a matrix, that CTranslate2 computes with."""
    chosen = ("int8" if device == "cpu" else "float16") if name == "auto" else name
    # A processor knows no other numbers than these; what it lacks becomes float32.
    element = 2 if chosen.endswith("16") and (device != "cpu" or "bfloat16" in chosen) else _FLOAT
    return element, 1 if chosen.startswith("int8") else element


def _is_integer(name: str, weight: Weight) -> bool:
    return name.endswith("/weight") and len(weight.shape) == 2


def _values(info: ModelInfo) -> int:
    """Return how many numbers a model has by the size of its files, which are float16 as a rule in CTranslate2's."""
    converted = info.size_of("model.bin")
    return converted // 2 if converted else info.size_of("model*.safetensors") // _stored(info.config)


def _stored(config: Mapping[str, Any]) -> int:
    return _ELEMENTS.get(str(config.get("dtype") or config.get("torch_dtype")), _FLOAT)


def _shape_of(weights: Mapping[str, Weight]) -> Shape:
    found = weights.get("decoder/embeddings/weight", Weight((51865, 512), 0)).shape
    layers = [int(match[1]) for name in weights if (match := _LAYER.match(name))]
    return Shape(found[-1], max(found[-1] // _HEAD, 1), max(layers, default=5) + 1, found[0])


def _shape_in(config: Mapping[str, Any]) -> Shape:
    """Return the shape by a configuration of transformers; that of the largest Whisper where it has none."""
    width = int(config.get("d_model") or 1280)
    heads = int(config.get("encoder_attention_heads") or width // _HEAD)
    return Shape(width, heads, int(config.get("decoder_layers") or 32), int(config.get("vocab_size") or 51866))


def _encoding(shape: Shape, element: int) -> int:
    """Return the bytes that CTranslate2's encoder takes for a window: attention as a whole, and its widest layer.

    Measured: 99 MB in the size of Whisper base, 145 MB in that of small, both in int8, whose values are float32.
    """
    attention = shape.heads * _VECTORS * _VECTORS
    return element * (attention + _VECTORS * 9 * shape.width)


def _remembered(shape: Shape, beams: int, element: int) -> int:
    """Return the bytes of the keys and values of a window: of the sound, and of the text of each guess."""
    sound, text = _VECTORS, _TOKENS * beams
    return element * 2 * shape.layers * shape.width * (sound + text)


def estimate_recognition(info: ModelInfo, options: RecognitionOptions, device: str) -> MemoryEstimate:
    """Return what transformers takes with a model that hears."""
    less = {
        'dtype = "bfloat16"': msgspec.structs.replace(options, dtype="bfloat16"),
        "batch_size = 2": msgspec.structs.replace(options, batch_size=2),
        "batch_size = 1": msgspec.structs.replace(options, batch_size=1),
    }
    others = {text: _recognition(info, each, device) for text, each in less.items()}
    return advised(_recognition(info, options, device), others)


def _recognition(info: ModelInfo, options: RecognitionOptions, device: str) -> MemoryEstimate:
    element = _ELEMENTS.get(options.dtype, 2 if device.startswith("cuda") else _FLOAT)
    config, batch = info.config, options.batch_size
    values = info.size_of("model*.safetensors") // _stored(config)
    cache = 0
    if config.get("conv_dim"):
        working = _convolving(config, element)
    else:
        shape = _shape_in(config)
        cache = _remembered(shape, 1, element)
        working = element * _VECTORS * 14 * shape.width + _FLOAT * 8 * shape.vocabulary
    return MemoryEstimate(
        weights=values * element,
        working=batch * working,
        cache=batch * cache,
        host=_PROCESS["speech-recognition"] + batch * _SAMPLES * _FLOAT * 3,
    )


def _convolving(config: Mapping[str, Any], element: int) -> int:
    """Return the bytes that the convolutions of a wav2vec 2.0 or a HuBERT take for a window: their first is widest.

    Measured with wav2vec2-base in float32: 2.4 times its values for one window of 30 s, 2.8 times for each of two.
    """
    width, stride = config["conv_dim"][0], (config.get("conv_stride") or [5])[0]
    return int(2.8 * width * _SAMPLES / stride * element)
