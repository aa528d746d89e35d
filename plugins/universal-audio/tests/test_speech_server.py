"""Speech through a real server and a real (random) Kokoro: OpenAI's SDK, every format, streams, and the socket."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import openai
from server import Server, running_server
from sockets import connected
from tiny.recordings import RATE, decoded, likeness

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LOSSLESS = ("flac", "wav", "pcm")
TEXT = "Hello there, this is a first sentence. Dr. Smith has a second one! And a third?"
SEED = 3
COMMIT = "0" * 40


@pytest.fixture(scope="module")
def server(kokoro: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that finds the model under its name, in a cache such as the hub's client makes."""
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "models--hexgrad--Kokoro-82M"
    (folder / "snapshots").mkdir(parents=True)
    (folder / "snapshots" / COMMIT).symlink_to(kokoro)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    with running_server("--device", "cpu", env={"HF_HUB_CACHE": str(cache)}) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def samples(client: openai.OpenAI) -> Any:
    """Return what is said, as plain samples: (n,) in -1..1."""
    data = create(client, "pcm")
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


def create(client: openai.OpenAI, format: Any, text: str = TEXT, **fields: Any) -> bytes:
    seeded = {"seed": SEED, **fields}
    speech = client.audio.speech.create(
        model="kokoro", voice="af_heart", input=text, response_format=format, extra_body=seeded
    )
    return speech.content


@pytest.mark.parametrize("format", FORMATS)
def test_the_sdk_gets_a_file_of_every_format_that_sounds_the_same(
    client: openai.OpenAI, samples: Any, format: str
) -> None:
    found = decoded(format, create(client, format))
    assert 0 <= len(found) - len(samples) <= (0 if format in (*LOSSLESS, "opus") else 0.1 * RATE)
    assert likeness(found, samples) > (0.99999 if format in LOSSLESS else 0.8)


@pytest.mark.parametrize("format", FORMATS)
def test_the_sdk_streams_what_it_gets_as_a_whole(client: openai.OpenAI, format: Any) -> None:
    arguments: dict[str, Any] = {"model": "kokoro", "voice": "af_heart", "input": TEXT, "extra_body": {"seed": SEED}}
    with client.audio.speech.with_streaming_response.create(response_format=format, **arguments) as response:
        pieces = list(response.iter_bytes())
    assert len(pieces) > 1
    assert b"".join(pieces) == create(client, format)


def test_the_first_bytes_leave_while_the_rest_is_not_yet_spoken(client: openai.OpenAI, server: Server) -> None:
    arguments: dict[str, Any] = {"model": "kokoro", "voice": "af_heart", "input": TEXT * 6}
    with client.audio.speech.with_streaming_response.create(response_format="mp3", **arguments) as response:
        pieces = response.iter_bytes()
        next(pieces)
        assert server.model("hexgrad/Kokoro-82M")["active"] == 1


def test_the_events_of_openai_carry_the_recording(client: openai.OpenAI) -> None:
    arguments: dict[str, Any] = {"model": "kokoro", "voice": "af_heart", "input": TEXT, "extra_body": {"seed": SEED}}
    with client.audio.speech.with_streaming_response.create(
        response_format="wav", stream_format="sse", **arguments
    ) as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    *deltas, done = events
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == create(client, "wav")
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"] > 100


def test_the_events_of_a_stream_carry_the_samples(server: Server, samples: Any) -> None:
    body = {"model": "kokoro", "input": TEXT, "voice": "af_heart", "seed": SEED, "stream": True}
    response = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=120)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    *pieces, done = events
    data = b"".join(base64.b64decode(piece["data"]) for piece in pieces)
    assert np.array_equal(np.frombuffer(data, "<i2").astype(np.float32) / 32768, samples)
    assert {(piece["format"], piece["sample_rate"]) for piece in pieces} == {("pcm", RATE)}
    assert done == {"type": "done", "duration": round(len(samples) / RATE, 3)}


def test_four_clients_at_once_get_what_each_gets_alone(client: openai.OpenAI) -> None:
    texts = [f"This is text number {number}. It has two sentences." for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda text: create(client, "pcm", text), texts))
    assert together == [create(client, "pcm", text) for text in texts]
    assert len(set(together)) == 4


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"voice": "af_hart"}, "voice"),
        ({"speed": 5}, "speed"),
        ({"input": ""}, "input"),
        ({"language": "xx"}, "language"),
    ],
)
def test_what_cannot_be_spoken_is_a_bad_request(client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    arguments: dict[str, Any] = {"model": "kokoro", "voice": "af_heart", "input": "Hi.", "extra_body": fields}
    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.speech.create(**arguments)
    assert raised.value.param == param


def test_the_voices_are_listed_under_the_models_name(server: Server) -> None:
    found = httpx.get(f"{server.url}/v1/audio/voices", timeout=120).json()
    assert found["data"][0] == {
        "id": "af_heart",
        "name": "Heart (American Female)",
        "language": "en-US",
        "model": "kokoro",
    }


def test_a_mix_and_a_speed_are_spoken(client: openai.OpenAI) -> None:
    fast = create(client, "pcm", "Hello there.", voice="af_heart(2)+am_adam(1)", speed=2.0)
    slow = create(client, "pcm", "Hello there.", voice="af_heart(2)+am_adam(1)")
    assert 0 < len(fast) < len(slow)


def test_the_socket_speaks_sentence_by_sentence_what_http_speaks(server: Server, client: openai.OpenAI) -> None:
    with connected(server.url, "/v1/audio/speech/stream", model="kokoro", voice="af_heart", seed=SEED) as socket:
        socket.send({"text": "Hello ", "final": False})
        socket.send({"text": "there. And", "final": False})
        first = socket.receive()
        assert isinstance(first, bytes)
        socket.send({"text": " more."})
        data, done = socket.until("done")
        spoken = first + data
        assert done["duration"] == round(len(spoken) / 2 / RATE, 3)
        assert spoken == create(client, "pcm", "Hello there. ") + create(client, "pcm", "And more.")
        socket.send({"text": "", "final": True})
        assert socket.receive() == {"type": "closed"}


@pytest.mark.parametrize("format", FORMATS)
def test_the_socket_honours_format_and_sample_rate(server: Server, format: str) -> None:
    query = {"model": "kokoro", "response_format": format, "sample_rate": 16000, "seed": SEED}
    with connected(server.url, "/v1/audio/speech/stream", **query) as socket:
        socket.send({"text": "Hello there. This is", "final": False})
        socket.send({"text": " a test."})
        data, done = socket.until("done")
    assert abs(len(decoded(format, data, 16000)) / 16000 - done["duration"]) < 0.4


def test_an_unknown_voice_is_an_error_and_the_socket_stays_usable(server: Server) -> None:
    with connected(server.url, "/v1/audio/speech/stream", voice="nobody") as socket:
        for _ in range(2):
            socket.send({"text": "Hi."})
            error = socket.receive()
            assert (error["type"], error["code"]) == ("error", "invalid_value")
            assert "there is no 'nobody'" in error["message"]
