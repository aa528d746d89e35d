"""What llama.cpp's reader of recordings must not be given: it ends the process, or takes all memory."""

from universal_core import BadRequest

MOST_SECONDS = 3600
"""How long a recording may be by its own account: hours of silence take a few bytes, and gigabytes when unpacked."""

_MOST_MP3 = 32 * 2**20
_LEAST = 44
_ADPCM = (2, 17)


def check_recording(data: bytes, param: str) -> None:
    """Raise BadRequest, naming ``param``, for what is no recording in WAV, MP3 or FLAC, and what is too long."""
    kind = _kind(data)
    if kind is None or len(data) < _LEAST:
        raise BadRequest(f"{param}: expected a recording in WAV, MP3 or FLAC, got {len(data)} bytes", param=param)
    seconds = {"wav": _wav_seconds, "flac": _flac_seconds, "mp3": _mp3_seconds}[kind](data)
    if seconds > MOST_SECONDS:
        raise BadRequest(
            f"{param}: the recording says that it has {seconds:.0f} s, and {MOST_SECONDS} are allowed; "
            "send it in parts",
            param=param,
        )


def _kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    sync = data[:1] == b"\xff" and data[1:2] >= b"\xe0"
    return "mp3" if data[:3] == b"ID3" or sync else None


def _wav_seconds(data: bytes) -> float:
    """Return how long a WAV file is at most, by the sample rate and the bytes of a sample in its ``fmt`` chunk."""
    place = 12
    while data[place : place + 4] not in (b"fmt ", b""):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    head = data[place + 8 : place + 24]
    form, channels, bits = (int.from_bytes(head[at : at + 2], "little") for at in (0, 2, 14))
    rate = int.from_bytes(head[4:8], "little")
    frame = 0.5 if form in _ADPCM else max(1, channels * bits // 8)
    return len(data) / frame / max(rate, 1)


def _flac_seconds(data: bytes) -> float:
    """Return how long a FLAC file says it is: STREAMINFO has 20 bits of sample rate and 36 of samples (RFC 9639)."""
    rate = int.from_bytes(data[18:21]) >> 4
    samples = int.from_bytes(data[21:26]) & (1 << 36) - 1
    return samples / max(rate, 1)


def _mp3_seconds(data: bytes) -> float:
    """Return a length beyond the limit for files so large that they may have too much; each frame has its own rate."""
    return MOST_SECONDS * len(data) / _MOST_MP3
