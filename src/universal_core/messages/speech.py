"""Speaking: the request and the events of the ``speak`` task, and the voices that a model has."""

from typing import ClassVar, Literal

from universal_core.messages.message import Event, Message, Request, Result

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class SpeakRequest(Request, frozen=True, kw_only=True):
    """Say a text.

    ``voice`` is one that ``list_voices`` names, None for the model's own choice; ``speed`` is a factor; ``language`` is
    a code such as ``en-GB`` and goes before the voice's own. ``format`` is what the chunks are encoded in: ``opus`` in
    Ogg, ``aac`` in ADTS, ``pcm`` as little-endian int16; all are mono. ``sample_rate`` is in Hz, None: the model's own.
    ``unfinished`` says that the text goes on elsewhere, so that only its whole sentences are to be spoken.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"text", "voice", "format", "sample_rate", "unfinished"})

    text: str
    voice: str | None = None
    speed: float = 1.0
    language: str | None = None
    instructions: str | None = None
    seed: int | None = None
    format: AudioFormat = "pcm"
    sample_rate: int | None = None
    unfinished: bool = False


class AudioChunk(Event, frozen=True, kw_only=True):
    """Bytes to append to a recording, in the format that was asked for, and its samples per second."""

    data: bytes
    sample_rate: int


class Spoken(Event, frozen=True, kw_only=True):
    """The end of a recording: how long it lasts, and how many characters of the text were dealt with."""

    seconds: float
    characters: int


class ListVoicesRequest(Request, frozen=True, kw_only=True):
    """Name the voices of a model."""


class Voice(Message, frozen=True, kw_only=True):
    """A voice: what requests call it, what people call it, and its language (BCP 47), None where it has none."""

    id: str
    name: str
    language: str | None = None


class ListVoicesResult(Result, frozen=True, kw_only=True):
    """Every voice of a model, its default voice first."""

    voices: tuple[Voice, ...]
