"""Fields that the configuration of a model gives to requests that leave them out, at every endpoint."""

import ast
import inspect
import textwrap
from typing import Any

import httpx
import pytest

from clients import outcome, posted, serving, using
from universal_core.app import create_app, routes
from universal_core.config import Config, ConfigError, ModelConfig, ModelsConfig
from universal_core.http.defaults import bodies_of
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
    with serving(config({"guided_choice": ["yes", "no"]})) as post:
        assert said(post(CHAT, json=chat())) in ("yes", "no")
        assert said(post(CHAT, json=chat(response_format={"type": "text"}))) == "one two three four"


def test_what_ends_an_answer_is_known_to_both_apis() -> None:
    with serving(config({"stop": "three", "max_tokens": 9})) as post:
        assert post(MESSAGES, json=chat()).status_code == 200
        assert post(CHAT, json=chat()).status_code == 200


def test_an_adapter_has_the_defaults_of_its_model_but_for_its_own() -> None:
    from universal_core.http.defaults import _defaults_of

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


def test_a_form_has_defaults_too(tmp_path: Any) -> None:
    from tiny.drawings import drawing  # type: ignore[import-not-found]

    del drawing
