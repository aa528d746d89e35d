"""Clients that people build agents with, unchanged, against a real server and tiny models of two backends.

One model thinks, calls a tool and tells what came of it; the other is random, and says only what a schema lets it.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pydantic
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner
from openai.types.chat import ChatCompletionMessageParam
from pydantic_ai import Agent, AgentRunResult, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

import anthropic
import openai
from server import Server, running_server
from tiny.acting import ANSWER, ARGUMENTS, THOUGHT, make_acting
from tiny.causal import make_llama
from tiny.gguf import make_gguf_from_transformers

QUESTION = "What is the weather in Paris?"
WEATHER = "18 degrees"
WEATHER_OF = pydantic.create_model("get_weather", city=(str, ...))
GUIDES = Path(__file__).parents[2] / "docs" / "how-to"
BACKENDS = ("text", "gguf")


class Forecast(pydantic.BaseModel):
    """The weather of a day."""

    city: Literal["Paris", "Rome"]
    warm: bool


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    assert city == "Paris"
    return WEATHER


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """Return the paths of both models by what they do and by backend, over the same weights."""
    folder = tmp_path_factory.mktemp("clients")
    folders = {
        "acts": make_acting(folder / "acts"),
        "random": make_llama(folder / "random", max_position_embeddings=2048),
    }
    found = {(name, "text"): str(path) for name, path in folders.items()}
    for name, path in folders.items():
        found[name, "gguf"] = str(make_gguf_from_transformers(folder / f"{name}-gguf" / "model.gguf", path))
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture(params=BACKENDS)
def acting(request: pytest.FixtureRequest, models: dict[tuple[str, str], str]) -> str:
    return models["acts", request.param]


@pytest.fixture(params=BACKENDS)
def guided(request: pytest.FixtureRequest, models: dict[tuple[str, str], str]) -> str:
    return models["random", request.param]


class TestOpenAI:
    """The official SDK."""

    tools: Any = [openai.pydantic_function_tool(WEATHER_OF)]
    question: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]

    def result(self, call: Any) -> Any:
        return {"role": "tool", "tool_call_id": call.id, "content": get_weather(**json.loads(call.function.arguments))}

    def test_a_loop_of_whole_answers_ends_with_what_the_tool_told(self, client: openai.OpenAI, acting: str) -> None:
        create = client.chat.completions.create
        (asked,) = create(model=acting, messages=self.question, tools=self.tools).choices
        (call,) = asked.message.tool_calls or []
        assert (asked.finish_reason, asked.message.content) == ("tool_calls", None)
        assert asked.message.reasoning_content == asked.message.reasoning == THOUGHT  # type: ignore[attr-defined]
        turns: Any = [*self.question, asked.message, self.result(call)]
        (told,) = create(model=acting, messages=turns, tools=self.tools).choices
        assert (told.message.content, told.finish_reason, told.message.tool_calls) == (ANSWER, "stop", None)

    def test_a_stream_has_the_same_answer_as_events(self, client: openai.OpenAI, acting: str) -> None:
        fields: Any = {"model": acting, "messages": self.question, "tools": self.tools}
        with client.chat.completions.stream(**fields, stream_options={"include_usage": True}) as stream:
            events = list(stream)
            found = stream.get_final_completion()
        assert not any(event.delta for event in events if event.type == "content.delta")
        assert "tool_calls.function.arguments.done" in [event.type for event in events]
        deltas = [e.arguments_delta for e in events if e.type == "tool_calls.function.arguments.delta"]
        (call,) = found.choices[0].message.tool_calls or []
        assert json.loads("".join(deltas)) == json.loads(call.function.arguments) == ARGUMENTS
        assert call.function.parsed_arguments is not None
        used, expected = found.usage, client.chat.completions.create(**fields).usage
        assert found.choices[0].message.reasoning_content == THOUGHT  # type: ignore[attr-defined]
        assert used is not None
        assert expected is not None
        assert (used.prompt_tokens, used.completion_tokens) == (expected.prompt_tokens, expected.completion_tokens)
        turns: Any = [*self.question, found.choices[0].message.to_dict(), self.result(call)]
        with client.chat.completions.stream(**{**fields, "messages": turns}) as stream:
            assert "".join(event.delta for event in stream if event.type == "content.delta") == ANSWER

    def test_an_answer_is_parsed_into_a_model_of_pydantic(self, client: openai.OpenAI, guided: str) -> None:
        fields: Any = {"model": guided, "messages": self.question, "response_format": Forecast}
        (choice,) = client.chat.completions.parse(**fields).choices
        assert isinstance(choice.message.parsed, Forecast)
        with client.chat.completions.stream(**fields) as stream:
            done = [event.parsed for event in stream if event.type == "content.done"]
        assert [type(parsed) for parsed in done] == [Forecast]

    def test_a_call_that_must_be_made_is_parsed_too(self, client: openai.OpenAI, guided: str) -> None:
        tools: Any = [openai.pydantic_function_tool(Forecast), *self.tools]
        choice: Any = {"type": "function", "function": {"name": "Forecast"}}
        found = client.chat.completions.parse(model=guided, messages=self.question, tools=tools, tool_choice=choice)
        (call,) = found.choices[0].message.tool_calls or []
        assert isinstance(call.function.parsed_arguments, Forecast)
        assert found.choices[0].finish_reason in ("stop", "tool_calls")

    def test_a_choice_is_one_of_those_given(self, client: openai.OpenAI, guided: str) -> None:
        extra = {"structured_outputs": {"choice": ["sun", "rain"]}}
        found = client.chat.completions.create(model=guided, messages=self.question, n=3, extra_body=extra)
        assert {choice.message.content for choice in found.choices} <= {"sun", "rain"}


class TestLangChain:
    """LangChain's class for OpenAI's API."""

    @pytest.fixture
    def chat(self, server: Server) -> Iterator[Callable[..., ChatOpenAI]]:
        with httpx.Client() as http:
            given: Any = {"base_url": f"{server.url}/v1", "api_key": "none", "max_retries": 0, "stream_usage": True}
            yield lambda model, **more: ChatOpenAI(model=model, http_client=http, **given, **more)

    @pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
    def test_a_loop_ends_with_what_the_tool_told(
        self, chat: Callable[..., ChatOpenAI], acting: str, responses: bool
    ) -> None:
        found = tool(get_weather)
        bound = chat(acting, use_responses_api=responses).bind_tools([found])
        asked = bound.invoke([HumanMessage(QUESTION)])
        assert isinstance(asked, AIMessage)
        results = [found.invoke(call) for call in asked.tool_calls]
        assert [type(result) for result in results] == [ToolMessage]
        assert bound.invoke([HumanMessage(QUESTION), asked, *results]).text == ANSWER

    def test_a_stream_adds_up_to_the_same_call(self, chat: Callable[..., ChatOpenAI], acting: str) -> None:
        bound = chat(acting).bind_tools([tool(get_weather)])
        whole: Any = None
        for chunk in bound.stream(QUESTION):
            assert isinstance(chunk, AIMessageChunk)
            whole = chunk if whole is None else whole + chunk
        (call,) = whole.tool_calls
        assert (call["name"], call["args"]) == ("get_weather", ARGUMENTS)
        assert whole.response_metadata["finish_reason"] == "tool_calls"
        assert whole.usage_metadata["output_token_details"]["reasoning"] > 0

    @pytest.mark.parametrize("method", ["json_schema", "function_calling"])
    def test_structured_output_is_a_model_of_pydantic(
        self, chat: Callable[..., ChatOpenAI], guided: str, method: Any
    ) -> None:
        assert isinstance(chat(guided).with_structured_output(Forecast, method=method).invoke(QUESTION), Forecast)


class TestPydanticAI:
    """An agent of pydantic-ai, which runs the loop itself."""

    def run(self, server: Server, name: str, kind: Any = OpenAIChatModel, **options: Any) -> AgentRunResult[Any]:
        async def main() -> AgentRunResult[Any]:
            async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
                model = kind(name, provider=OpenAIProvider(openai_client=client))
                return await Agent(model, **options).run(QUESTION)

        return asyncio.run(main())

    def test_an_agent_calls_the_tool_and_tells(self, server: Server, acting: str) -> None:
        run = self.run(server, acting, tools=[get_weather])
        assert run.output == ANSWER
        kinds = [part.part_kind for one in run.all_messages() for part in one.parts]
        assert kinds == ["user-prompt", "thinking", "tool-call", "tool-return", "text"]

    @pytest.mark.parametrize("kind", [ToolOutput, NativeOutput])
    def test_the_output_of_an_agent_follows_its_type(self, server: Server, guided: str, kind: Any) -> None:
        assert isinstance(self.run(server, guided, output_type=kind(Forecast)).output, Forecast)

    def test_an_agent_of_responses_does_the_same(self, server: Server, acting: str) -> None:
        assert self.run(server, acting, OpenAIResponsesModel, tools=[get_weather]).output == ANSWER


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_runner_of_responses_runs_the_tool(client: openai.OpenAI, acting: str, stream: bool) -> None:
    schema: Any = openai.pydantic_function_tool(WEATHER_OF)["function"]
    function = RegisteredFunction({"type": "function", **schema}, lambda arguments: get_weather(**arguments))  # type: ignore[arg-type]
    runner = ResponsesToolRunner(functions=[function])
    found = runner.run(client, {"model": acting, "input": QUESTION}, stream=stream, max_steps=3)
    assert found.output_text == ANSWER


def test_the_runner_of_anthropics_client_runs_the_tool(server: Server, acting: str) -> None:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model=acting,
            max_tokens=100,
            messages=[{"role": "user", "content": QUESTION}],
            tools=[anthropic.beta_tool(get_weather)],
        )
        turns = list(runner)
    assert [[block.type for block in turn.content] for turn in turns] == [["thinking", "tool_use"], ["text"]]
    assert turns[-1].content[0].text == ANSWER  # type: ignore[union-attr]


def followed(guide: str, url: str, model: str) -> None:
    """Run all that a guide shows, with a server and a model of ours."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (GUIDES / guide).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    program = "\n".join(blocks).replace("http://127.0.0.1:11540", url).replace("Qwen/Qwen3-4B", model)
    shown: dict[str, Any] = {}
    exec(compile(program, guide, "exec"), shown)
    shown["client"].close()


def test_what_the_guide_to_tools_shows_works(server: Server, acting: str, capsys: pytest.CaptureFixture[str]) -> None:
    followed("call-tools.md", server.url, acting)
    assert capsys.readouterr().out == f"get_weather {ARGUMENTS}\n{ANSWER}\n"


def test_what_the_guide_to_thoughts_shows_works(
    server: Server, acting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    followed("use-reasoning-models.md", server.url, acting)
    thought, _, count = capsys.readouterr().out.partition("\n")
    assert thought == THOUGHT
    assert int(count.split()[-1]) > 0
