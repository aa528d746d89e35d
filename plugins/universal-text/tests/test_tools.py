"""Models that call tools: the same calls as from GGUF, whose tests have the same script and requests."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from calling import CHOICE, CHOOSE, SCRIPT, TOOLS, WRITTEN
from tiny.answers import chat_request
from tiny.causal import make_scripted

SCHEMAS = {"choose": CHOICE, "now": {"type": "object", "maxProperties": 0}}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scripted(tmp_path_factory.mktemp("calling"), SCRIPT)


def test_a_call_is_told_apart_from_the_text_before_it(scripted: Path, open_model: Any, ask: Any) -> None:
    requests = [chat_request("hi", tools=TOOLS), chat_request("hi", tools=TOOLS, allowed_tools=("write",))]
    for answers in ask(open_model(scripted), *requests):
        assert (answers.text, answers.reason) == ("Let me see.", "tool_calls")
        assert answers.calls == [("write", '{"text": "é \\n"}')]
        assert answers.by_index[0].calls[0].id.startswith("call_")


def test_what_looks_like_a_call_is_text_where_none_may_be_made(scripted: Path, open_model: Any, ask: Any) -> None:
    requests = [chat_request("hi", tools=TOOLS, tool_choice="none"), chat_request("hi")]
    for answers in ask(open_model(scripted), *requests):
        assert (answers.text, answers.reason, answers.calls) == ("".join(SCRIPT), "stop", [])


def test_a_call_that_is_cut_off_ends_for_lack_of_room(scripted: Path, open_model: Any, ask: Any) -> None:
    (answers,) = ask(open_model(scripted), chat_request("hi", tools=TOOLS, max_tokens=7))
    assert (answers.text, answers.reason) == ("Let me see.", "length")
    assert answers.calls == [("write", '{"text": "é')]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_random_model_calls_validly_in_every_format(name: str, folder: Any, open_model: Any, ask: Any) -> None:
    model = open_model(folder("llama"), tool_format=name)
    fields = {"tools": CHOOSE, "tool_choice": "required", "max_tokens": 160, "temperature": 1.0}
    several = [chat_request("hi", **fields, seed=seed) for seed in range(2)]
    single = [chat_request("hi", **fields, seed=seed, parallel_tool_calls=False) for seed in range(2)]
    named = [chat_request("hi", **fields, allowed_tools=("choose",))]
    for request, answers in zip(requests := [*several, *single, *named], ask(model, *requests), strict=True):
        if answers.reason == "length":
            continue
        assert (answers.text, answers.reason) == ("", "tool_calls")
        assert request in several or len(answers.calls) == 1
        for called, arguments in answers.calls:
            assert called in (request.allowed_tools or SCHEMAS)
            validate(json.loads(arguments), SCHEMAS[str(called)])
