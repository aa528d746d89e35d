"""The endpoints of speech to text, through OpenAI's SDK and over a real server, with a tiny Whisper behind them."""

import asyncio
import base64
import io
import re
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

import openai
from listening import EXACT, model_folder
from server import Server, running_server
from sockets import connected
from tiny.sounds import CONTAINERS, pcm, recording, silence, voice

SOUND = np.concatenate([silence(0.5), voice(3.0), silence(1.5), voice(2.0)])
FILE = ("hello.wav", recording(SOUND), "audio/wav")
# The SDK advises against OpenAI's own models for translations; the endpoint is as it was.
SDK_SAYS_DEPRECATED = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
ENGLISH: dict[str, Any] = {"model": "ears", "language": "en"}


def configuration(folder: Path) -> Path:
    """Write a file with two models under short names, and a folder that requests may name files of."""
    options = "\n".join(f"{name} = {_toml(value)}" for name, value in EXACT.items())
    path = folder / "universal.toml"
    path.write_text(
        f'[media]\nroots = ["{folder}"]\n'
        f'[model.ears]\nmodel = "{model_folder("converted")}"\n[model.ears.options]\n{options}\n'
        f'[model.letters]\nmodel = "{model_folder("wav2vec2")}"\n[model.letters.options]\ndevice = "cpu"\nthreads = 1\n'
    )
    return path


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def empty_wav() -> bytes:
    """Return a file with a correct heading and no samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(16000)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("media")
    (folder / "hello.wav").write_bytes(FILE[1])
    with running_server("--config", str(configuration(folder))) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def text(client: openai.OpenAI) -> str:
    """Return what the model says of the recording."""
    return client.audio.transcriptions.create(file=FILE, **ENGLISH).text


def post(server: Server, path: str = "transcriptions", **fields: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/audio/{path}", timeout=120, **fields)


def test_json(client: openai.OpenAI) -> None:
    found = client.audio.transcriptions.create(file=FILE, **ENGLISH)
    assert type(found) is Transcription
    assert found.text
    assert found.usage is not None
    assert (found.usage.type, found.usage.seconds) == ("duration", 7)


def test_verbose_json(client: openai.OpenAI, text: str) -> None:
    found = client.audio.transcriptions.create(
        file=FILE, response_format="verbose_json", timestamp_granularities=["word", "segment"], **ENGLISH
    )
    assert type(found) is TranscriptionVerbose
    # Strictly: every field is of the type that the SDK says.
    TranscriptionVerbose.model_validate(found.to_dict(), strict=True)
    assert (found.language, found.duration, found.text) == ("english", 7.0, text)
    assert found.segments
    assert found.words
    assert "".join(segment.text for segment in found.segments).strip() == text
    assert re.sub(r"\s+", "", "".join(word.word for word in found.words)) == re.sub(r"\s+", "", text)
    assert all(0 <= word.start <= word.end <= 7.0 for word in found.words)


def test_granularities_choose_what_there_is(client: openai.OpenAI) -> None:
    words = client.audio.transcriptions.create(
        file=FILE, response_format="verbose_json", timestamp_granularities=["word"], **ENGLISH
    )
    assert (bool(words.words), words.segments) == (True, None)
    segments = client.audio.transcriptions.create(file=FILE, response_format="verbose_json", **ENGLISH)
    assert (segments.words, bool(segments.segments)) == (None, True)


def test_text_is_plain_text(client: openai.OpenAI, text: str) -> None:
    assert client.audio.transcriptions.create(file=FILE, response_format="text", **ENGLISH) == text + "\n"


def test_srt_and_vtt_are_plain_text(client: openai.OpenAI, text: str) -> None:
    srt = client.audio.transcriptions.create(file=FILE, response_format="srt", **ENGLISH)
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n\S", srt)
    assert all(line in srt.split("\n") for line in ("1", "2"))
    vtt = client.audio.transcriptions.create(file=FILE, response_format="vtt", **ENGLISH)
    assert re.match(r"WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\n\S", vtt)
    spoken = [line for line in vtt.splitlines()[1:] if line and "-->" not in line]
    assert " ".join(spoken).split() == text.split()


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("text", "text/plain; charset=utf-8"),
        ("srt", "text/plain; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("json", "application/json"),
        ("verbose_json", "application/json"),
    ],
)
def test_each_form_has_its_media_type(client: openai.OpenAI, form: Any, media_type: str) -> None:
    with client.audio.transcriptions.with_streaming_response.create(
        file=FILE, response_format=form, **ENGLISH
    ) as response:
        assert response.headers["content-type"] == media_type
        assert response.headers["server-timing"].startswith("queue;dur=")
        assert response.read()


def test_a_stream_has_deltas_and_an_end(client: openai.OpenAI, text: str) -> None:
    *deltas, done = client.audio.transcriptions.create(file=FILE, stream=True, **ENGLISH)
    assert len(deltas) > 1
    assert all(type(delta) is TranscriptionTextDeltaEvent for delta in deltas)
    assert type(done) is TranscriptionTextDoneEvent
    TranscriptionTextDoneEvent.model_validate(done.to_dict(), strict=True)
    assert "".join(delta.delta for delta in deltas) == done.text == text
    assert done.usage is not None
    assert done.usage.input_tokens == 350
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens > 350


@SDK_SAYS_DEPRECATED
def test_translations_have_their_forms(client: openai.OpenAI, text: str) -> None:
    found = client.audio.translations.create(file=FILE, model="ears")
    assert type(found) is Translation
    assert found.text not in ("", text)
    verbose = client.audio.translations.create(file=FILE, model="ears", response_format="verbose_json")
    assert type(verbose) is TranslationVerbose
    assert (verbose.language, verbose.duration, verbose.text) == ("english", 7.0, found.text)
    assert client.audio.translations.create(file=FILE, model="ears", response_format="text") == found.text + "\n"
    assert client.audio.translations.create(file=FILE, model="ears", response_format="srt").startswith("1\n")
    with client.audio.translations.with_streaming_response.create(
        file=FILE, model="ears", response_format="vtt"
    ) as response:
        assert response.read().startswith(b"WEBVTT\n\n")


def test_the_asynchronous_client_is_served_several_at_once(server: Server, text: str) -> None:
    async def ask() -> list[Transcription]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            return await asyncio.gather(*(client.audio.transcriptions.create(file=FILE, **ENGLISH) for _ in range(6)))

    assert {found.text for found in asyncio.run(ask())} == {text}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_heard(client: openai.OpenAI, container: str) -> None:
    found = client.audio.transcriptions.create(
        file=(f"hello.{container}", recording(SOUND, container)), response_format="verbose_json", **ENGLISH
    )
    assert found.text
    assert abs(found.duration - 7.0) < 0.1


def test_json_may_hold_or_name_the_recording(server: Server, text: str, tmp_path: Path) -> None:
    encoded = base64.b64encode(FILE[1]).decode()
    folder = re.search(r"--config (\S+)/universal\.toml", " ".join(server.process.args))
    assert folder is not None
    for source in (encoded, f"data:audio/wav;base64,{encoded}", f"{folder[1]}/hello.wav"):
        response = post(server, json={"file": source, **ENGLISH})
        assert response.json()["text"] == text
    (tmp_path / "other.wav").write_bytes(FILE[1])
    refused = post(server, json={"file": str(tmp_path / "other.wav"), **ENGLISH})
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "file")
    refused = post(server, json={"file": "http://127.0.0.1:1/hello.wav", **ENGLISH})
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "file")


def test_more_of_openai_s_fields_are_honoured(client: openai.OpenAI, text: str) -> None:
    found = client.audio.transcriptions.create(file=FILE, chunking_strategy="auto", temperature=0, **ENGLISH)
    assert found.text == text
    words = client.audio.transcriptions.create(file=FILE, extra_body={"hotwords": "goes, nobody"}, **ENGLISH)
    keywords = client.audio.transcriptions.create(file=FILE, keywords=["goes", "nobody"], **ENGLISH)
    assert words.text == keywords.text != text
    prompted = client.audio.transcriptions.create(file=FILE, prompt="taught us how", **ENGLISH)
    assert prompted.text != text
    filtered = client.audio.transcriptions.create(file=FILE, extra_body={"vad_filter": True}, **ENGLISH)
    assert filtered.text != text


@pytest.mark.parametrize(
    ("fields", "status", "param", "words"),
    [
        ({"model": "nobody/nothing"}, 404, "model", "was not found"),
        ({"language": "klingon"}, 400, "language", "it knows af"),
        ({"temperature": "1.5"}, 400, "temperature", "<= 1"),
        ({"response_format": "yaml"}, 400, "response_format", "verbose_json"),
        ({"timestamp_granularities[]": "word"}, 400, "timestamp_granularities", "verbose_json"),
        ({"stream": "true", "response_format": "srt"}, 400, "response_format", "stream"),
        ({"diarize": "true"}, 501, "diarize", "speakers"),
        ({"response_format": "diarized_json"}, 501, "response_format", "speakers"),
        ({"known_speaker_names[]": "Ann"}, 501, "known_speaker_names", "speakers"),
        ({"include[]": "logprobs"}, 400, "include", "not supported"),
        ({"languages[]": "de"}, 400, "languages", "use language"),
        ({"chunking_strategy[type]": "server_vad"}, 400, "chunking_strategy", "auto"),
        ({"langauge": "en"}, 400, "langauge", "did you mean language"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    server: Server, fields: dict[str, Any], status: int, param: str, words: str
) -> None:
    response = post(server, files={"file": FILE}, data={"model": "ears", **fields})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"this is no sound at all, whatever its name says. " * 20, "cannot be read"),
        (recording(SOUND, "mp4")[:-300], "cannot be read"),
        (empty_wav(), "no sound"),
    ],
    ids=["empty", "text", "cut off", "no samples"],
)
@pytest.mark.parametrize("stream", ["false", "true"])
def test_what_is_no_recording_is_refused(server: Server, data: bytes, words: str, stream: str) -> None:
    response = post(server, files={"file": ("hello.mp3", data)}, data={"model": "ears", "stream": stream})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "file")
    assert words in error["message"]


def test_strange_recordings_are_answered(client: openai.OpenAI) -> None:
    for data in (recording(voice(0.1)), recording(SOUND, channels=8), recording(SOUND, "mp3")[:9000]):
        found = client.audio.transcriptions.create(file=("a.wav", data), response_format="verbose_json", **ENGLISH)
        assert found.duration > 0.05


def test_a_large_upload_is_heard(client: openai.OpenAI) -> None:
    """Forty megabytes of samples, most of them silent."""
    data = recording(np.concatenate([voice(5), silence(300)]), channels=2, rate=32000)
    assert len(data) > 38_000_000
    found = client.audio.transcriptions.create(
        file=("long.wav", data), response_format="verbose_json", extra_body={"vad_filter": True}, **ENGLISH
    )
    assert found.duration == pytest.approx(305.0, abs=0.01)


@SDK_SAYS_DEPRECATED
def test_a_model_of_transformers_answers_too(client: openai.OpenAI) -> None:
    found = client.audio.transcriptions.create(
        file=FILE, model="letters", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert found.text
    assert found.words
    with pytest.raises(openai.BadRequestError, match="vad_filter"):
        client.audio.transcriptions.create(file=FILE, model="letters", extra_body={"vad_filter": True})
    with pytest.raises(openai.APIStatusError, match="cannot be used for translate") as raised:
        client.audio.translations.create(file=FILE, model="letters")
    assert raised.value.status_code == 501


def test_speech_is_heard_while_it_goes_on(server: Server) -> None:
    sound = np.concatenate([voice(2), silence(1.5), voice(2)])
    with connected(
        server.url, "/v1/audio/transcriptions/stream", model="ears", language="en", interval_ms=400
    ) as socket:
        data = pcm(sound)
        for start in range(0, len(data), 12800):
            socket.send(data[start : start + 12800])
        socket.send({"type": "end"})
        events = []
        while not events or events[-1]["type"] != "done":
            events.append(socket.receive())
        finals = [event for event in events if event["type"] == "final"]
        assert finals
        assert all(event["text"] for event in finals)
        assert [event["start"] for event in finals] == sorted(event["start"] for event in finals)
        assert 0 <= finals[0]["start"] <= finals[-1]["end"] <= 5.6
        assert events[-1] == {"type": "done", "duration": 5.5}
        # What is wrong with a message is told, and the next recording is heard.
        socket.send(b"odd")
        assert socket.receive()["type"] == "error"
        socket.send({"type": "stop"})
        assert "type" in socket.receive()["message"]
        socket.send(pcm(voice(1.5)))
        socket.send({"type": "end"})
        again = [socket.receive()]
        while again[-1]["type"] != "done":
            again.append(socket.receive())
        assert next(event["type"] for event in again if event["type"] != "partial") == "final"
        assert again[-1]["duration"] == 1.5


def test_a_partial_comes_before_the_speech_ends(server: Server) -> None:
    with connected(
        server.url, "/v1/audio/transcriptions/stream", model="ears", language="en", sample_rate=16000
    ) as socket:
        socket.send(pcm(voice(3)))
        event = socket.receive()
        assert event["type"] == "partial"
        assert event["text"]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"model": "nobody/nothing"}, 4404, "was not found"),
        ({"model": "letters"}, 4501, "cannot be used for listen"),
        ({"model": "ears", "sample_rate": 100}, 4400, "sample_rate"),
        ({"model": "ears", "speed": 1}, 4400, "unknown field speed"),
    ],
)
def test_what_is_wrong_with_a_connection_closes_it(
    server: Server, query: dict[str, Any], code: int, words: str
) -> None:
    with connected(server.url, "/v1/audio/transcriptions/stream", **query) as socket:
        error = socket.receive()
        assert error["type"] == "error"
        assert words in error["message"]
        assert socket.receive().code == code
