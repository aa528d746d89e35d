"""/v1/responses as clients use it, unchanged, against a real server: conversations that outlive it, loops of tools.

One model thinks, calls a tool and tells what came of it; the other is random, and says only what a schema lets it.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pydantic
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

import openai
from server import Server, running_server
from tiny.acting import ANSWER, ARGUMENTS, THOUGHT, make_acting
from tiny.causal import make_llama
from tiny.gguf import make_gguf_from_transformers

QUESTION = "What is the weather in Paris?"
WEATHER = "18 degrees"
ENCRYPTED: Any = ["reasoning.encrypted_content"]


class Forecast(pydantic.BaseModel):
    """The weather of a day."""

    city: Literal["Paris", "Rome"]
    warm: bool


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    assert city == "Paris"
    return WEATHER


TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the paths of the models by name."""
    folder = tmp_path_factory.mktemp("responses")
    acts, random = make_acting(folder / "acts"), make_llama(folder / "random")
    gguf = make_gguf_from_transformers(folder / "gguf" / "model.gguf", acts)
    return {"acts": str(acts), "acts-gguf": str(gguf), "random": str(random)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("kept") / "responses.db"
    with running_server("--device", "cpu", "--responses-path", str(path)) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture(params=["acts", "acts-gguf"])
def acting(request: pytest.FixtureRequest, models: dict[str, str]) -> str:
    return models[request.param]


def outputs_of(response: Any) -> list[Any]:
    """Return what the tool gives for each call of a response."""
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": get_weather(**json.loads(item.arguments))}
        for item in response.output
        if item.type == "function_call"
    ]


class TestOpenAI:
    """The official SDK."""

    def test_a_loop_goes_on_from_a_stored_response(self, client: openai.OpenAI, acting: str) -> None:
        asked = client.responses.create(model=acting, input=QUESTION, tools=[TOOL])
        thoughts, call = asked.output
        assert thoughts.type == "reasoning"
        assert thoughts.content is not None
        assert thoughts.content[0].text == THOUGHT
        assert call.type == "function_call"
        assert (json.loads(call.arguments), asked.output_text) == (ARGUMENTS, "")
        told = client.responses.create(
            model=acting, input=outputs_of(asked), tools=[TOOL], previous_response_id=asked.id
        )
        assert (told.output_text, told.status) == (ANSWER, "completed")
        assert asked.usage is not None
        assert asked.usage.output_tokens_details.reasoning_tokens > 0

    def test_a_loop_carries_everything_itself(self, client: openai.OpenAI, acting: str) -> None:
        fields: Any = {"model": acting, "tools": [TOOL], "store": False, "include": ENCRYPTED}
        given: Any = [{"role": "user", "content": QUESTION}]
        asked = client.responses.create(input=given, **fields)
        told = client.responses.create(input=[*given, *asked.output, *outputs_of(asked)], **fields)
        assert told.output_text == ANSWER
        with pytest.raises(openai.NotFoundError, match="was not stored"):
            client.responses.retrieve(asked.id)

    def test_a_stream_has_the_same_answer_as_events(self, client: openai.OpenAI, acting: str) -> None:
        with client.responses.stream(model=acting, input=QUESTION, tools=[TOOL]) as stream:
            events = list(stream)
            asked = stream.get_final_response()
        kinds = list(dict.fromkeys(event.type.removeprefix("response.") for event in events))
        assert kinds == [
            *("created", "in_progress", "output_item.added", "content_part.added"),
            *("reasoning_text.delta", "reasoning_text.done", "content_part.done", "output_item.done"),
            *("function_call_arguments.delta", "function_call_arguments.done", "completed"),
        ]
        fields: Any = {"model": acting, "input": outputs_of(asked), "previous_response_id": asked.id}
        with client.responses.stream(**fields, tools=[TOOL]) as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
            assert "".join(deltas) == stream.get_final_response().output_text == ANSWER

    def test_an_answer_is_parsed_into_a_model_of_pydantic(self, client: openai.OpenAI, models: dict[str, str]) -> None:
        found = client.responses.parse(model=models["random"], input=QUESTION, text_format=Forecast)
        assert isinstance(found.output_parsed, Forecast)
        with client.responses.stream(model=models["random"], input=QUESTION, text_format=Forecast) as stream:
            assert isinstance(stream.get_final_response().output_parsed, Forecast)

    def test_logprobs_come_where_they_are_asked_for(self, client: openai.OpenAI, models: dict[str, str]) -> None:
        fields: Any = {"model": models["random"], "input": QUESTION, "max_output_tokens": 5}
        found = client.responses.create(**fields, include=["message.output_text.logprobs"], top_logprobs=2)
        (message,) = found.output
        assert message.type == "message"
        assert message.content[0].type == "output_text"
        tokens = message.content[0].logprobs or []
        assert tokens
        assert all(len(token.top_logprobs) == 2 for token in tokens)
        assert (found.status, found.incomplete_details and found.incomplete_details.reason) in (
            ("incomplete", "max_output_tokens"),
            ("completed", None),
        )

    def test_what_was_kept_is_shown_listed_counted_and_removed(self, client: openai.OpenAI) -> None:
        made = client.responses.create(model="echo/a", input=[{"role": "user", "content": "one"}] * 3)
        assert client.responses.retrieve(made.id) == made
        items = [item.to_dict() for item in client.responses.input_items.list(made.id, limit=2)]
        assert [item["content"] for item in items] == [[{"text": "one", "type": "input_text"}]] * 3
        count = client.responses.input_tokens.count(model="echo/a", input="one", previous_response_id=made.id)
        assert (count.object, count.input_tokens) == ("response.input_tokens", 4)
        client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(model="echo/a", input="two", previous_response_id=made.id)
        assert raised.value.code == "previous_response_not_found"


class TestLangChain:
    """LangChain's class for OpenAI's API."""

    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"store": False, "include": ENCRYPTED},
            {"use_previous_response_id": True},
            {"reasoning": {"summary": "auto"}},
        ],
        ids=["plain", "stateless", "stored", "summary"],
    )
    def test_a_loop_ends_with_what_the_tool_told(
        self, server: Server, models: dict[str, str], fields: dict[str, Any], streaming: bool
    ) -> None:
        with httpx.Client() as http:
            model = ChatOpenAI(
                model=models["acts"],
                base_url=f"{server.url}/v1",
                api_key=pydantic.SecretStr("none"),
                max_retries=0,
                http_client=http,
                use_responses_api=True,
                streaming=streaming,
                **fields,
            )
            agent = model.bind_tools([tool(get_weather)])
            asked = agent.invoke([HumanMessage(QUESTION)])
            assert isinstance(asked, AIMessage)
            (call,) = asked.tool_calls
            result = ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"])
            assert agent.invoke([HumanMessage(QUESTION), asked, result]).text == ANSWER


class TestPydanticAI:
    """An agent of pydantic-ai, which runs the loop itself."""

    def test_an_agent_runs_its_loop_and_remembers(self, server: Server, models: dict[str, str]) -> None:
        async def main() -> list[str]:
            async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
                model = OpenAIResponsesModel(models["acts"], provider=OpenAIProvider(openai_client=client))
                agent = Agent(model, instructions="Be brief.", tools=[get_weather])
                first = await agent.run(QUESTION)
                # What comes after an answer is another question, which this model answers by its call again.
                second = await agent.run(QUESTION, message_history=first.all_messages())
                return [first.output, second.output]

        assert asyncio.run(main()) == [ANSWER, ANSWER]


def test_a_conversation_outlives_the_server(tmp_path: Path) -> None:
    id: str | None = None
    for turns in (1, 3):
        with (
            running_server("--responses-path", str(tmp_path / "responses.db")) as server,
            openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
        ):
            found = client.responses.create(model="echo/a", input="hello", previous_response_id=id)
            assert found.usage is not None
            assert found.usage.input_tokens == turns
            id = found.id
