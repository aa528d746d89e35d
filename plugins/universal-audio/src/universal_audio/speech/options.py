"""The options of the text-to-speech backends."""

from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, ThreadsOption

Slots = Annotated[int, Meta(ge=1, description="Texts that are spoken at the same time, a sentence of each in turn.")]


class KokoroOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a Kokoro model is loaded and run."""

    device: DeviceOption = "auto"
    threads: ThreadsOption = None
    slots: Slots = 8
    voice: Annotated[
        str | None,
        Meta(description="The voice, or mix of voices, of a request that names none; none: af_heart, where it is."),
    ] = None


class SpeechOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How another speech model is loaded and run."""

    device: DeviceOption = "auto"
    threads: ThreadsOption = None
    slots: Slots = 8
    language: Annotated[
        str, Meta(description="The language that the model speaks, by which texts are cut into sentences.")
    ] = "en"
    vocoder: Annotated[
        str | None,
        Meta(description="Folder or repository of the vocoder of a model that makes spectrograms; none: the usual."),
    ] = None
