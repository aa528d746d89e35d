"""The stream of /v1/responses: the events of OpenAI's reference, in its order, as its own client reads them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from clients import outcome
from universal_core.app import create_app
from universal_core.config import Config, ModelConfig, PoolConfig, ResponsesConfig, ServerConfig
from universal_core.errors import BadRequest, QueueFull, StorageFailed, UniversalError, WorkerDied
from universal_core.messages import (
    Finish,
    Message,
    Reasoning,
    Text,
    TokenAlternative,
    TokenLogprob,
    ToolCall,
    Truncated,
    Usage,
)
from universal_core.openai.response_answers import ResponseBody
from universal_core.openai.response_bodies import ResponsesBody
from universal_core.openai.response_events import ResponseEvents
from universal_core.openai.response_output import Output
from universal_core.runtime import Runtime

KNOWN: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}
HI = {"model": "echo/a", "input": "hi", "stream": True}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    path = tmp_path_factory.mktemp("responses") / "responses.db"
    with TestClient(create_app(Runtime(Config(responses=ResponsesConfig(path=str(path)))))) as found:
        yield found


def events_of(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream; each is one that OpenAI's client knows, under its name and in its place."""
    found = []
    for block in text.split("\n\n"):
        if not block or block.startswith(":"):
            continue
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert KNOWN.validate_python(event).type == event["type"]
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def streamed(client: TestClient, given: Any, **fields: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/responses", json={**HI, "input": given, **fields})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events_of(response.text)


def short(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


MESSAGE = [
    *("output_item.added", "content_part.added", "output_text.delta"),
    *("output_text.done", "content_part.done", "output_item.done"),
]
THOUGHTS = [
    *("output_item.added", "content_part.added", "reasoning_text.delta"),
    *("reasoning_text.done", "content_part.done", "output_item.done"),
]
SUMMARY = [
    *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
    *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
]
CALL = [
    *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
    *("function_call_arguments.done", "output_item.done"),
]


@pytest.mark.parametrize(
    ("given", "fields", "expected"),
    [
        ("hi", {}, MESSAGE),
        ("think hard\nhi", {}, [*THOUGHTS, *MESSAGE]),
        ("think hard\nhi", {"reasoning": {"summary": "concise"}}, [*SUMMARY, *MESSAGE]),
        ('call look {"at": 1}', {"tools": [TOOL]}, CALL),
        ('think hard\nwait\ncall look {"a": 1}\ncall look {}', {"tools": [TOOL]}, [*THOUGHTS, *MESSAGE, *CALL, *CALL]),
        ("hi\nthink again\nho", {}, [*MESSAGE, *THOUGHTS, *MESSAGE]),
    ],
)
def test_events_come_in_the_order_of_the_reference(
    client: TestClient, given: str, fields: dict[str, Any], expected: list[str]
) -> None:
    assert short(streamed(client, given, **fields)) == ["created", "in_progress", *expected, "completed"]


def test_a_stream_says_the_same_as_the_plain_answer(client: TestClient) -> None:
    fields = {"tools": [TOOL], "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"}}
    given = 'think it over\nI look\ncall look {"at": 1}'
    plain = client.post("/v1/responses", json={**HI, "input": given, **fields, "stream": False}).json()
    streamed_one = streamed(client, given, **fields)[-1]["response"]
    assert without_chance(streamed_one) == without_chance(plain)
    assert client.get(f"/v1/responses/{streamed_one['id']}").json() == streamed_one


def without_chance(value: Any) -> Any:
    """Return a value without ids and times."""
    if isinstance(value, list):
        return [without_chance(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    chance = ("id", "call_id", "created_at", "completed_at")
    return {name: without_chance(inner) for name, inner in value.items() if name not in chance}


def test_deltas_add_up_to_what_is_done(client: TestClient) -> None:
    events = streamed(client, 'think it all over\nsome words\ncall look {"at": 1}', tools=[TOOL])
    for kind, field in (("reasoning_text", "text"), ("output_text", "text"), ("function_call_arguments", "arguments")):
        deltas = [event["delta"] for event in events if event["type"] == f"response.{kind}.delta"]
        (done,) = [event[field] for event in events if event["type"] == f"response.{kind}.done"]
        assert len(deltas) > 1
        assert "".join(deltas) == done
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert items == events[-1]["response"]["output"]
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1, 2]
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert [(item["id"], item["status"]) for item in added] == [(item["id"], "in_progress") for item in items]
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"] for item in items}


def test_a_stream_that_is_cut_ends_with_incomplete(client: TestClient) -> None:
    events = streamed(client, "one two three", max_output_tokens=2)
    assert short(events)[-2:] == ["output_item.done", "incomplete"]
    assert events[-2]["item"]["status"] == "incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_next_request_may_go_on_as_soon_as_the_last_event_is_there(client: TestClient) -> None:
    first = streamed(client, "one")[-1]["response"]
    second = streamed(client, "two", previous_response_id=first["id"])[-1]["response"]
    assert second["usage"]["input_tokens"] == 3


def test_an_error_before_the_first_event_has_a_status_of_its_own(client: TestClient) -> None:
    given = [{"role": "user", "content": str(number)} for number in range(9)]
    response = client.post("/v1/responses", json={**HI, "model": "echo/short", "input": given})
    assert outcome(response) == (400, "context_length_exceeded", "input")


def test_an_error_on_the_way_is_the_last_event(tmp_path: Path) -> None:
    pool, slow = PoolConfig(request_timeout=0.3), ModelConfig(options={"delay": 0.05})
    config = Config(responses=ResponsesConfig(path=str(tmp_path / "responses.db")), pool=pool, model={"echo/a": slow})
    with TestClient(create_app(Runtime(config))) as client:
        events = streamed(client, "repeat 1000")
        assert short(events)[:5] == ["created", "in_progress", *MESSAGE[:3]]
        assert short(events)[-1] == "failed"
        response = events[-1]["response"]
        assert response["status"] == "failed"
        (item,) = response["output"]
        assert item["status"] == "incomplete"
        assert item["content"][0]["text"] == "".join(event.get("delta", "") for event in events)
        assert (response["error"]["code"], response["error"]["type"]) == ("server_error", "deadline_exceeded")
        assert client.get(f"/v1/responses/{response['id']}").status_code == 404


def test_a_stream_that_was_kept_alive_begins_before_it_fails(tmp_path: Path) -> None:
    options = ModelConfig(options={"load_seconds": 0.2})
    config = Config(server=ServerConfig(keepalive=0.01), model={"echo/fail": options})
    with TestClient(create_app(Runtime(config))) as client:
        response = client.post("/v1/responses", json={**HI, "model": "echo/fail", "store": False})
        assert response.text.startswith(": ")
        assert short(events_of(response.text)) == ["created", "in_progress", "failed"]


def test_a_response_that_cannot_be_kept_has_failed_in_the_end() -> None:
    async def keep() -> None:
        raise StorageFailed("the disk is full")

    async def main() -> bytes:
        response = body()
        events = ResponseEvents(response, Output(response), keep)

        async def frames() -> AsyncGenerator[bytes]:
            yield events.write([Text(text="hi"), Finish(reason="stop")])

        told = b""
        try:
            async for frame in events.around(frames()):
                told += frame
        except StorageFailed as error:
            told += events.failed(error)
        return told

    found = events_of(asyncio.run(main()).decode())
    assert short(found) == ["created", "in_progress", *MESSAGE, "failed"]
    assert found[-1]["response"]["error"]["type"] == "storage_failed"
    assert found[-1]["response"]["completed_at"] is None


def body(**fields: Any) -> ResponseBody:
    return ResponseBody.begin(ResponsesBody(input="hi", **fields), "some-model", store=False)


def written(messages: Sequence[Message], response: ResponseBody) -> list[dict[str, Any]]:
    async def keep() -> None:
        """Keep nothing."""

    events = ResponseEvents(response, Output(response), keep)
    return events_of(events.write(messages).decode())


def test_logprobs_stand_in_deltas_and_in_the_part() -> None:
    other = TokenAlternative(token="ho", data=b"ho", logprob=-2.0)
    token = TokenLogprob(token="hi", data=b"hi", logprob=-0.5, alternatives=(other,))
    response = body()
    events = written([Text(text="hi", logprobs=(token,)), Finish(reason="stop")], response)
    told = {
        "token": "hi",
        "logprob": -0.5,
        "bytes": [104, 105],
        "top_logprobs": [{"token": "ho", "logprob": -2.0, "bytes": [104, 111]}],
    }
    assert [event["logprobs"] for event in events if "logprobs" in event] == [[told], [told]]
    assert events[-1]["item"]["content"][0]["logprobs"] == [told]


def test_what_a_model_counts_and_leaves_out_is_told() -> None:
    response = body()
    usage = Usage(prompt_tokens=5, completion_tokens=3, cached_tokens=2, reasoning_tokens=1)
    written([Truncated(messages=3), Text(text="hi"), Finish(reason="stop"), usage], response)
    assert response.usage is not None
    assert (response.dropped_messages, response.usage.total_tokens) == (3, 8)
    assert response.usage.input_tokens_details.cached_tokens == 2
    assert response.usage.output_tokens_details.reasoning_tokens == 1


def test_calls_whose_parts_come_mixed_are_put_together() -> None:
    response = body()
    parts = [
        ToolCall(position=0, id="call_a", name="f"),
        ToolCall(position=0, arguments="{"),
        ToolCall(position=1, id="call_b", name="g", arguments="{}"),
        ToolCall(position=0, arguments="}"),
        Finish(reason="tool_calls"),
    ]
    written(parts, response)
    assert [(item.call_id, item.arguments) for item in response.output if hasattr(item, "arguments")] == [
        ("call_a", "{}"),
        ("call_b", "{}"),
    ]


def test_a_model_that_tells_no_end_has_ended_all_the_same() -> None:
    response = body()
    Output(response).read([Reasoning(text="hm"), Text(text="hi")])
    assert (response.status, [item.status for item in response.output]) == ("completed", ["completed", "completed"])


def test_content_that_may_not_be_shown_is_told() -> None:
    response = body()
    Output(response).read([Text(text="hi"), Finish(reason="content_filter")])
    assert response.incomplete_details is not None
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadRequest("x", param="input"), "invalid_prompt"),
        (QueueFull("x"), "rate_limit_exceeded"),
        (WorkerDied("x"), "server_error"),
    ],
)
def test_why_a_response_failed_is_told_with_a_code_of_openai_and_ours(error: UniversalError, code: str) -> None:
    response = body()
    response.fail(error)
    assert response.error is not None
    assert (response.error.code, response.error.type, response.error.param) == (code, error.code, error.param)
