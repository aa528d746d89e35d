"""POST /v1/audio/speech and GET /v1/audio/voices: fields, shapes, and what is refused."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from server import Server
from speaking import speaking_server
from universal_core.openai.speech import MEDIA_TYPES, MOST_CHARACTERS

PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with speaking_server(tmp_path_factory.mktemp("speaker")) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as found:
        yield found


def speak(client: httpx.Client, text: str = "Hello there.", **fields: Any) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"input": text, **fields})


def events(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def outcome(response: httpx.Response) -> tuple[int, str | None, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


def test_a_text_alone_is_spoken_as_mp3_by_the_usual_model_and_voice(client: httpx.Client) -> None:
    response = speak(client)
    assert response.headers["content-type"] == "audio/mpeg"
    assert response.text == "mp3 None 1.0 Hello;mp3 None 1.0 there.;"


@pytest.mark.parametrize(("format", "media"), MEDIA_TYPES.items())
def test_every_format_has_its_type(client: httpx.Client, format: str, media: str) -> None:
    response = speak(client, "Hi.", response_format=format)
    assert response.headers["content-type"] == media
    assert response.text == f"{format} None 1.0 Hi.;"


@pytest.mark.parametrize("voice", ["two", {"id": "two"}])
def test_voice_and_speed_reach_the_model(client: httpx.Client, voice: Any) -> None:
    response = speak(client, "Hi.", model="speaker/a", voice=voice, speed=1.5, response_format="wav")
    assert response.text == "wav two 1.5 Hi.;"


def test_a_recording_is_sent_in_pieces_without_a_length(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/audio/speech", json={"input": "One two wait."}) as response:
        assert "content-length" not in response.headers
        assert next(response.iter_raw()).startswith(b"mp3 None 1.0 One;")


def test_stream_answers_with_events_of_plain_samples(client: httpx.Client) -> None:
    *pieces, done = events(speak(client, "One two three.", stream=True))
    assert done == {"type": "done", "duration": 1.5}
    assert {(piece["type"], piece["format"], piece["sample_rate"]) for piece in pieces} == {("audio", "pcm", 24000)}
    assert base64.b64decode(pieces[0]["data"]) == b"pcm None 1.0 One;"


def test_events_carry_another_format_where_it_is_asked_for(client: httpx.Client) -> None:
    first = events(speak(client, "One.", stream=True, response_format="flac"))[0]
    assert (first["format"], first["sample_rate"]) == ("flac", 8000)
    assert base64.b64decode(first["data"]).startswith(b"flac")


def test_the_events_of_openai_are_deltas_and_a_done_with_usage(client: httpx.Client) -> None:
    *deltas, done = events(speak(client, "One two.", stream_format="sse"))
    assert [delta["type"] for delta in deltas] == ["speech.audio.delta"] * 2
    assert base64.b64decode(deltas[1]["audio"]) == b"mp3 None 1.0 two.;"
    usage = {"input_tokens": 2, "output_tokens": 5, "total_tokens": 7}
    assert done == {"type": "speech.audio.done", "usage": usage}


def test_stream_format_audio_is_the_recording_itself_whatever_stream_says(client: httpx.Client) -> None:
    response = speak(client, "One.", stream_format="audio", stream=True)
    assert response.text == "mp3 None 1.0 One.;"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": "x" * (MOST_CHARACTERS + 1)}, "input"),
        ({"input": None}, "input"),
        ({"speed": 0.2}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"response_format": "ogg"}, "response_format"),
        ({"stream_format": "json"}, "stream_format"),
        ({"voice": {"name": "one"}}, "voice"),
        ({"seed": "x"}, "seed"),
        ({"sped": 1}, "sped"),
    ],
)
def test_a_field_that_is_wrong_is_named(client: httpx.Client, fields: dict[str, Any], param: str) -> None:
    response = client.post("/v1/audio/speech", json={"input": "Hi.", **fields})
    status, _, found = outcome(response)
    assert (status, (found or "").partition(".")[0]) == (400, param)


def test_the_longest_text_is_spoken(client: httpx.Client) -> None:
    assert speak(client, "x" * MOST_CHARACTERS).status_code == 200


@pytest.mark.parametrize("shape", [{}, {"stream": True}, {"stream_format": "sse"}])
def test_what_the_model_refuses_before_it_speaks_has_its_status(client: httpx.Client, shape: dict[str, Any]) -> None:
    assert outcome(speak(client, voice="nobody", **shape)) == (400, "invalid_value", "voice")


def test_a_field_that_the_model_cannot_honour_is_refused_by_name(client: httpx.Client) -> None:
    assert outcome(speak(client, instructions="Whisper.")) == (400, "unsupported_field", "instructions")


def test_a_model_for_something_else_is_refused(client: httpx.Client) -> None:
    assert outcome(speak(client, model="echo/a")) == (501, "task_not_supported", "model")


def test_a_recording_that_fails_is_cut_off(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client, "One fail two")


def test_events_that_fail_end_with_the_error(client: httpx.Client) -> None:
    *_, last = events(speak(client, "One fail two", stream=True))
    assert last["error"]["code"] == "internal_error"


def test_a_client_that_leaves_stops_the_model(client: httpx.Client, server: Server) -> None:
    with client.stream("POST", "/v1/audio/speech", json={"input": "One wait", "model": "speaker/left"}) as response:
        pieces = response.iter_raw()
        next(pieces)
        assert server.model("speaker/left")["active"] == 1
    # Its slots are free again: four more requests at once are answered, the last of them after the others.
    assert all(speak(client, model="speaker/left").status_code == 200 for _ in range(5))
    assert server.model("speaker/left")["active"] == 0


def test_the_voices_of_a_model_are_listed(client: httpx.Client) -> None:
    usual = client.get("/v1/audio/voices").json()
    assert usual["object"] == "list"
    assert usual["data"] == [
        {"id": "one", "name": "One (A Voice)", "language": "en-US", "model": "kokoro"},
        {"id": "two", "name": "Two", "language": None, "model": "kokoro"},
    ]
    other = client.get("/v1/audio/voices", params={"model": "speaker/a"}).json()
    assert {voice["model"] for voice in other["data"]} == {"speaker/a"}


def test_the_voices_of_a_model_without_any_are_refused(client: httpx.Client) -> None:
    assert outcome(client.get("/v1/audio/voices", params={"model": "echo/a"})) == (501, "task_not_supported", "model")
