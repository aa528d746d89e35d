"""Read recordings back, and compare how they sound."""

import io
from typing import Any

import av
import numpy as np

RATE = 24000
"""Samples per second, unless a recording has another rate."""


def decoded(format: str, data: bytes, rate: int = RATE) -> Any:
    """Return a recording's samples at ``rate``: (n,) in -1..1."""
    raw = {"format": "s16le", "options": {"sample_rate": str(rate), "ch_layout": "mono"}} if format == "pcm" else {}
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(io.BytesIO(data), **raw) as file:
        assert file.streams.audio[0].channels == 1
        frames = [piece for frame in file.decode(audio=0) for piece in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)[0]


def likeness(found: Any, samples: Any) -> float:
    """Return the correlation of a second of both, the greatest for any delay of a codec: 1 for the same sound."""
    begin, length = len(samples) // 4, min(RATE, len(samples) // 2)
    second = samples[begin:][:length]
    shifts = [found[begin + delay :][:length] for delay in range(2 * 1152)]
    norms = [float(np.linalg.norm(shifted) * np.linalg.norm(second)) for shifted in shifts]
    return max(float(np.dot(shifted, second)) / norm for shifted, norm in zip(shifts, norms, strict=True))
