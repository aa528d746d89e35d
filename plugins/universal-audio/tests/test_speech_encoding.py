"""Every format, written in pieces, is a file that decodes to what went in."""

from typing import Any

import numpy as np
import pytest

from tiny.recordings import RATE, decoded, likeness
from universal_audio.speech.encoding import CONTAINERS, Encoder, nearest_rate, rates_of
from universal_core import AudioFormat, BadRequest

LOSSLESS = ("flac", "wav", "pcm")
TONE = 440.0


def tone(seconds: float = 2.0, rate: int = RATE) -> Any:
    return (0.4 * np.sin(2 * np.pi * TONE * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encoded(format: AudioFormat, samples: Any, rate: int = RATE, sample_rate: int | None = None) -> list[bytes]:
    """Return what the encoder gives for each quarter of a second, and at the end."""
    encoder = Encoder(format, rate, sample_rate, name="a text")
    step = rate // 4
    return [*(encoder.feed(samples[at : at + step]) for at in range(0, len(samples), step)), encoder.finish()]


def loudest(samples: Any, rate: int = RATE) -> float:
    """Return the frequency of the middle second's strongest tone in Hz."""
    middle = samples[len(samples) // 2 - rate // 2 :][:rate]
    return float(np.abs(np.fft.rfft(middle)).argmax())


@pytest.mark.parametrize("format", CONTAINERS)
def test_a_file_has_the_length_and_the_sound_that_went_in(format: AudioFormat) -> None:
    samples = tone()
    found = decoded(format, b"".join(encoded(format, samples)))
    # A codec that works in frames adds its delay and fills up the last frame.
    assert 0 <= len(found) - len(samples) <= (0 if format in (*LOSSLESS, "opus") else 0.1 * RATE)
    assert loudest(found) == TONE
    assert likeness(found, samples) > (0.999999 if format in LOSSLESS else 0.99)


@pytest.mark.parametrize("format", CONTAINERS)
def test_bytes_come_before_the_end(format: AudioFormat) -> None:
    pieces = encoded(format, tone())
    assert all(pieces[:-1])
    assert len(b"".join(pieces[:2])) > len(pieces[-1])


@pytest.mark.parametrize("sample_rate", [8000, 16000, 48000])
@pytest.mark.parametrize("format", CONTAINERS)
def test_a_file_can_have_another_sample_rate(format: AudioFormat, sample_rate: int) -> None:
    data = b"".join(encoded(format, tone(), sample_rate=sample_rate))
    found = decoded(format, data, sample_rate)
    assert abs(len(found) / sample_rate - 2.0) < 0.2
    assert loudest(found, sample_rate) == TONE


def test_plain_samples_are_little_endian_and_clipped() -> None:
    data = b"".join(encoded("pcm", np.array([0.0, 0.5, -0.5, 2.0, -2.0], np.float32)))
    assert np.frombuffer(data, "<i2").tolist() == [0, 16384, -16384, 32767, -32768]


def test_a_wav_file_begins_with_a_header_of_44_bytes_that_leaves_its_length_open() -> None:
    data = b"".join(encoded("wav", tone()))
    assert (data[:4], data[8:16], data[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    assert data[44:] == b"".join(encoded("pcm", tone()))


@pytest.mark.parametrize("format", CONTAINERS)
def test_the_same_samples_are_the_same_file(format: AudioFormat) -> None:
    assert encoded(format, tone()) == encoded(format, tone())


@pytest.mark.parametrize("format", ["mp3", "aac", "opus"])
def test_recordings_one_after_the_other_can_be_played_as_one(format: AudioFormat) -> None:
    first = b"".join(encoded(format, tone()))
    encoder = Encoder(format, RATE, name="another text")
    second = encoder.feed(tone()) + encoder.finish()
    assert abs(len(decoded(format, first + second)) / RATE - 4.0) < 0.2


def test_a_rate_that_a_format_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(BadRequest, match="opus has 8000, 12000, 16000, 24000, 48000 Hz, got 44100") as raised:
        Encoder("opus", RATE, 44100)
    assert raised.value.param == "sample_rate"


@pytest.mark.parametrize(
    ("format", "rate", "expected"),
    [("opus", 22050, 24000), ("opus", 96000, 48000), ("mp3", 24000, 24000), ("wav", 7, 7)],
)
def test_a_file_has_the_models_own_rate_or_the_next(format: AudioFormat, rate: int, expected: int) -> None:
    assert nearest_rate(format, rate) == expected


def test_any_rate_goes_where_a_format_has_no_list() -> None:
    assert rates_of("wav") == ()
