"""Models that call tools: the same calls as from safetensors, whose tests have the same script and requests."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from calling import CHOICE, CHOOSE, SCRIPT, TOOLS, WRITTEN
from tiny.answers import chat_request
from tiny.gguf import make_gguf_llama, make_gguf_scripted
from tiny.writing import load

SCHEMAS = {"choose": CHOICE, "now": {"type": "object", "maxProperties": 0}}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gguf_scripted(tmp_path_factory.mktemp("calling") / "model.gguf", SCRIPT)


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gguf_llama(tmp_path_factory.mktemp("random") / "model.gguf")


def test_a_call_is_told_apart_from_the_text_before_it(scripted: Path, ask_writer: Any) -> None:
    requests = [chat_request("hi", tools=TOOLS), chat_request("hi", tools=TOOLS, allowed_tools=("write",))]
    with closing(load(scripted, n_ctx=2048)) as model:
        for answers in ask_writer(model, *requests):
            assert (answers.text, answers.reason) == ("Let me see.", "tool_calls")
            assert answers.calls == [("write", '{"text": "é \\n"}')]
            assert answers.by_index[0].calls[0].id.startswith("call_")


def test_what_looks_like_a_call_is_text_where_none_may_be_made(scripted: Path, ask_writer: Any) -> None:
    requests = [chat_request("hi", tools=TOOLS, tool_choice="none"), chat_request("hi")]
    with closing(load(scripted, n_ctx=2048)) as model:
        for answers in ask_writer(model, *requests):
            assert (answers.text, answers.reason, answers.calls) == ("".join(SCRIPT), "stop", [])


def test_a_call_that_is_cut_off_ends_for_lack_of_room(scripted: Path, ask_writer: Any) -> None:
    with closing(load(scripted, n_ctx=2048)) as model:
        (answers,) = ask_writer(model, chat_request("hi", tools=TOOLS, max_tokens=7))
    assert (answers.text, answers.reason) == ("Let me see.", "length")
    assert answers.calls == [("write", '{"text": "é')]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_random_model_calls_validly_in_every_format(name: str, random_file: Path, ask_writer: Any) -> None:
    fields = {"tools": CHOOSE, "tool_choice": "required", "max_tokens": 160, "temperature": 1.0}
    several = [chat_request("hi", **fields, seed=seed) for seed in range(2)]
    single = [chat_request("hi", **fields, seed=seed, parallel_tool_calls=False) for seed in range(2)]
    named = [chat_request("hi", **fields, allowed_tools=("choose",))]
    requests = [*several, *single, *named]
    with closing(load(random_file, n_ctx=4096, tool_format=name)) as model:
        found = ask_writer(model, *requests)
    for request, answers in zip(requests, found, strict=True):
        if answers.reason == "length":
            continue
        assert (answers.text, answers.reason) == ("", "tool_calls")
        assert request in several or len(answers.calls) == 1
        for called, arguments in answers.calls:
            assert called in (request.allowed_tools or SCHEMAS)
            validate(json.loads(arguments), SCHEMAS[str(called)])
