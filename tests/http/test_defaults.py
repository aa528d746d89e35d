"""Fields that the configuration of a model gives to requests that leave them out, at every endpoint."""

import ast
import inspect
import textwrap
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from clients import outcome, posted, serving, using
from universal_core.app import create_app, routes
from universal_core.config import Config, ConfigError, ModelConfig, ModelsConfig
from universal_core.http.defaults import _defaults_of, bodies_of
from universal_core.runtime import Runtime

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"


def config(defaults: dict[str, Any], name: str = "alias", **more: Any) -> Config:
    return Config(model={name: ModelConfig(model="echo/a", defaults=defaults, **more)})


def chat(text: str = "one two three four", model: str | None = "alias", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **({"model": model} if model else {}), **fields}


def said(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"]).strip()


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_field_that_is_left_out_has_the_default_of_its_model(name: str) -> None:
    with serving(config({name: 2})) as post:
        assert said(post(CHAT, json=chat())) == "one two"
        completion = post(COMPLETIONS, json={"model": "alias", "prompt": "one two three"}).json()
        assert completion["choices"][0]["text"].strip() == "one two"
        message = post(MESSAGES, json=chat()).json()
        assert (message["content"][0]["text"].strip(), message["stop_reason"]) == ("one two", "max_tokens")
        response = post(RESPONSES, json={"model": "alias", "input": "one two three", "store": False}).json()
        assert (response["max_output_tokens"], response["status"]) == (2, "incomplete")


def test_null_means_left_out_and_any_value_counts_more_than_the_default() -> None:
    with serving(config({"max_tokens": 2})) as post:
        assert said(post(CHAT, json=chat(max_tokens=None))) == "one two"
        assert said(post(CHAT, json=chat(max_tokens=3))) == "one two three"
        assert said(post(CHAT, json=chat(max_completion_tokens=1))) == "one"
        assert said(post(CHAT, json=chat(model="echo/a"))) == "one two three four"


def test_requests_that_name_no_model_have_the_defaults_of_the_one_they_get() -> None:
    defaults = config({"max_tokens": 2})
    settings = Config(model=defaults.model, models=ModelsConfig(default="alias"))
    assert said(posted(CHAT, chat(model=None), settings)) == "one two"


def test_a_request_that_says_what_form_its_answer_has_gets_no_other_form() -> None:
    with serving(config({"guided_json": {"type": "object"}})) as post:
        assert said(post(CHAT, json=chat())).startswith("{")
        assert said(post(CHAT, json=chat(response_format={"type": "text"}))) == "one two three four"


def test_what_ends_an_answer_is_known_to_both_apis() -> None:
    with serving(config({"stop": "three", "max_tokens": 9})) as post:
        assert post(MESSAGES, json=chat()).status_code == 200
        assert post(CHAT, json=chat()).status_code == 200


def test_an_adapter_has_the_defaults_of_its_model_but_for_its_own() -> None:
    base = ModelConfig(options={"adapters": {"poet": "x"}}, defaults={"max_tokens": 5, "seed": 1})
    verse = ModelConfig(model="base:poet", defaults={"max_completion_tokens": 7})
    settings = Config(model={"base": base, "verse": verse})
    assert _defaults_of(settings, "base:poet") == {"max_tokens": 5, "seed": 1}
    assert _defaults_of(settings, "verse") == {"max_completion_tokens": 7, "seed": 1}


def test_an_endpoint_without_the_field_leaves_it_out() -> None:
    with serving(config({"max_tokens": 2, "voice": "af_bella", "size": "64x64"})) as post:
        assert post("/v1/tokenize", json={"model": "alias", "text": "abc"}).status_code == 200
        assert post("/v1/embeddings", json={"model": "alias", "input": "abc"}).status_code == 200
        assert said(post(CHAT, json=chat())) == "one two"


def test_a_form_has_defaults_too() -> None:
    with serving(config({"top_k": 2})) as post:
        files = [("images", ("a.png", b"a picture"))]

        def predictions(**fields: str) -> int:
            response = post("/v1/vision/classify", files=files, data={"model": "alias", **fields})
            assert response.status_code == 200, response.text
            return len(response.json()["data"][0]["predictions"])

        assert (predictions(), predictions(top_k="3")) == (2, 3)


def test_what_is_wrong_with_a_default_is_told_with_where_it_stands() -> None:
    with serving(config({"temperature": 1.5})) as post:
        assert said(post(CHAT, json=chat())) == "one two three four"
        response = post(MESSAGES, json=chat(max_tokens=5))
        assert response.status_code == 400
        message = response.json()["error"]["message"]
        assert message.startswith("temperature: expected")
        assert "it is the default of alias: model.alias.defaults.temperature in the server's configuration" in message
        own = post(MESSAGES, json=chat(max_tokens=5, temperature=1.7)).json()["error"]["message"]
        assert "configuration" not in own


def test_a_default_that_a_model_cannot_honour_is_told_so_too() -> None:
    response = posted(CHAT, chat(), config({"logprobs": True}))
    assert outcome(response) == (400, "unsupported_field", "logprobs")
    assert "model.alias.defaults.logprobs" in response.json()["error"]["message"]


def test_a_body_that_cannot_be_read_is_told_as_ever() -> None:
    with serving(config({"max_tokens": 2})) as post:
        assert outcome(post(CHAT, content=b"{", headers={"content-type": "application/json"}))[0] == 400
        assert outcome(post(CHAT, json=chat(model=5))) == (400, "invalid_value", "model")  # type: ignore[arg-type]
        assert outcome(post(CHAT, json=[]))[0] == 400


@pytest.mark.parametrize(
    ("defaults", "words"),
    [
        ({"temprature": 1}, "model.alias.defaults.temprature: no request has this field; did you mean temperature?"),
        ({"model": "b"}, "defaults.model: only a request itself can say this"),
        ({"stream": True}, "defaults.stream: only a request itself can say this"),
        ({"temperature": "hot"}, "defaults.temperature: Expected `?float"),
        ({"max_tokens": 5, "max_output_tokens": 6}, "exclude each other; keep one"),
        ({"response_format": {"type": "text"}, "guided_regex": "a"}, "exclude each other; keep one"),
    ],
)
def test_a_default_that_no_endpoint_could_use_keeps_the_server_from_starting(
    defaults: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        create_app(Runtime(config(defaults)))


def test_every_endpoint_declares_what_it_reads() -> None:
    runtime = Runtime(Config())
    for route in routes(runtime):
        endpoint = getattr(route, "endpoint", None)
        if not inspect.isroutine(endpoint) or not endpoint.__module__.startswith("universal_core."):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(endpoint)))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        read = [ast.unparse(call.args[1]) for call in calls if ast.unparse(call.func) in ("read_json", "read_form")]
        declared = [body.__name__ for body in bodies_of([route])]
        if not getattr(route, "path", "").startswith("/v1/models"):
            assert set(read) <= set(declared), f"{route} reads {read}: @reads({', '.join(read)})"


def test_the_query_of_a_connection_has_defaults_too() -> None:
    path = "/v1/audio/transcriptions/stream?model=alias"
    app = create_app(Runtime(config({"prompt": ["a", "b"]})))
    with TestClient(app) as client, client.websocket_connect(path) as socket:
        event = socket.receive_json()
    assert event["type"] == "error"
    assert "model.alias.defaults.prompt" in event["message"]


def test_an_application_without_defaults_reads_bodies_as_they_are() -> None:
    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(CHAT, json=chat(model="echo/a"))

    assert said(using(use)) == "one two three four"
