"""The options of the speech-to-text backends."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, ThreadsOption

Longest = Annotated[
    float, Meta(gt=0, description="Seconds that a recording may last; a longer one is refused, however small its file.")
]


class WhisperOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a Whisper model is run by faster-whisper."""

    device: DeviceOption = "auto"
    compute_type: Annotated[
        Literal["auto", "int8", "int8_float16", "int8_bfloat16", "int8_float32", "float16", "bfloat16", "float32"],
        Meta(description="Numbers to compute with; auto is int8 on a processor and float16 on a GPU."),
    ] = "auto"
    threads: ThreadsOption = None
    slots: Annotated[int, Meta(ge=1, description="Recordings that are worked on at the same time.")] = 8
    batch_size: Annotated[
        int, Meta(ge=1, description="Windows of up to 30 s, of one recording or several, computed together.")
    ] = 8
    beam_size: Annotated[int, Meta(ge=1, description="Guesses that are followed at the same time; 1 is fastest.")] = 5
    temperature_fallback: Annotated[
        bool, Meta(description="Try a window again at higher temperatures where the best guess is poor.")
    ] = True
    longest: Longest = 14400.0
    conversions: Annotated[
        str, Meta(description="Folder where models that were converted to CTranslate2's format are kept.")
    ] = "~/.universal/conversions"


class RecognitionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a speech model is run by transformers."""

    device: DeviceOption = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Meta(description="Number format of the weights; auto is float16 on a GPU and float32 elsewhere."),
    ] = "auto"
    threads: ThreadsOption = None
    batch_size: Annotated[int, Meta(ge=1, description="Windows of up to 30 s of a recording computed together.")] = 4
    longest: Longest = 14400.0
