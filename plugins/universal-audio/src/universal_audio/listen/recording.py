"""Recordings of any container, decoded piece by piece to the samples that models hear."""

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from universal_core import BadRequest

Samples = NDArray[np.float32]
RATE = 16000

# Containers that hold sound themselves. Playlists (hls, concat, dash, sdp) name other files or addresses, which a
# client must not make the server open; nor may a container's own references be followed.
_FORMATS = (
    *("aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv"),
    *("gsm", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "mpeg", "mpegts", "ogg", "tta", "w64", "wav", "wv"),
)
_SAFE = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "none"}
_PIECE = 20.0


def read_recording(data: bytes, *, rate: int = RATE, longest: float) -> Iterator[Samples]:
    """Yield a recording in pieces of some 20 s: one channel of float32 in -1..1, ``rate`` of them a second.

    What is damaged in the middle or cut off at the end is left out. Raises BadRequest where nothing can be decoded,
    and where there is more than ``longest`` seconds.
    """
    seconds = 0.0
    for piece in _grouped(_decoded(data, rate), int(_PIECE * rate)):
        seconds += len(piece) / rate
        if seconds > longest:
            raise BadRequest(
                f"file: the recording is longer than {longest:g} s, the most that is allowed", param="file"
            )
        yield piece
    if not seconds:
        raise BadRequest("file: the recording has no sound in it, or is cut off before the first", param="file")


def _decoded(data: bytes, rate: int) -> Iterator[Samples]:
    try:
        container = av.open(io.BytesIO(data), mode="r", metadata_errors="ignore", container_options=_SAFE)
    except (FFmpegError, ValueError) as error:
        raise BadRequest(
            "file: expected a recording (wav, mp3, m4a, ogg, opus, flac, webm, mp4, ...), but it cannot be read as "
            f"one: {_reason(error)}",
            param="file",
        ) from None
    with container:
        if not container.streams.audio:
            raise BadRequest("file: it has no audio stream, only other ones", param="file")
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        for frame in chain(_frames(container), [None]):
            try:
                yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
            except (FFmpegError, ValueError) as error:
                raise BadRequest(f"file: its sound cannot be converted: {_reason(error)}", param="file") from None


def _frames(container: Any) -> Iterator[Any]:
    """Yield the first audio stream's frames; damaged packets are passed over, a damaged container is the end."""
    packets = container.demux(container.streams.audio[0])
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            # Damaged times would stop the resampler; the samples themselves are in order.
            frame.pts = None
            yield frame


def _grouped(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    waiting: list[Samples] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= size:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if count:
        yield np.concatenate(waiting)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def resample_pcm(data: bytes, rate: int) -> Samples:
    """Return 16-bit little-endian samples of one channel as float32 at 16000 a second."""
    numbers = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")
    if rate == RATE or not len(numbers):
        return (numbers.astype(np.float32)) / 32768.0
    frame = av.AudioFrame.from_ndarray(numbers[None], format="s16", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    return np.concatenate([part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))])
