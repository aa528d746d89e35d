"""WS /v1/audio/speech/stream: text that comes in pieces, spoken sentence by sentence."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from wsproto.events import CloseConnection

from server import Server
from sockets import Socket, connected
from speaking import speaking_server
from universal_core.openai.speech import MOST_CHARACTERS
from universal_core.openai.speech_socket import MOST_WAITING

PATH = "/v1/audio/speech/stream"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with speaking_server(tmp_path_factory.mktemp("speaker")) as found:
        yield found


@pytest.fixture
def open_socket(server: Server) -> Any:
    def connect(**query: Any) -> AbstractContextManager[Socket]:
        return connected(server.url, PATH, **query)

    return connect


def words(data: bytes) -> list[str]:
    return [said.split()[-1] for said in data.decode().split(";") if said]


def test_a_text_is_spoken_and_done(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "Hello there.", "speed": 1.5, "final": True})
        data, done = socket.until("done")
    assert data == b"pcm None 1.5 Hello;pcm None 1.5 there.;"
    assert done == {"type": "done", "duration": 1.0}


def test_a_message_is_final_at_speed_1_unless_it_says_otherwise(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "Hello."})
        assert socket.until("done")[0] == b"pcm None 1.0 Hello.;"


def test_several_texts_are_spoken_on_one_connection(open_socket: Any) -> None:
    with open_socket() as socket:
        for number in range(3):
            socket.send({"text": f"Text {number}."})
        assert [words(socket.until("done")[0]) for _ in range(3)] == [["Text", f"{number}."] for number in range(3)]


def test_a_sentence_is_spoken_while_the_text_still_arrives(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "Hello ", "final": False})
        socket.send({"text": "there. And", "final": False})
        assert words(socket.receive()) == ["Hello"]
        assert words(socket.receive()) == ["there."]
        socket.send({"text": " more", "final": True})
        data, done = socket.until("done")
    assert words(data) == ["And", "more"]
    assert done["duration"] == 2.0


def test_an_empty_final_message_closes(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "", "final": True})
        assert socket.receive() == {"type": "closed"}
        closed = socket.receive()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1000


def test_what_is_left_is_spoken_before_closing(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "Hello there", "final": False})
        socket.send({"text": "", "final": True})
        data, done = socket.until("done")
        assert (words(data), done["duration"]) == (["Hello", "there"], 1.0)
        assert socket.receive() == {"type": "closed"}


def test_an_empty_message_that_is_not_final_changes_nothing(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "", "final": False})
        socket.send({"text": "Hello."})
        assert words(socket.until("done")[0]) == ["Hello."]


def test_voice_format_and_rate_of_the_query_are_honoured(open_socket: Any) -> None:
    with open_socket(model="speaker/a", voice="two", response_format="mp3", sample_rate=16000) as socket:
        socket.send({"text": "Hi."})
        assert socket.until("done")[0] == b"mp3 two 1.0 Hi.;"


def test_a_wav_recording_in_pieces_has_one_header(open_socket: Any) -> None:
    with open_socket(response_format="wav") as socket:
        socket.send({"text": "One. Two", "final": False})
        assert socket.receive() == b"wav None 1.0 One.;"
        socket.send({"text": "."})
        assert socket.until("done")[0] == b"pcm None 1.0 Two.;"
        socket.send({"text": "Three."})
        assert socket.until("done")[0] == b"wav None 1.0 Three.;"


def test_a_flac_recording_waits_for_the_whole_text(open_socket: Any) -> None:
    with open_socket(response_format="flac") as socket:
        socket.send({"text": "One. Two", "final": False})
        socket.send({"text": "."})
        assert words(socket.until("done")[0]) == ["One.", "Two."]


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        {"speed": 1.0},
        {"text": "Hi.", "speed": 9},
        {"text": "Hi.", "volume": 3},
        {"text": "x" * (MOST_CHARACTERS + 1)},
        b"\xff",
        {"text": "fail"},
    ],
    ids=["no JSON", "no text", "speed", "unknown field", "too long", "no UTF-8", "the model fails"],
)
def test_a_wrong_message_is_an_error_and_the_socket_stays_usable(open_socket: Any, message: Any) -> None:
    with open_socket() as socket:
        socket.send(message)
        error = socket.receive()
        assert set(error) == {"type", "message", "code"}
        assert error["type"] == "error"
        assert error["message"]
        socket.send({"text": "Still here."})
        assert words(socket.until("done")[0]) == ["Still", "here."]


def test_what_was_pending_is_dropped_with_an_error(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "Lost", "final": False})
        socket.send({"text": "x", "speed": 0})
        assert socket.receive()["type"] == "error"
        socket.send({"text": "Kept."})
        assert words(socket.until("done")[0]) == ["Kept."]


def test_a_text_that_comes_faster_than_it_is_spoken_is_spoken_whole(open_socket: Any) -> None:
    with open_socket() as socket:
        for number in range(3 * MOST_WAITING):
            socket.send({"text": f"Word {number}. ", "final": False})
        socket.send({"text": "End."})
        data, done = socket.until("done")
    said = words(data)
    assert said[1:-1:2] == [f"{number}." for number in range(3 * MOST_WAITING)]
    assert (said[-1], done["duration"]) == ("End.", len(said) / 2)


def test_a_message_after_a_rest_may_be_as_long_as_any(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "y" * (MOST_CHARACTERS // 2), "final": False})
        socket.send({"text": "x" * MOST_CHARACTERS})
        data, _ = socket.until("done")
    assert len(words(data)[0]) == MOST_CHARACTERS * 3 // 2


def test_a_text_that_never_becomes_a_sentence_has_a_limit(open_socket: Any) -> None:
    with open_socket() as socket:
        for _ in range(3):
            socket.send({"text": "x" * (MOST_CHARACTERS // 2), "final": False})
        error = socket.receive()
        assert (error["type"], error["code"]) == ("error", "invalid_value")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"model": "nobody/nothing"}, 4404),
        ({"model": "echo/a"}, 4501),
        ({"response_format": "ogg"}, 4400),
        ({"sample_rate": "fast"}, 4400),
        ({"sample_rate": 1}, 4400),
        ({"language": "en"}, 4400),
        ({"volume": 3}, 4400),
    ],
    ids=str,
)
def test_a_connection_that_cannot_be_is_told_and_closed(open_socket: Any, query: dict[str, Any], code: int) -> None:
    with open_socket(**query) as socket:
        error = socket.receive()
        assert (error["type"], bool(error["message"])) == ("error", True)
        closed = socket.receive()
        assert isinstance(closed, CloseConnection)
        assert (closed.code, bool(closed.reason)) == (code, True)


def test_a_client_that_runs_too_far_ahead_is_closed(open_socket: Any) -> None:
    with open_socket() as socket:
        socket.send({"text": "One wait"})
        socket.receive()
        for _ in range(MOST_WAITING + 1):
            socket.send({"text": "More."})
        assert socket.receive()["code"] == "queue_full"
        assert socket.receive().code == 4429


def test_a_client_that_leaves_stops_the_model(open_socket: Any, server: Server) -> None:
    for _ in range(6):
        with open_socket(model="speaker/left") as socket:
            socket.send({"text": "One wait"})
            socket.receive()
    with open_socket(model="speaker/left") as socket:
        # There are four slots, and none is held by those that left.
        socket.send({"text": "Hello."})
        assert words(socket.until("done")[0]) == ["Hello."]
