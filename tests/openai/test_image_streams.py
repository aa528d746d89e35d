"""Pictures as events, their progress, clients that leave, and the files that can be fetched afterwards."""

import base64
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import Server, running_server

GENERATIONS, EDITS, VARIATIONS = "/v1/images/generations", "/v1/images/edits", "/v1/images/variations"
PATIENCE = 30.0
PICTURE = {"image": "data:;base64,cGljdHVyZQ=="}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def server(outputs: Path) -> Iterator[Server]:
    with running_server("--images-outputs", str(outputs), "--keepalive", "0.1") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as found:
        yield found


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "prompt": "a cat", **fields}


def streamed(client: httpx.Client, path: str = GENERATIONS, **fields: Any) -> list[str]:
    """Return the blocks of a stream: comments and events."""
    response = client.post(path, json=body(stream=True, **fields))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return response.text.strip().split("\n\n")


def event_of(block: str) -> dict[str, Any]:
    """Return an event, whose name must be its type, as OpenAI has it."""
    name, data = block.split("\n")
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert name == f"event: {found['type']}"
    return found


def events_of(blocks: list[str]) -> list[dict[str, Any]]:
    return [event_of(block) for block in blocks if not block.startswith(":")]


def until(condition: Callable[[], bool]) -> None:
    """Ask again and again until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never was so"


@pytest.mark.parametrize(
    ("path", "more", "kind"),
    [
        (GENERATIONS, {}, "image_generation"),
        (EDITS, PICTURE, "image_edit"),
        (VARIATIONS, PICTURE, "image_edit"),
    ],
)
def test_steps_are_comments_and_pictures_are_events(
    client: httpx.Client, path: str, more: dict[str, Any], kind: str
) -> None:
    blocks = streamed(client, path, partial_images=1, seed=7, size="24x16", **more)
    assert [block for block in blocks if block.startswith(": step")] == [f": step {done} of 4" for done in (1, 2, 3, 4)]
    partial, completed = events_of(blocks)
    about = {"size": "24x16", "quality": "medium", "background": "opaque", "output_format": "png", "index": 0}
    for event in (partial, completed):
        assert event.items() >= about.items()
        assert event["created_at"] > 10**9
        assert base64.b64decode(event["b64_json"]).startswith(b"\x89PNG")
    assert (partial["type"], partial["partial_image_index"]) == (f"{kind}.partial_image", 0)
    assert (completed["type"], completed["seed"], completed["usage"]) == (f"{kind}.completed", 7, None)
    assert set(partial) == {"type", "b64_json", "partial_image_index", "created_at", *about}
    assert set(completed) == {"type", "b64_json", "created_at", "usage", "seed", "url", "path", *about}


@pytest.mark.parametrize("shape", [{}, {"response_format": "url"}, {"response_format": "b64_json"}])
def test_the_last_event_has_the_picture_and_where_it_is(client: httpx.Client, shape: dict[str, str]) -> None:
    *_, completed = events_of(streamed(client, **shape))
    data = base64.b64decode(completed["b64_json"])
    assert Path(completed["path"]).read_bytes() == data
    assert client.get(completed["url"]).content == data


@pytest.mark.parametrize("number", range(4))
def test_as_many_unfinished_pictures_come_as_are_asked_for(client: httpx.Client, number: int) -> None:
    *partial, completed = events_of(streamed(client, partial_images=number))
    assert [event["partial_image_index"] for event in partial] == list(range(number))
    assert all(event["b64_json"] != completed["b64_json"] for event in partial)


def test_several_pictures_are_events_of_their_own_and_the_last_tells_the_usage(client: httpx.Client) -> None:
    events = events_of(streamed(client, prompt="count", n=3, partial_images=1, seed=1))
    partial, completed = events[:3], events[3:]
    assert [event["index"] for event in partial] == [0, 1, 2]
    assert [(event["index"], event["seed"]) for event in completed] == [(0, 1), (1, 2), (2, 3)]
    usages = [event["usage"] for event in completed]
    assert usages[:2] == [None, None]
    assert usages[2]["total_tokens"] == 5


def test_a_size_that_the_model_chooses_is_told_when_it_is_known(client: httpx.Client) -> None:
    partial, completed = events_of(streamed(client, partial_images=1))
    assert (partial["size"], completed["size"]) == ("auto", "8x8")


def test_what_is_wrong_before_the_first_event_has_its_status(client: httpx.Client) -> None:
    response = client.post(GENERATIONS, json=body(stream=True, output_format="webp"))
    assert (response.status_code, response.json()["error"]["param"]) == (400, "output_format")


@pytest.mark.parametrize(("prompt", "code"), [("fail", "internal_error"), ("die", "worker_died")])
def test_what_goes_wrong_later_is_the_last_event(client: httpx.Client, prompt: str, code: str) -> None:
    blocks = streamed(client, prompt=prompt, model="echo/b", num_inference_steps=5)
    assert ": step 2 of 5" in blocks
    assert json.loads(blocks[-1].removeprefix("data: "))["error"]["code"] == code


def test_a_stream_brings_its_pictures_where_they_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with running_server("--images-outputs", str(tmp_path / "file" / "images")) as server:
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            (completed,) = events_of(streamed(client))
        assert (completed["url"], completed["path"]) == (None, None)
        assert base64.b64decode(completed["b64_json"]).startswith(b"\x89PNG")
        server.wait_for("WARNING pictures cannot be kept in .*Not a directory")


def test_a_client_that_leaves_stops_the_model(client: httpx.Client, server: Server) -> None:
    fields = body(model="echo/left", prompt="wait", stream=True, num_inference_steps=9)
    with client.stream("POST", GENERATIONS, json=fields, headers={"x-request-id": "mine"}) as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith(": step 2")) == ": step 2 of 9"
        row = server.model("echo/left")
        progress = {"task": "generate_image", "request_id": "mine", "done": 2, "total": 9}
        assert (row["active"], row["progress"]) == (1, [progress])
    until(lambda: server.model("echo/left")["active"] == 0)
    assert server.model("echo/left")["progress"] == []
    assert streamed(client, model="echo/left")


def test_a_client_that_leaves_an_answer_without_events_stops_the_model_too(server: Server) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE)
    fields = json.dumps(body(model="echo/impatient", prompt="wait"))
    connection.request("POST", GENERATIONS, fields, {"content-type": "application/json", "x-request-id": "mine"})
    expected = {"task": "generate_image", "request_id": "mine", "done": 2, "total": 4}
    until(lambda: server.model("echo/impatient").get("progress") == [expected])
    connection.close()
    until(lambda: server.model("echo/impatient")["active"] == 0)
    assert server.model("echo/impatient")["progress"] == []


def test_progress_is_gone_when_a_request_is_done_or_failed(client: httpx.Client, server: Server) -> None:
    assert client.post(GENERATIONS, json=body(model="echo/done")).status_code == 200
    assert client.post(GENERATIONS, json=body(model="echo/done", prompt="fail")).status_code == 500
    assert server.model("echo/done")["progress"] == []


def test_a_waiting_stream_says_what_step_it_is_at(client: httpx.Client) -> None:
    with client.stream("POST", GENERATIONS, json=body(prompt="wait", stream=True)) as response:
        assert ": echo/a is working: step 2 of 4" in response.iter_lines()


def picture(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.post(GENERATIONS, json=body()).json()["data"][0]
    return found


def test_a_picture_is_fetched_by_its_url(client: httpx.Client) -> None:
    made = picture(client)
    response = client.get(made["url"])
    assert response.content == Path(made["path"]).read_bytes()
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-disposition"] == f'inline; filename="{Path(made["path"]).name}"'
    assert response.headers["etag"]
    assert response.headers["last-modified"]
    head = client.head(made["url"])
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(response.content)
    part = client.get(made["url"], headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"host": "pictures.example:8080"}, "http://pictures.example:8080"),
        ({"x-forwarded-proto": "https", "host": "pictures.example"}, "https://pictures.example"),
        ({"x-forwarded-proto": "https", "x-forwarded-host": "a.example:1"}, "https://a.example:1"),
        ({"x-forwarded-host": "[::1]:80, inner"}, "http://[::1]:80"),
        ({"x-forwarded-proto": "file", "x-forwarded-host": "a/b", "host": "a.example"}, "http://a.example"),
    ],
)
def test_a_url_has_the_address_that_the_client_knows(
    client: httpx.Client, headers: dict[str, str], address: str
) -> None:
    response = client.post(GENERATIONS, json=body(), headers=headers)
    assert response.json()["data"][0]["url"].startswith(f"{address}/v1/images/files/echo_a_")


@pytest.mark.parametrize(
    "path",
    [
        *("notes.txt", ".", "..", "../secret.png", "..%2fsecret.png", "..%2Fsecret.png", "%2e%2e%2fsecret.png"),
        *("%2fetc%2fpasswd", "/etc/passwd", "..%5csecret.png", "%00", "linked_20260102_030405_7_0.png"),
        *("%2e%2e/outputs/notes.txt", "..%252fsecret.png", "nothing_20260102_030405_7_0.png", ""),
    ],
)
def test_nothing_but_pictures_is_fetched(client: httpx.Client, outputs: Path, path: str) -> None:
    (outputs / "notes.txt").write_text("secret")
    (outputs.parent / "secret.png").write_text("secret")
    link = outputs / "linked_20260102_030405_7_0.png"
    if not link.is_symlink():
        link.symlink_to(outputs.parent / "secret.png")
    for method in ("GET", "HEAD"):
        # A client would resolve the dots itself, so the path goes out as it is.
        request = client.build_request(method, "/")
        request.url = request.url.copy_with(raw_path=f"/v1/images/files/{path}".encode())
        response = client.send(request)
        assert response.status_code == 404, (path, response.text)
        assert "secret" not in response.text.replace(path, "").replace("secret.png", "")
        if method == "GET":
            assert response.json()["error"]["code"] == "not_found"


def test_a_picture_cannot_be_changed_by_its_url(client: httpx.Client) -> None:
    made = picture(client)
    for method in ("PUT", "POST", "DELETE"):
        assert client.request(method, made["url"]).status_code == 405
    assert Path(made["path"]).exists()


def test_a_picture_over_the_age_is_not_found_any_more(tmp_path: Path) -> None:
    old, new = (tmp_path / f"echo_a_20200102_030405_7_{index}.png" for index in (0, 1))
    for path in (old, new):
        path.write_bytes(b"a picture")
    os.utime(old, (0, 0))
    with running_server("--images-outputs", str(tmp_path), "--images-max-age", "1000") as server:
        for path, status in ((old, 404), (new, 200)):
            assert httpx.get(f"{server.url}/v1/images/files/{path.name}").status_code == status
    assert (old.exists(), new.exists()) == (False, True)


def test_pictures_made_together_do_not_overwrite_each_other(client: httpx.Client, outputs: Path) -> None:
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        answers.append(client.post(GENERATIONS, json=body(model="echo/same", seed=7, n=2)).json())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    paths = {picture["path"] for answer in answers for picture in answer["data"]}
    assert len(paths) == 12
