"""Samples into the bytes of an audio file, as they are made."""

import zlib
from fractions import Fraction
from typing import Any

import av
import msgspec
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from universal_core import AudioFormat, BadRequest

Samples = NDArray[np.float32]


class Container(msgspec.Struct, frozen=True):
    """What FFmpeg calls a format: its muxer and encoder, the bits per second where it has a choice, and options."""

    muxer: str
    encoder: str
    bit_rate: int | None = None
    options: dict[str, str] = {}


# An Ogg page is sent when it is full, which by default takes a second of sound.
_OGG = {"page_duration": "100000"}
# Both tell the length of the whole, which is not known when they are written.
_NO_TAGS = {"write_xing": "0", "id3v2_version": "0"}

CONTAINERS: dict[AudioFormat, Container] = {
    "mp3": Container("mp3", "libmp3lame", 96_000, _NO_TAGS),
    "opus": Container("ogg", "libopus", 48_000, _OGG),
    "aac": Container("adts", "aac", 96_000),
    "flac": Container("flac", "flac"),
    "wav": Container("wav", "pcm_s16le"),
    "pcm": Container("s16le", "pcm_s16le"),
}


class Encoder:
    """Turns mono samples into a file of one format; what is encoded comes back at once.

    The file is never rewound, so the formats that write their length at the start leave it open, as streams do.
    """

    def __init__(self, format: AudioFormat, rate: int, sample_rate: int | None = None, name: str = "") -> None:
        """Take samples at ``rate`` Hz and write them at ``sample_rate``, by default the same. Raises BadRequest.

        ``name`` tells recordings apart where a format asks for that (the serial numbers of Ogg).
        """
        container = CONTAINERS[format]
        self.sample_rate = sample_rate or nearest_rate(format, rate)
        check_rate(format, self.sample_rate)
        self._rate = rate
        self._position = 0
        self._sink = _Sink()
        options = {"flush_packets": "1", "fflags": "+bitexact", **container.options}
        if container.muxer == "ogg":
            options["serial_offset"] = str(zlib.crc32(name.encode()) & 0x7FFFFFFF)
        self._file = av.open(self._sink, "w", format=container.muxer, container_options=options)
        self._stream = self._open(container)

    def _open(self, container: Container) -> AudioStream:
        settings: dict[str, Any] = {"layout": "mono"}
        stream = self._file.add_stream(container.encoder, rate=self.sample_rate, options={}, **settings)
        assert isinstance(stream, AudioStream)
        if container.bit_rate is not None:
            stream.codec_context.bit_rate = container.bit_rate
        return stream

    def feed(self, samples: Samples) -> bytes:
        """Encode samples of shape (n,) in -1..1, and return the bytes that are ready; what is louder is clipped."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._position
        self._position += len(samples)
        self._file.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """Return the rest of the file."""
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.take()


class _Sink:
    """Where FFmpeg writes to: it has no ``seek``, which makes every format a stream."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def rates_of(format: AudioFormat) -> tuple[int, ...]:
    """Return the samples per second that a format can have, lowest first; none means any."""
    return tuple(sorted(av.Codec(CONTAINERS[format].encoder, "w").audio_rates or ()))


def nearest_rate(format: AudioFormat, rate: int) -> int:
    """Return the lowest rate of a format that loses nothing, or its highest."""
    rates = rates_of(format)
    return next((known for known in rates if known >= rate), rates[-1]) if rates else rate


def check_rate(format: AudioFormat, rate: int) -> None:
    """Raise BadRequest for a rate that a format does not have."""
    rates = rates_of(format)
    if rates and rate not in rates:
        known = ", ".join(map(str, rates))
        raise BadRequest(f"sample_rate: {format} has {known} Hz, got {rate}", param="sample_rate")
