"""Whisper through faster-whisper: what it says is what the library says, alone and beside others."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel

from listening import EXACT, events_of, model_folder, request_for, text_of
from tiny.folder import info_of
from tiny.sounds import RATE, pcm, recording, silence, voice
from universal_audio.listen import engine
from universal_audio.listen.hearing import HIGHER_TEMPERATURES, Hearing
from universal_audio.listen.options import WhisperOptions
from universal_audio.listen.whisper import Whisper
from universal_core import (
    BadRequest,
    Event,
    Heard,
    ListenRequest,
    ListenResult,
    LoadFailed,
    Segment,
    TranscribeRequest,
    Usage,
)

SHORT = np.concatenate([silence(0.5), voice(3.0), silence(0.5)])
LONG = np.concatenate([voice(20), silence(2), voice(25), silence(2), voice(28), silence(2), voice(12)])
Open = Callable[..., Whisper]


@pytest.fixture(scope="module")
def open_model() -> Iterator[Open]:
    """Return a function that loads the tiny Whisper; all are closed at the end."""
    with ExitStack() as stack:

        def load(**options: Any) -> Whisper:
            chosen = WhisperOptions(**{**EXACT, **options})
            return stack.enter_context(closing(Whisper(info_of(model_folder("converted")), chosen)))

        yield load


@pytest.fixture(scope="module")
def model(open_model: Open) -> Whisper:
    return open_model()


@pytest.fixture(scope="module")
def library() -> WhisperModel:
    return WhisperModel(
        str(model_folder("converted")), device="cpu", compute_type="float32", cpu_threads=1, local_files_only=True
    )


def transcribe(model: Whisper, *requests: TranscribeRequest) -> list[list[Event]]:
    async def run() -> list[list[Event]]:
        return await asyncio.gather(*(events_of(model.transcribe(request)) for request in requests))

    return asyncio.run(run())


def segments(events: list[Event]) -> list[Segment]:
    return [event for event in events if isinstance(event, Segment)]


@pytest.mark.parametrize("words", [False, True])
def test_a_recording_is_heard_as_the_library_hears_it(model: Whisper, library: WhisperModel, words: bool) -> None:
    (events,) = transcribe(model, request_for(recording(SHORT), words=words))
    expected, _ = BatchedInferencePipeline(library).transcribe(
        (SHORT * 32767).astype(np.int16).astype(np.float32) / 32768,
        language="en",
        beam_size=1,
        without_timestamps=False,
        word_timestamps=words,
        vad_filter=False,
    )
    found = segments(events)
    for segment, reference in zip(found, expected, strict=False):
        assert segment.text == reference.text
        assert segment.tokens == tuple(reference.tokens)
        assert segment.avg_logprob == pytest.approx(reference.avg_logprob, abs=1e-4)
        assert [word.word for word in segment.words] == [word.word for word in reference.words or ()]
        if not words:
            assert segment.start == pytest.approx(min(reference.start, 4.0), abs=1e-3)
            assert segment.end == pytest.approx(min(reference.end, 4.0), abs=1e-3)


def test_nothing_that_is_said_is_left_out(model: Whisper, library: WhisperModel) -> None:
    """The library's pipeline drops what comes after the last pair of timestamps; here it is there."""
    (events,) = transcribe(model, request_for(recording(SHORT)))
    expected, _ = BatchedInferencePipeline(library).transcribe(
        SHORT, language="en", beam_size=1, without_timestamps=False, vad_filter=False
    )
    reference = "".join(segment.text for segment in expected)
    assert text_of(events).startswith(reference.strip())
    assert len(text_of(events)) > len(reference)


def test_the_end_tells_of_the_recording(model: Whisper) -> None:
    (events,) = transcribe(model, request_for(recording(SHORT)))
    *_, heard, usage = events
    assert heard == Heard(duration=4.0, language="en")
    assert isinstance(usage, Usage)
    assert usage.prompt_tokens == 200
    assert usage.completion_tokens == sum(len(segment.tokens) for segment in segments(events)) > 0


def test_times_are_in_order_and_inside(model: Whisper) -> None:
    (events,) = transcribe(model, request_for(recording(LONG), words=True))
    found = segments(events)
    assert len({segment.seek for segment in found}) >= 3
    for segment in found:
        assert 0 <= segment.start <= segment.end <= len(LONG) / RATE + 0.01
        assert all(0 <= word.start <= word.end <= len(LONG) / RATE + 0.01 for word in segment.words)
        assert all(0 <= word.probability <= 1 for word in segment.words)
    assert [segment.start for segment in found] == sorted(segment.start for segment in found)


def test_recordings_beside_one_another_do_not_mix(model: Whisper) -> None:
    requests = [
        request_for(recording(LONG)),
        request_for(recording(SHORT)),
        request_for(recording(voice(7, 200)), language="de"),
        request_for(recording(SHORT), prompt="hello world"),
        request_for(recording(LONG), vad_filter=True),
    ]
    alone = [transcribe(model, request)[0] for request in requests]
    together = transcribe(model, *requests)
    assert [text_of(events) for events in together] == [text_of(events) for events in alone]
    assert len({text_of(events) for events in alone}) == len(requests)


def test_windows_of_several_recordings_are_computed_together(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    hear = Hearing._batch

    def counted(self: Hearing, settings: Any, windows: Any) -> Any:
        sizes.append(len(windows))
        return hear(self, settings, windows)

    monkeypatch.setattr(Hearing, "_batch", counted)
    noted: list[int] = []
    monkeypatch.setattr(engine, "note_batch", noted.append)
    transcribe(model, *(request_for(recording(voice(2 + number))) for number in range(5)))
    assert sum(sizes) == sum(noted) == 5
    assert max(sizes) > 1
    assert max(sizes) <= WhisperOptions().batch_size


def test_one_window_at_a_time_says_the_same(model: Whisper, open_model: Open) -> None:
    one = open_model(batch_size=1)
    (expected,), (found,) = (
        transcribe(model, request_for(recording(LONG))),
        transcribe(one, request_for(recording(LONG))),
    )
    # Both cut at pauses, but see different lengths of the recording at a time.
    assert text_of(found)
    assert next(event for event in found if isinstance(event, Heard)) == next(
        event for event in expected if isinstance(event, Heard)
    )


def test_the_language_is_found_out(model: Whisper, library: WhisperModel) -> None:
    (events,) = transcribe(model, request_for(recording(SHORT), language=None))
    language, probability, _ = library.detect_language(SHORT)
    heard = next(event for event in events if isinstance(event, Heard))
    assert heard.language == language
    assert heard.language_probability == pytest.approx(probability, abs=1e-3)


def test_prompt_hotwords_language_and_task_reach_the_model(model: Whisper) -> None:
    plain = request_for(recording(SHORT))
    changed = [
        msgspec.structs.replace(plain, prompt="taught us how"),
        msgspec.structs.replace(plain, hotwords="goes nobody"),
        msgspec.structs.replace(plain, language="fr"),
    ]
    texts = [text_of(events) for events in transcribe(model, plain, *changed)]
    assert len(set(texts)) == 4

    async def translate() -> list[Event]:
        return await events_of(model.translate(plain))

    assert text_of(asyncio.run(translate())) not in texts


def test_a_language_that_the_model_lacks_is_refused(model: Whisper) -> None:
    with pytest.raises(BadRequest, match="does not know 'klingon'; it knows af, am,") as raised:
        transcribe(model, request_for(recording(SHORT), language="klingon"))
    assert raised.value.param == "language"


def test_silence_is_left_out_when_asked_for(model: Whisper) -> None:
    quiet = np.concatenate([silence(20), voice(4), silence(40)])
    (events,) = transcribe(model, request_for(recording(quiet), vad_filter=True))
    assert {segment.seek for segment in segments(events)} <= set(range(1900, 2100))
    (nothing,) = transcribe(model, request_for(recording(silence(40)), vad_filter=True))
    assert segments(nothing) == []
    assert next(event for event in nothing if isinstance(event, Heard)).duration == 40.0


def test_the_shortest_recordings_are_answered(model: Whisper) -> None:
    for seconds in (0.001, 0.1, 0.5):
        (events,) = transcribe(model, request_for(recording(voice(1)[: int(seconds * RATE)])))
        assert next(event for event in events if isinstance(event, Heard)).duration == pytest.approx(seconds, abs=1e-3)


def test_a_poor_guess_is_tried_again_at_higher_temperatures(open_model: Open) -> None:
    model = open_model(temperature_fallback=True)
    (events,) = transcribe(model, request_for(recording(SHORT)))
    assert {segment.temperature for segment in segments(events)} & set(HIGHER_TEMPERATURES)


def test_a_temperature_is_used_as_it_is(model: Whisper) -> None:
    (events,) = transcribe(model, request_for(recording(SHORT), temperature=0.7))
    assert {segment.temperature for segment in segments(events)} == {0.7}


def test_a_stream_that_is_left_takes_its_windows_with_it(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    hear = Hearing.hear

    def counted(self: Hearing, settings: Any, windows: Any) -> Any:
        heard.append(len(windows))
        return hear(self, settings, windows)

    monkeypatch.setattr(model._engine, "_run", lambda settings, windows: counted(_hearing(model), settings, windows))
    long = np.concatenate([LONG] * 8)

    async def leave() -> None:
        async with aclosing(model.transcribe(request_for(recording(long)))) as events:
            async for _ in events:
                break

    asyncio.run(leave())
    assert sum(heard) < len(long) / RATE / 30
    (events,) = transcribe(model, request_for(recording(SHORT)))
    assert text_of(events)


def _hearing(model: Whisper) -> Hearing:
    return Hearing(model._model, beam_size=1, fallback=False)


def test_a_long_recording_is_not_in_memory_as_a_whole(open_model: Open) -> None:
    model, data = open_model(batch_size=2), recording(silence(1500), "flac")
    gc.collect()
    tracemalloc.start()
    try:
        transcribe(model, request_for(data, vad_filter=True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    whole = 1500 * RATE * 4
    assert peak < whole * 0.7


def test_what_goes_on_is_heard_in_parts(model: Whisper) -> None:
    sound = np.concatenate([silence(1), voice(2), silence(1.2), voice(1.5)])

    async def listen(final: bool) -> ListenResult:
        return await model.listen(ListenRequest(audio=pcm(sound), language="en", final=final))

    going_on, whole = asyncio.run(listen(False)), asyncio.run(listen(True))
    assert going_on.segments
    assert going_on.partial is not None
    assert 2.9 * RATE < going_on.consumed < 4.3 * RATE
    assert going_on.partial.start == pytest.approx(going_on.consumed / RATE, abs=0.5)
    assert whole.partial is None
    assert whole.consumed == len(sound)
    for one, other in zip(whole.segments, going_on.segments, strict=False):
        assert (one.text, one.start, one.end) == (other.text, other.start, other.end)
    assert len(whole.segments) > len(going_on.segments)


def test_silence_that_goes_on_is_done_with(model: Whisper) -> None:
    async def listen(rate: int) -> ListenResult:
        return await model.listen(ListenRequest(audio=bytes(rate * 6), sample_rate=rate))

    for rate in (8000, 16000, 48000):
        found = asyncio.run(listen(rate))
        assert (found.segments, found.partial) == ((), None)
        assert 2.0 * rate < found.consumed < 3.0 * rate


def test_a_whisper_of_transformers_is_converted_once(tmp_path: Path) -> None:
    info = info_of(model_folder("whisper"))
    options = WhisperOptions(**EXACT, conversions=str(tmp_path / "kept"))
    with closing(Whisper(info, options)) as model:
        (events,) = transcribe(model, request_for(recording(SHORT)))
    assert text_of(events)
    (kept,) = (tmp_path / "kept").iterdir()
    made = (kept / "model.bin").stat()
    with closing(Whisper(info, options)):
        assert (kept / "model.bin").stat() == made
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [kept.name]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"device": "cuda:7"}, "CUDA devices"), ({"device": "mps"}, "Apple"), ({"compute_type": "float16"}, "float16")],
)
def test_what_this_machine_lacks_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LoadFailed, match=words):
        Whisper(info_of(model_folder("converted")), WhisperOptions(**{**EXACT, **options}))


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    for file in model_folder("converted").iterdir():
        if file.name != "tokenizer.json":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(LoadFailed, match=r"no tokenizer\.json"):
        Whisper(info_of(tmp_path), WhisperOptions(**EXACT))
