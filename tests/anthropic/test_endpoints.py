"""The endpoints over the echo model, without a socket: answers, streams and errors in Anthropic's shapes."""

import base64
import json
from typing import Any

import httpx
import pytest

from clients import posted, using
from universal_core.config import Config, ModelConfig, PoolConfig

ADD = {
    "name": "add",
    "description": "Adds.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
}
PIXEL = base64.b64encode(b"a picture").decode()
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


def asked(text: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "max_tokens": 100, "messages": [{"role": "user", "content": text}], **fields}


def message(text: Any, **fields: Any) -> dict[str, Any]:
    response = posted("/v1/messages", asked(text, **fields))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def events_of(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Return name and data of each event."""
    found = []
    for block in response.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def told(response: httpx.Response) -> tuple[int, str, str]:
    """Return status, type and message of an error."""
    body = response.json()
    assert body["type"] == "error"
    assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
    return response.status_code, body["error"]["type"], body["error"]["message"]


def test_an_answer_is_a_message() -> None:
    found = message("hello there")
    assert found.pop("id").startswith("msg_")
    assert found == {
        "type": "message",
        "role": "assistant",
        "model": "echo/a",
        "content": [{"type": "text", "text": "hello there", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 1,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 2,
            "output_tokens_details": {"thinking_tokens": 0},
        },
    }


def test_an_answer_may_end_for_lack_of_tokens() -> None:
    found = message("one two three", max_tokens=2)
    assert (found["stop_reason"], found["content"][0]["text"]) == ("max_tokens", "one two ")


def test_thoughts_words_and_calls_are_blocks_in_their_order() -> None:
    found = message('think about it\nI add.\ncall add {"a": 1, "b": 2}', tools=[ADD])
    thought, said, called = found["content"]
    assert thought == {"type": "thinking", "thinking": "about it", "signature": "unsigned"}
    assert said["text"].strip() == "I add."
    assert called.pop("id")
    assert called == {"type": "tool_use", "name": "add", "input": {"a": 1, "b": 2}}
    assert found["stop_reason"] == "tool_use"
    assert found["usage"]["output_tokens_details"] == {"thinking_tokens": 2}


def test_thoughts_may_be_left_out() -> None:
    found = message("think hard\nyes", thinking={"type": "adaptive", "display": "omitted"})
    assert found["content"][0] == {"type": "thinking", "thinking": "", "signature": "unsigned"}
    assert found["content"][1]["text"] == "yes"


def test_a_stream_has_anthropics_events_in_their_order() -> None:
    text = 'think about it\nI add.\ncall add {"a": 1, "b": 2}'
    response = posted("/v1/messages", asked(text, tools=[ADD], stream=True))
    events = events_of(response)
    assert all(name == data["type"] for name, data in events)
    kinds = [name for name, _ in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    begun = events[0][1]["message"]
    assert (begun["content"], begun["stop_reason"], begun["usage"]["output_tokens"]) == ([], None, 0)
    assert events[-2][1]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2][1]["usage"]["output_tokens"] == 5
    starts = [data for name, data in events if name == "content_block_start"]
    assert [(data["index"], data["content_block"]["type"]) for data in starts] == [
        (0, "thinking"),
        (1, "text"),
        (2, "tool_use"),
    ]
    assert starts[2]["content_block"]["input"] == {}
    deltas = [data["delta"] for name, data in events if name == "content_block_delta"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == "about it"
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"a": 1, "b": 2}
    assert [delta["signature"] for delta in deltas if delta["type"] == "signature_delta"] == ["unsigned"]
    assert kinds.count("content_block_stop") == 3


def test_blocks_of_a_stream_are_closed_before_the_next_is_opened() -> None:
    two = 'call add {"a": 1}\ncall add {"a": 2}'
    events = events_of(posted("/v1/messages", asked(two, tools=[ADD], stream=True)))
    borders = [(name, data["index"]) for name, data in events if name in ("content_block_start", "content_block_stop")]
    assert borders == [
        ("content_block_start", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_stop", 1),
    ]


def test_an_answer_without_words_has_no_blocks() -> None:
    assert message("think only this")["content"][0]["type"] == "thinking"
    assert message("hello", max_tokens=0)["content"] == []
    events = events_of(posted("/v1/messages", asked("hello", max_tokens=0, stream=True)))
    assert [name for name, _ in events] == ["message_start", "message_delta", "message_stop"]


def test_a_stream_that_waits_is_kept_alive_by_pings() -> None:
    config = Config(model={"echo/a": ModelConfig(options={"load_seconds": 0.5})})
    config = Config(server=type(config.server)(keepalive=0.05), model=config.model)
    response = posted("/v1/messages", asked("hi", stream=True), config)
    assert events_of(response)[0] == ("ping", {"type": "ping"})
    assert response.text.startswith(": ")


def test_the_tokens_of_a_prompt_are_counted() -> None:
    body = asked("hello", system="Be brief.", tools=[ADD])
    del body["max_tokens"]
    response = posted("/v1/messages/count_tokens", body)
    # The echo model reads a zero, the last turn, and the names of the tools.
    assert response.json() == {"input_tokens": len("\0hello add")}


def test_pictures_reach_a_model_that_sees() -> None:
    found = message([PICTURE, {"type": "text", "text": "look"}], model="echo/sees")
    assert found["content"][0]["text"] == "look 9"


def test_pictures_of_results_reach_a_model_that_sees() -> None:
    turns = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "add", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [PICTURE]}]},
    ]
    found = message("", messages=turns, model="echo/sees", tools=[ADD])
    assert found["content"][0]["text"].strip() == "9"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]: expected object"),
        ({"max_tokens": -1}, "max_tokens: expected int >= 0"),
        ({"temperature": 1.5}, "temperature: expected float <= 1.0"),
        ({"tempreature": 1}, "unknown field tempreature; did you mean temperature?"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "expected one of assistant, system, user"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type: web_search_20250305"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema is required"),
        ({"tools": [ADD, ADD]}, "tools[1].name: there is a tool add already"),
        ({"tools": [ADD], "tool_choice": {"type": "tool", "name": "f"}}, "tool_choice: there is no tool f"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens: expected int >= 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.budget_tokens: expected less than"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type: invalid value 'between_tools'"),
        ({"container": "c"}, "container: not supported"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers: not supported"),
        ({"output_config": {"task_budget": {}}}, "output_config.task_budget: not supported"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management.edits[0]"),
        ({"messages": [{"role": "assistant", "content": ""}]}, "messages: expected at least one turn"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_told_by_its_name(fields: dict[str, Any], named: str) -> None:
    status, kind, words = told(posted("/v1/messages", asked("hi", **fields)))
    assert (status, kind) == (400, "invalid_request_error")
    assert named in words


def test_what_the_model_cannot_honour_is_told_by_the_name_that_the_client_gave_it() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}, PICTURE]}]
    _, _, words = told(posted("/v1/messages", asked("", system="s", messages=turns)))
    assert words.startswith("messages[1].content[1]: backend echo does not support images")
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "The answer is"}]
    _, _, words = told(posted("/v1/messages", asked("", system="s", messages=turns)))
    assert words.startswith("messages[1]: backend echo does not support it")


def test_an_answer_that_calls_nothing_yet_cannot_be_followed_by_calls() -> None:
    calls = [{"type": "tool_use", "id": "c", "name": "add", "input": {}}]
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": calls}]
    status, _, words = told(posted("/v1/messages", asked("", messages=turns)))
    assert (status, words.startswith("messages[1]: ")) == (400, True)


def test_a_picture_that_is_not_there_is_told_by_its_place() -> None:
    source = {"type": "url", "url": "http://127.0.0.1/x.png"}
    content = [{"type": "text", "text": "look"}, {"type": "image", "source": source}]
    status, kind, words = told(posted("/v1/messages", asked(content, system="s", model="echo/sees")))
    assert (status, kind) == (403, "permission_error")
    assert words.startswith("messages[0].content[1]: ")


def test_every_error_has_anthropics_shape() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        missing = await client.post("/v1/messages", json=asked("hi", model="org/none"))
        assert told(missing)[:2] == (404, "not_found_error")
        assert told(await client.get("/v1/messages"))[:2] == (405, "invalid_request_error")
        assert told(await client.get("/v1/messages/count_tokens"))[:2] == (405, "invalid_request_error")
        assert told(await client.post("/v1/messages/batches", json={}))[:2] == (404, "not_found_error")
        broken = await client.post("/v1/messages", content=b"{", headers={"content-type": "application/json"})
        assert told(broken)[:2] == (400, "invalid_request_error")
        typed = await client.post("/v1/messages", content=b"{}", headers={"content-type": "text/plain"})
        assert told(typed)[:2] == (415, "invalid_request_error")
        large = await client.post("/v1/messages", json=asked("x" * 5000))
        assert told(large)[:2] == (413, "request_too_large")
        failed = await client.post("/v1/messages", json=asked("fail"))
        assert told(failed)[:2] == (500, "api_error")
        died = await client.post("/v1/messages", json=asked("die"))
        assert told(died)[:2] == (502, "api_error")
        loading = await client.post("/v1/messages", json=asked("hi", model="echo/fail"))
        assert told(loading)[:2] == (503, "overloaded_error")
        counted = await client.post("/v1/messages/count_tokens", json=asked("hi"))
        assert "max_tokens" in told(counted)[2]
        # Elsewhere nothing changes.
        other = await client.post("/v1/nothing", json={})
        assert other.json()["error"]["code"] == "not_found"
        assert "request-id" not in other.headers

    server = type(Config().server)(max_body_bytes=4000)
    using(use, Config(server=server))


def test_a_deadline_and_a_lack_of_memory_are_told_in_anthropics_words() -> None:
    config = Config(pool=PoolConfig(request_timeout=0.2), model={"echo/a": ModelConfig(options={"delay": 0.02})})
    assert told(posted("/v1/messages", asked("repeat 10000", max_tokens=9999), config))[:2] == (504, "timeout_error")
    config = Config(pool=PoolConfig(memory_limit=1_000_000))
    assert told(posted("/v1/messages", asked("hi"), config))[:2] == (503, "overloaded_error")


def test_an_error_in_a_stream_is_its_last_event() -> None:
    config = Config(pool=PoolConfig(request_timeout=0.5), model={"echo/a": ModelConfig(options={"delay": 0.02})})
    response = posted("/v1/messages", asked("repeat 10000", max_tokens=9999, stream=True), config)
    assert response.status_code == 200
    events = events_of(response)
    assert events[0][0] == "message_start"
    name, body = events[-1]
    assert (name, body["type"], body["error"]["type"]) == ("error", "error", "timeout_error")
    assert body["request_id"] == response.headers["request-id"]


def test_an_error_before_a_stream_has_a_status_of_its_own() -> None:
    response = posted("/v1/messages", asked("fail", stream=True))
    assert told(response)[:2] == (500, "api_error")
