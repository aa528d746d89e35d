"""Sounds made by code: a voice that a detector of speech takes for one, and files of every container."""

import io
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE = 16000
# Resonances in Hz of a few vowels: a, i, u, e, o.
_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
_WIDTHS = (60, 90, 150)

# container -> (format, codec, sample format, rate)
CONTAINERS = {
    "wav": ("wav", "pcm_s16le", "s16", 16000),
    "mp3": ("mp3", "libmp3lame", "fltp", 44100),
    "m4a": ("ipod", "aac", "fltp", 44100),
    "mp4": ("mp4", "aac", "fltp", 48000),
    "ogg": ("ogg", "libopus", "flt", 48000),
    "webm": ("webm", "libopus", "flt", 48000),
    "flac": ("flac", "flac", "s16", 22050),
    "aac": ("adts", "aac", "fltp", 44100),
}


def silence(seconds: float) -> Samples:
    """Return nothing to hear."""
    return np.zeros(int(seconds * RATE), np.float32)


def voice(seconds: float, pitch: float = 120.0) -> Samples:
    """Return syllables of changing vowels: harmonics of a gliding pitch, as loud as the resonances make them."""
    time = np.arange(int(seconds * RATE)) / RATE
    glide = pitch * (1 + 0.08 * np.sin(2 * np.pi * 0.7 * time) + 0.01 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    syllable = 0.22
    place = time / syllable
    before, after = np.floor(place).astype(int) % len(_VOWELS), (np.floor(place).astype(int) + 1) % len(_VOWELS)
    share = np.clip((place % 1 - 0.6) / 0.4, 0, 1)
    vowels = np.array(_VOWELS, float)
    resonances = vowels[before] * (1 - share[:, None]) + vowels[after] * share[:, None]
    sound = np.zeros_like(time)
    for harmonic in range(1, 32):
        frequency = harmonic * glide
        loudness = sum(
            gain / (1 + ((frequency - resonances[:, number]) / width) ** 2)
            for number, (width, gain) in enumerate(zip(_WIDTHS, (1.0, 0.6, 0.3), strict=True))
        )
        sound += loudness * np.sin(harmonic * phase) / harmonic**0.3
    rhythm = np.clip(np.sin(np.pi * (place % 1)) * 1.6, 0, 1) ** 0.7
    noise = np.random.default_rng(0).standard_normal(len(time)) * 0.003
    sound = sound * rhythm
    return (0.3 * sound / np.abs(sound).max() + noise).astype(np.float32)


def recording(samples: Samples, container: str = "wav", *, channels: int = 1, rate: int | None = None) -> bytes:
    """Return a file of a container with the samples in every channel."""
    form, codec, sample_format, usual = CONTAINERS[container]
    layout = {1: "mono", 2: "stereo", 8: "7.1"}[channels]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as output:
        stream = output.add_stream(codec, rate=rate or usual, layout=layout)
        stream.format = sample_format
        interleaved = np.repeat((np.clip(samples, -1, 1) * 32767).astype(np.int16), channels)
        frame = av.AudioFrame.from_ndarray(interleaved[None], format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate or usual)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def pcm(samples: Samples) -> bytes:
    """Return plain 16-bit little-endian samples."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
