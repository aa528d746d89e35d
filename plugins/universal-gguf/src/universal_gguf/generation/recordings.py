"""What llama.cpp's reader of recordings must not be given: it ends the process, or takes all memory."""

from universal_core import BadRequest

MOST_SECONDS = 3600
"""How long a recording in FLAC may say that it is: a minute of silence takes a few bytes there."""

_FLAC_HEAD = 26


def check_recording(data: bytes, param: str) -> None:
    """Raise BadRequest, naming ``param``, for what is no recording in WAV, MP3 or FLAC, and what is too long."""
    wav = data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    mp3 = data[:3] == b"ID3" or (data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE0 == 0xE0)
    flac = data[:4] == b"fLaC"
    if len(data) < _FLAC_HEAD or not (wav or mp3 or flac):
        raise BadRequest(f"{param}: expected a recording in WAV, MP3 or FLAC, got {len(data)} bytes", param=param)
    if flac and _seconds(data) > MOST_SECONDS:
        raise BadRequest(f"{param}: the recording is longer than {MOST_SECONDS} s; send it in parts", param=param)


def _seconds(data: bytes) -> float:
    """Return how long a FLAC file says it is: STREAMINFO has 20 bits of sample rate and 36 of samples (RFC 9639)."""
    rate = int.from_bytes(data[18:21]) >> 4
    samples = int.from_bytes(data[21:26]) & (1 << 36) - 1
    return samples / max(rate, 1)
