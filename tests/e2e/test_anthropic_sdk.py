"""Anthropic's SDK, unchanged, against a tiny model that thinks and calls a tool, and one that says what it is told."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydantic
import pytest

import anthropic
from anthropic import beta_tool
from server import Server, running_server
from tiny.causal import make_scripted
from tiny.templates import QWEN

ARGUMENTS = '{"a": 1, "b": 2}'
CALLS = ["<think>\n", "I must add.", "\n</think>\n\n", "I add. ", "<tool_call>\n"]
CALLS += ['{"name": "add", "arguments": ', ARGUMENTS, "}\n</tool_call>"]
RESULT = "Result: "
# After the result of a tool the template begins the answer, so that the model goes on with another script.
TEMPLATE = QWEN + "{%- if messages[-1].role == 'tool' %}{{- '" + RESULT + "' }}{% endif %}"
ANSWERS = ["It ", "is ", "three."]

ADD: dict[str, Any] = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
GUIDE = Path(__file__).parents[2] / "docs/how-to/use-anthropic-clients.md"
NAMED_IN_THE_GUIDE = "Qwen/Qwen3-4B"
QUESTION: dict[str, Any] = {"role": "user", "content": "What is 1 and 2?"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("anthropic") / "adds"
    return str(make_scripted(folder, CALLS, chat_template=TEMPLATE, others={RESULT: ANSWERS}))


@pytest.fixture(scope="module")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = tmp_path_factory.mktemp("configuration") / "universal.toml"
    file.write_text(f'[model."{NAMED_IN_THE_GUIDE}"]\nmodel = "echo/a"\n', "utf-8")
    with running_server("--device", "cpu", "--config", str(file)) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as found:
        yield found


def asked(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 60, "messages": [QUESTION], **fields}


def test_a_message_thinks_speaks_and_calls(client: anthropic.Anthropic, model: str) -> None:
    found = client.messages.create(**asked(model, tools=[ADD]))
    thought, said, call = found.content
    assert isinstance(thought, anthropic.types.ThinkingBlock)
    assert isinstance(said, anthropic.types.TextBlock)
    assert isinstance(call, anthropic.types.ToolUseBlock)
    assert (thought.thinking, said.text.strip(), call.name, call.input) == (
        "I must add.",
        "I add.",
        "add",
        {"a": 1, "b": 2},
    )
    assert found.stop_reason == "tool_use"
    assert found.usage.output_tokens == len(CALLS) + 1
    assert found.usage.output_tokens_details
    assert found.usage.output_tokens_details.thinking_tokens > 0
    assert (found._request_id or "").startswith("req_")


def test_a_stream_accumulates_to_the_same_message(client: anthropic.Anthropic, model: str) -> None:
    whole = client.messages.create(**asked(model, tools=[ADD]))
    with client.messages.stream(**asked(model, tools=[ADD])) as stream:
        text = "".join(stream.text_stream)
        found = stream.get_final_message()
    assert text.strip() == "I add."
    assert found.stop_reason == whole.stop_reason
    told, expected = ([_plain(block) for block in message.content] for message in (found, whole))
    assert told == expected
    assert found.usage.output_tokens == whole.usage.output_tokens
    # What was read before for the same prompt counts as read from the cache.
    read, before = ((m.usage.input_tokens + (m.usage.cache_read_input_tokens or 0)) for m in (found, whole))
    assert read == before


def _plain(block: Any) -> dict[str, Any]:
    return {name: value for name, value in block.model_dump().items() if name not in ("id", "parsed_output")}


def test_a_loop_of_tools_goes_round_with_what_the_client_gives_back(client: anthropic.Anthropic, model: str) -> None:
    turns = [QUESTION]
    found = client.messages.create(**asked(model, tools=[ADD], messages=turns))
    call = found.content[-1]
    assert isinstance(call, anthropic.types.ToolUseBlock)
    turns = [*turns, {"role": "assistant", "content": found.content}]
    turns += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "3"}]}]
    found = client.messages.create(**asked(model, tools=[ADD], messages=turns))
    assert found.content[0].model_dump()["text"] == "".join(ANSWERS)
    assert found.stop_reason == "end_turn"


@pytest.mark.parametrize("stream", [False, True])
def test_the_runner_of_tools_runs_them(client: anthropic.Anthropic, model: str, stream: bool) -> None:
    calls = []

    @beta_tool
    def add(a: int, b: int) -> str:
        """Adds two numbers.

        Args:
            a: One.
            b: The other.
        """
        calls.append((a, b))
        return str(a + b)

    runner = client.beta.messages.tool_runner(**asked(model, tools=[add], stream=stream))
    last = runner.until_done()
    assert calls == [(1, 2)]
    assert last.content[0].model_dump()["text"] == "".join(ANSWERS)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "count"}])
def test_a_call_that_is_required_follows_its_schema(
    client: anthropic.Anthropic, model: str, choice: dict[str, Any]
) -> None:
    count = {"name": "count", "input_schema": {"type": "object", "properties": {"to": {"enum": [7, 8]}}}}
    count["input_schema"] |= {"required": ["to"], "additionalProperties": False}
    fields = {"tools": [count], "tool_choice": {**choice, "disable_parallel_tool_use": True}}
    found = client.messages.create(**asked(model, **fields, thinking={"type": "disabled"}))
    (call,) = [block for block in found.content if block.type == "tool_use"]
    assert (call.name, found.stop_reason) == ("count", "tool_use")
    assert call.input in ({"to": 7}, {"to": 8})


def test_stop_sequences_are_told(client: anthropic.Anthropic, model: str) -> None:
    found = client.messages.create(**asked(model, stop_sequences=["nothing", "add. "]))
    assert (found.stop_reason, found.stop_sequence) == ("stop_sequence", "add. ")
    with client.messages.stream(**asked(model, stop_sequences=["add. "])) as stream:
        told = stream.get_final_message()
    assert (told.stop_reason, told.stop_sequence) == ("stop_sequence", "add. ")
    assert told.content[-1].model_dump()["text"] == "I "
    found = client.messages.create(**asked(model, max_tokens=2))
    assert (found.stop_reason, found.stop_sequence) == ("max_tokens", None)


def test_an_answer_may_be_asked_for_that_is_longer_than_the_context(client: anthropic.Anthropic, model: str) -> None:
    found = client.messages.create(**asked(model, max_tokens=4096, tools=[ADD]))
    assert found.stop_reason == "tool_use"
    with client.messages.stream(**asked(model, max_tokens=32000, tools=[ADD])) as stream:
        assert stream.get_final_message().stop_reason == "tool_use"


def test_the_beginning_of_an_answer_is_continued(client: anthropic.Anthropic, model: str) -> None:
    turns = [QUESTION, {"role": "assistant", "content": "It "}]
    found = client.messages.create(**asked(model, messages=turns))
    assert [block.model_dump()["text"] for block in found.content] == ["is three."]


def test_tokens_are_counted_as_they_are_read(client: anthropic.Anthropic, model: str) -> None:
    fields = {"system": "Be brief.", "tools": [ADD]}
    counted = client.messages.count_tokens(model=model, messages=[QUESTION], **fields)
    usage = client.messages.create(**asked(model, **fields)).usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    for choice in ({"type": "none"}, {"type": "auto", "disable_parallel_tool_use": True}):
        chosen = client.messages.count_tokens(model=model, messages=[QUESTION], **fields, tool_choice=choice)
        usage = client.messages.create(**asked(model, **fields, tool_choice=choice)).usage
        assert chosen.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    bare = client.messages.count_tokens(model=model, messages=[QUESTION])
    assert bare.input_tokens < counted.input_tokens


@pytest.mark.parametrize(
    "thinking", [{"type": "disabled"}, {"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}]
)
def test_tokens_are_counted_as_they_are_read_with_thinking(
    client: anthropic.Anthropic, model: str, thinking: dict[str, Any]
) -> None:
    counted = client.messages.count_tokens(model=model, messages=[QUESTION], thinking=thinking)
    usage = client.messages.create(**asked(model, thinking=thinking, max_tokens=1500)).usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


class Sum(pydantic.BaseModel):
    """What is asked for."""

    name: str
    total: int


def test_an_answer_is_parsed_by_its_schema(client: anthropic.Anthropic) -> None:
    found = client.messages.parse(**asked("echo/a", output_format=Sum))
    assert isinstance(found.parsed_output, Sum)
    with client.messages.stream(**asked("echo/a", output_format=Sum)) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Sum)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (anthropic.NotFoundError, {"model": "nobody/nothing"}, "nobody/nothing"),
        (anthropic.BadRequestError, {"extra_body": {"top_k": -1}}, "top_k"),
        (anthropic.BadRequestError, {"system": "word " * 4096}, "This model's context is"),
        (
            anthropic.BadRequestError,
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools[0].type",
        ),
        (anthropic.BadRequestError, {"system": [{"type": "text", "txt": "x"}]}, "system[0]"),
        (anthropic.InternalServerError, {"model": "echo/fail"}, "never loads"),
    ],
    ids=["model", "field", "context", "tool", "system", "load"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_those_of_the_sdk(
    client: anthropic.Anthropic, model: str, kind: Any, fields: dict[str, Any], words: str, stream: bool
) -> None:
    with pytest.raises(kind) as raised:
        client.messages.create(**{**asked(model), "stream": stream, **fields})
    assert words in raised.value.api_message
    assert raised.value.request_id.startswith("req_")
    assert raised.value.type


def test_a_stream_that_fails_raises_what_happened(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as raised:
        list(client.messages.create(**asked("echo/a", messages=[{"role": "user", "content": "fail"}], stream=True)))
    assert raised.value.type == "api_error"


def test_betas_and_keys_are_taken_as_they_come(server: Server, model: str) -> None:
    # What an agent sends: a question mark beta, headers of its own, marks for a cache, and thinking at will.
    body = {
        "model": "echo/a",
        "max_tokens": 32000,
        "stream": True,
        "metadata": {"user_id": "user_1_session_2"},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=1f;"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "tools": [{**ADD, "cache_control": {"type": "ephemeral"}, "eager_input_streaming": True}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "think first"},
                    {"type": "text", "text": "So.\ncall add " + ARGUMENTS, "cache_control": {"type": "ephemeral"}},
                ],
            }
        ],
    }
    headers = {"authorization": "Bearer none", "anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b-2"}
    response = httpx.post(f"{server.url}/v1/messages?beta=true", json=body, headers=headers)
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines]
    assert [one["content_block"]["type"] for one in events if "content_block" in one] == [
        "thinking",
        "text",
        "tool_use",
    ]


async def _together(url: str, model: str) -> list[str]:
    import asyncio

    async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:

        async def one() -> str:
            async with client.messages.stream(**asked(model)) as stream:
                return await stream.get_final_text()

        return await asyncio.gather(*(one() for _ in range(8)))


def test_many_streams_run_at_once(server: Server, model: str) -> None:
    import asyncio

    assert len(set(asyncio.run(_together(server.url, model)))) == 1


def test_what_the_guide_shows_works(server: Server) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block.replace("http://127.0.0.1:11540", server.url), names)
    names["client"].close()
    assert names["message"].content[-1].text == "Is 1001 a prime?"


def test_models_are_listed_as_openai_lists_them(client: anthropic.Anthropic, model: str, server: Server) -> None:
    client.messages.create(**asked(model, max_tokens=1))
    assert model in [found.id for found in client.models.list()]
    assert Path(model).is_dir()
