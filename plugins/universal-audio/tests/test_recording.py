"""Recordings: every container is decoded to the same sound, and what is none is refused with words."""

import numpy as np
import pytest

from tiny.sounds import CONTAINERS, RATE, pcm, recording, silence, voice
from universal_audio.listen.recording import read_recording, resample_pcm
from universal_core import BadRequest

SOUND = np.concatenate([silence(0.5), voice(2.0), silence(0.5)])


def samples_of(data: bytes, longest: float = 3600.0) -> np.ndarray:
    return np.concatenate(list(read_recording(data, longest=longest)))


def refused(data: bytes, longest: float = 3600.0) -> str:
    with pytest.raises(BadRequest) as raised:
        samples_of(data, longest)
    assert raised.value.param == "file"
    return raised.value.message


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return how alike two sounds are, wherever the second begins within a tenth of a second."""
    size = min(len(one), len(other)) - 3200
    moved = (other[shift : shift + size] for shift in range(0, 3200, 4))
    return max(float(np.corrcoef(one[1600 : 1600 + size], part)[0, 1]) for part in moved if len(part) == size)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_same_sound(container: str) -> None:
    found = samples_of(recording(SOUND, container))
    assert found.dtype == np.float32
    assert abs(len(found) / RATE - 3.0) < 0.15
    assert correlation(SOUND, found) > 0.9


@pytest.mark.parametrize(("channels", "rate"), [(2, 8000), (2, 96000), (8, 48000), (1, 11025)])
def test_channels_become_one_and_rates_the_same(channels: int, rate: int) -> None:
    found = samples_of(recording(SOUND, "wav", channels=channels, rate=rate))
    assert abs(len(found) - len(SOUND)) < RATE // 100
    assert correlation(SOUND, found) > 0.95


def test_a_wav_of_the_right_rate_is_not_changed() -> None:
    found = samples_of(recording(SOUND))
    assert np.abs(found - SOUND).max() < 1e-4


def test_a_long_recording_comes_in_pieces() -> None:
    sizes = [len(piece) for piece in read_recording(recording(silence(120.0), "flac"), longest=3600.0)]
    assert sum(sizes) == 120 * RATE
    assert max(sizes) < 25 * RATE


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is a text file that somebody named hello.mp3. " * 50,
        b"\x00" * 5000,
        bytes(range(256)) * 40,
        b"RIFF",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
    ids=["text", "zeros", "noise", "only a beginning", "picture"],
)
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    assert refused(data)


def test_playlists_that_name_other_files_are_refused(tmp_path: object) -> None:
    file = f"{tmp_path}/secret.wav"
    with open(file, "wb") as output:  # noqa: PTH123 - a path that goes into the playlists
        output.write(recording(SOUND))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\nfile://{file}\n#EXT-X-ENDLIST\n"
    concatenation = f"ffconcat version 1.0\nfile '{file}'\n"
    for text in (playlist, concatenation):
        assert "cannot be read" in refused(text.encode())


@pytest.mark.parametrize("container", ["wav", "mp3", "ogg", "flac", "webm", "aac"])
def test_of_a_file_that_is_cut_off_what_is_there_is_heard(container: str) -> None:
    data = recording(SOUND, container)
    found = samples_of(data[: len(data) // 2])
    assert 0.5 < len(found) / RATE < 3.0


def test_a_file_whose_index_is_cut_off_is_refused() -> None:
    data = recording(SOUND, "mp4")
    assert "cannot be read" in refused(data[:-300])


def test_a_file_without_samples_is_refused() -> None:
    header = recording(SOUND)[:44]
    assert refused(header)


def test_damage_in_the_middle_is_passed_over() -> None:
    data = bytearray(recording(SOUND, "mp3"))
    data[len(data) // 2 : len(data) // 2 + 200] = b"\xff" * 200
    assert len(samples_of(bytes(data))) / RATE > 2.0


def test_a_video_without_sound_is_refused() -> None:
    import io

    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    assert "no audio stream" in refused(buffer.getvalue())


def test_a_recording_over_the_limit_is_refused_however_small_its_file() -> None:
    data = recording(silence(90.0), "flac")
    assert len(data) < 50_000
    assert "longer than 60 s" in refused(data, longest=60.0)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_plain_samples_of_any_rate_are_heard_alike(rate: int) -> None:
    time = np.arange(rate) / rate
    found = resample_pcm(pcm(0.5 * np.sin(2 * np.pi * 440 * time)), rate)
    assert abs(len(found) - RATE) <= 32
    spectrum = np.abs(np.fft.rfft(found))
    assert abs(int(spectrum.argmax()) * RATE / len(found) - 440) < 2


def test_no_samples_are_no_sound() -> None:
    assert len(resample_pcm(b"", 8000)) == 0
    assert len(resample_pcm(b"\x00", 16000)) == 0
