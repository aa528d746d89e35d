"""Recordings that say that they are longer than memory has room for are refused before they are unpacked."""

import struct

import pytest

from tiny.media import recording
from universal_core import BadRequest
from universal_gguf.generation.recordings import check_recording


def with_rate(rate: int) -> bytes:
    data = bytearray(recording(1.0))
    data[24:28] = struct.pack("<I", rate)
    return bytes(data)


def behind_other_chunks(data: bytes) -> bytes:
    return data[:12] + b"JUNK" + struct.pack("<I", 5) + b"fmt \0" + b"\0" + data[12:]


def flac(rate: int, samples: int) -> bytes:
    head = (rate << 44 | 15 << 36 | samples).to_bytes(8)
    return b"fLaC\0\0\0\x22" + bytes(10) + head + bytes(40)


@pytest.mark.parametrize(
    "data",
    [recording(0.5), with_rate(8000), behind_other_chunks(recording(0.5)), flac(44100, 44100 * 60), b"ID3" + bytes(99)],
    ids=["wav", "slow", "chunks", "flac", "mp3"],
)
def test_what_is_short_may_pass(data: bytes) -> None:
    check_recording(data, "audio")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (with_rate(1), "32044 bytes|16022 s"),
        (with_rate(0), "16022 s"),
        (behind_other_chunks(with_rate(1)), "s, and 3600 are allowed"),
        (flac(8000, 2**36 - 1), "8589935 s, and 3600 are allowed"),
        (flac(0, 10_000), "10000 s"),
        (b"\xff\xfb\x90\x00" + bytes(33 * 2**20), "s, and 3600 are allowed"),
        (b"", "got 0 bytes"),
        (b"OggS" + bytes(100), "expected a recording in WAV, MP3 or FLAC, got 104 bytes"),
        (recording(0.5)[:30], "got 30 bytes"),
        (b"RIFF\0\0\0\0WAVE" + bytes(20), "got 32 bytes"),
        (b"RIFF\0\0\0\0WAVE" + b"JUNK\xff\xff\xff\xff" + bytes(4000), "s, and 3600 are allowed"),
    ],
)
def test_what_is_too_long_or_no_recording_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        check_recording(data, "audio")
    assert caught.value.param == "audio"
