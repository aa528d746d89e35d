"""/v1/responses over a model that says what it is told to: answers, conversations that go on, and what is kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.responses import Response
from openai.types.responses.response_item_list import ResponseItemList
from starlette.testclient import TestClient

from clients import outcome
from universal_core.app import create_app
from universal_core.config import Config, ResponsesConfig, ServerConfig
from universal_core.runtime import Runtime

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8="}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    path = tmp_path_factory.mktemp("responses") / "responses.db"
    with TestClient(create_app(Runtime(Config(responses=ResponsesConfig(path=str(path)))))) as found:
        yield found


def ask(client: TestClient, given: Any, model: str = "echo/a", **fields: Any) -> httpx.Response:
    return client.post("/v1/responses", json={"model": model, "input": given, **fields})


def answered(client: TestClient, given: Any, **fields: Any) -> dict[str, Any]:
    response = ask(client, given, **fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    Response.model_validate(found)
    return found


def texts(response: dict[str, Any]) -> list[str]:
    return [part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"]]


def read(response: dict[str, Any]) -> int:
    """Return how many turns the model has read."""
    turns: int = response["usage"]["input_tokens"]
    return turns


def test_an_answer_is_a_message(client: TestClient) -> None:
    found = answered(client, "hello there")
    (message,) = found["output"]
    assert message["content"] == [{"type": "output_text", "text": "hello there", "annotations": [], "logprobs": []}]
    assert (message["role"], message["status"], found["status"]) == ("assistant", "completed", "completed")
    assert found["usage"] == {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
    }
    assert found["id"].startswith("resp_")
    assert (found["error"], found["incomplete_details"]) == (None, None)


def test_a_response_repeats_what_was_asked(client: TestClient) -> None:
    fields = {
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "truncation": "auto",
        "store": False,
        "user": "me",
        "max_tool_calls": 3,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "tools": [{**TOOL, "description": "d", "strict": False}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
    }
    found = answered(client, "hi", reasoning={"effort": "high"}, **fields)
    assert {name: found[name] for name in fields} == fields
    assert found["reasoning"] == {"effort": "high", "summary": None}
    assert found["text"] == {"format": {"type": "text"}, "verbosity": "medium"}


def test_thoughts_come_as_an_item_of_their_own(client: TestClient) -> None:
    thoughts, message = answered(client, "think it over\nyes")["output"]
    assert thoughts["content"] == [{"type": "reasoning_text", "text": "it over"}]
    assert (thoughts["type"], thoughts["summary"], thoughts["encrypted_content"]) == ("reasoning", [], None)
    assert message["content"][0]["text"] == "yes"


def test_thoughts_come_as_a_summary_where_one_is_wanted(client: TestClient) -> None:
    thoughts, _ = answered(client, "think it over\nyes", reasoning={"summary": "auto"})["output"]
    assert (thoughts["summary"], thoughts["content"]) == ([{"type": "summary_text", "text": "it over"}], None)


def test_sealed_thoughts_come_back_to_the_model_that_had_them(client: TestClient) -> None:
    first = answered(client, "think it over\nyes", include=["reasoning.encrypted_content"], store=False)
    thoughts, message = first["output"]
    thoughts = {**thoughts, "content": None}
    second = answered(client, [{"role": "user", "content": "hi"}, thoughts, message, {"role": "user", "content": "on"}])
    assert read(second) == 3


def test_a_call_goes_back_with_its_output(client: TestClient) -> None:
    given: list[Any] = [{"role": "user", "content": 'call look {"at": 1}\ncall look {"at": 2}'}]
    calls = answered(client, given, tools=[TOOL], store=False)["output"]
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        ("look", {"at": 1}),
        ("look", {"at": 2}),
    ]
    assert len({call["call_id"] for call in calls}) == 2
    outputs = [{"type": "function_call_output", "call_id": call["call_id"], "output": "a tree"} for call in calls]
    found = answered(client, [*given, *calls, *outputs], tools=[TOOL], store=False)
    assert texts(found) == ["a tree"]
    assert read(found) == 4


def test_an_answer_that_is_cut_is_incomplete(client: TestClient) -> None:
    found = answered(client, "one two three", max_output_tokens=2)
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (texts(found), found["output"][0]["status"], found["completed_at"]) == (["one two "], "incomplete", None)
    cut_while_thinking = answered(client, "think of one two three", max_output_tokens=2)
    assert [item["type"] for item in cut_while_thinking["output"]] == ["reasoning"]


def test_an_answer_of_no_words_is_an_empty_message(client: TestClient) -> None:
    assert texts(answered(client, "")) == [""]
    assert texts(answered(client, "think it over")) == [""]


def test_a_form_is_followed(client: TestClient) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    found = answered(client, "hi", text={"format": {"type": "json_schema", "name": "s", "schema": schema}})
    assert json.loads(texts(found)[0]) == {"a": 1}
    assert found["text"]["format"] == {"type": "json_schema", "name": "s", "schema": schema}


def test_a_conversation_goes_on_from_a_response(client: TestClient) -> None:
    first = answered(client, "one", instructions="Be brief.")
    second = answered(client, "two", previous_response_id=first["id"])
    third = answered(client, "three", previous_response_id=second["id"], instructions="Be wordy.")
    other = answered(client, "four", previous_response_id=first["id"])
    # Instructions are those of one response alone.
    assert [read(found) for found in (first, second, third, other)] == [2, 3, 6, 3]


def test_a_call_is_answered_by_its_output_alone(client: TestClient) -> None:
    first = answered(client, 'call look {"at": 1}', tools=[TOOL])
    output = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "a tree"}
    assert texts(answered(client, [output], previous_response_id=first["id"])) == ["a tree"]


def test_a_call_without_its_output_is_told(client: TestClient) -> None:
    first = answered(client, 'call look {"at": 1}', tools=[TOOL])
    refused = ask(client, "never mind", previous_response_id=first["id"])
    assert outcome(refused) == (400, "invalid_value", "previous_response_id[1].call_id")
    assert f"has the call_id {first['output'][0]['call_id']}" in refused.json()["error"]["message"]


def test_an_input_that_says_nothing_is_told(client: TestClient) -> None:
    assert outcome(ask(client, [])) == (400, "invalid_value", "input")
    assert texts(answered(client, [], previous_response_id=answered(client, "one")["id"])) == ["one"]


def test_a_response_goes_on_from_another_without_any_input(client: TestClient) -> None:
    first = answered(client, "one")
    response = client.post("/v1/responses", json={"model": "echo/a", "previous_response_id": first["id"]})
    assert read(response.json()) == 2


def test_what_cannot_be_gone_on_from_is_told(client: TestClient) -> None:
    response = ask(client, "hi", previous_response_id="resp_0")
    assert outcome(response) == (400, "previous_response_not_found", "previous_response_id")
    unstored = answered(client, "one", store=False)["id"]
    assert outcome(ask(client, "two", previous_response_id=unstored))[1] == "previous_response_not_found"
    first = answered(client, "one")["id"]
    second = answered(client, "two", previous_response_id=first)["id"]
    client.delete(f"/v1/responses/{first}")
    response = ask(client, "three", previous_response_id=second)
    assert outcome(response)[1] == "previous_response_not_found"
    assert f"no response {first}, from which {second} goes on" in response.json()["error"]["message"]


def test_a_conversation_that_grew_too_long_is_refused() -> None:
    config = Config(server=ServerConfig(max_body_bytes=2000))
    with TestClient(create_app(Runtime(config))) as client:
        first = answered(client, "a" * 800)
        response = ask(client, "b", previous_response_id=first["id"])
        assert outcome(response) == (413, "payload_too_large", "previous_response_id")


def test_an_item_may_be_named_instead_of_sent(client: TestClient) -> None:
    first = answered(client, "think hard\nhello")
    references = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    found = answered(client, [*references, {"role": "user", "content": "hi"}])
    assert read(found) == 2
    (asked, *_) = client.get(f"/v1/responses/{found['id']}/input_items?order=asc").json()["data"]
    assert asked["content"] == [{"type": "reasoning_text", "text": "hard"}]
    assert outcome(ask(client, [{"id": "msg_0"}])) == (400, "invalid_value", "input[0].id")


def test_a_response_is_shown_as_it_was_given(client: TestClient) -> None:
    found = answered(client, "think hard\nhello", metadata={"a": "b"})
    url = f"/v1/responses/{found['id']}"
    assert client.get(url).json() == found
    assert list(client.get(url).json()) == list(found)
    assert client.get(url, params={"include": ["message.output_text.logprobs"]}).json() == found
    assert outcome(client.get(url, params={"stream": "true"})) == (400, "unsupported_field", "stream")
    assert outcome(client.get(url, params={"include[]": "what"})) == (400, "unsupported_field", "include")
    assert outcome(client.get(url, params={"what": "1"})) == (400, "invalid_value", "what")


def test_a_removed_response_is_gone(client: TestClient) -> None:
    id = answered(client, "hello")["id"]
    response = client.delete(f"/v1/responses/{id}")
    assert response.json() == {"id": id, "object": "response", "deleted": True}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        response = client.request(method, f"/v1/responses/{id}{path}")
        assert outcome(response) == (404, "not_found", "response_id")


def test_a_response_that_is_over_cannot_be_cancelled(client: TestClient) -> None:
    id = answered(client, "hello")["id"]
    assert outcome(client.post(f"/v1/responses/{id}/cancel")) == (400, "invalid_value", None)


def test_the_input_of_a_response_is_listed(client: TestClient) -> None:
    before = answered(client, "zero")
    given = [{"role": "user", "content": str(number)} for number in range(5)]
    found = answered(client, given, previous_response_id=before["id"], instructions="Be brief.")

    def listed(**query: Any) -> dict[str, Any]:
        response = client.get(f"/v1/responses/{found['id']}/input_items", params=query)
        assert response.status_code == 200, response.text
        page: dict[str, Any] = response.json()
        if page["data"]:
            ResponseItemList.model_validate(page)
        return page

    def words(page: dict[str, Any]) -> list[str]:
        return [item["content"][0]["text"] for item in page["data"]]

    assert words(listed()) == ["4", "3", "2", "1", "0"]
    first = listed(order="asc", limit=2)
    assert (words(first), first["has_more"]) == (["0", "1"], True)
    assert (first["first_id"], first["last_id"]) == (first["data"][0]["id"], first["data"][1]["id"])
    second = listed(order="asc", limit=3, after=first["last_id"])
    assert (words(second), second["has_more"]) == (["2", "3", "4"], False)
    assert words(listed(order="asc", before=first["last_id"])) == ["0"]
    assert words(listed(order="asc", after=second["last_id"])) == []
    for query in ({"limit": "0"}, {"limit": "101"}, {"order": "up"}, {"after": "msg_0"}, {"what": "1"}):
        response = client.get(f"/v1/responses/{found['id']}/input_items", params=query)
        assert outcome(response) == (400, "invalid_value", next(iter(query)))


def test_tokens_are_counted_before_an_answer(client: TestClient) -> None:
    first = answered(client, "one")
    body = {"model": "echo/a", "input": "hello", "previous_response_id": first["id"], "tools": []}
    response = client.post("/v1/responses/input_tokens", json=body)
    assert response.json() == {"object": "response.input_tokens", "input_tokens": len("\0hello")}
    assert outcome(client.post("/v1/responses/input_tokens", json={"model": "echo/a"})) == (
        400,
        "invalid_value",
        "input",
    )


def test_an_unknown_path_below_is_refused(client: TestClient) -> None:
    assert outcome(client.post("/v1/responses/compact", json={}))[0] == 405


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "user", "content": [PICTURE]}]}, "input[0].content[0].image_url"),
        ({"input": "hi", "include": ["message.output_text.logprobs"]}, "include"),
        ({"input": "hi", "n_ctx": 8}, "n_ctx"),
    ],
    ids=["image", "logprobs", "n_ctx"],
)
def test_what_the_model_cannot_honour_is_refused_by_the_name_that_the_client_used(
    client: TestClient, fields: dict[str, Any], param: str
) -> None:
    response = client.post("/v1/responses", json={"model": "echo/a", **fields})
    assert outcome(response) == (400, "unsupported_field", param)
    assert response.json()["error"]["message"].startswith(f"{param}:")


def test_a_picture_is_read_again_when_its_conversation_goes_on(client: TestClient) -> None:
    first = answered(client, [{"role": "user", "content": [PICTURE]}], model="echo/sees")
    assert texts(first) == ["5"]
    given = client.get(f"/v1/responses/{first['id']}/input_items").json()["data"]
    assert given[0]["content"] == [PICTURE]
    second = answered(client, "and now?", model="echo/sees", previous_response_id=first["id"])
    assert read(second) == 3
    refused = ask(client, "and now?", previous_response_id=first["id"])
    assert outcome(refused)[2] == "previous_response_id[0].content[0].image_url"


def test_a_damaged_picture_is_told_with_its_place(client: TestClient) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,!"}
    response = ask(client, [{"role": "user", "content": [picture]}], model="echo/sees")
    assert outcome(response)[::2] == (400, "input[0].content[0].image_url")


def test_turns_that_were_left_out_are_told(client: TestClient) -> None:
    given = [{"role": role, "content": "x"} for role in ("user", "assistant") * 5] + [{"role": "user", "content": "y"}]
    assert outcome(ask(client, given, model="echo/short")) == (400, "context_length_exceeded", "input")
    found = answered(client, given, model="echo/short", truncation="auto")
    assert (found["dropped_messages"], found["truncation"]) == (7, "auto")
    assert client.get(f"/v1/responses/{found['id']}").json()["dropped_messages"] == 7


def test_a_file_that_cannot_be_written_is_told_before_the_model_works(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = Config(responses=ResponsesConfig(path=str(tmp_path / "file" / "responses.db")))
    with TestClient(create_app(Runtime(config))) as client:
        for stream in (False, True):
            assert outcome(ask(client, "hi", stream=stream)) == (507, "storage_failed", None)
        assert client.get("/health").json()["models"] == []
        assert texts(answered(client, "hi", store=False)) == ["hi"]


def test_a_server_that_keeps_nothing_says_so() -> None:
    with TestClient(create_app(Runtime(Config(responses=ResponsesConfig(store=False))))) as client:
        found = answered(client, "hi")
        assert not found["store"]
        assert outcome(ask(client, "hi", store=True)) == (400, "unsupported_field", "store")
        assert outcome(ask(client, "hi", previous_response_id="resp_0"))[::2] == (400, "previous_response_id")
        assert outcome(client.get(f"/v1/responses/{found['id']}"))[0] == 404
        assert outcome(ask(client, [{"id": "msg_0"}]))[::2] == (400, "input[0].id")


def test_nothing_is_kept_of_what_is_not_to_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "responses.db"
    with TestClient(create_app(Runtime(Config(responses=ResponsesConfig(path=str(path)))))) as client:
        answered(client, "a secret", store=False)
        assert not path.exists()
        answered(client, "hello")
        assert path.exists()
