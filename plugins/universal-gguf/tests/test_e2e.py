"""OpenAI's SDK against a real server with every tiny model: whole, streamed, many at once, and when things go wrong."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import openai
from server import Server, running_server
from tiny.gguf import quantize

MODELS = ("llama", "qwen3", "gemma3", "mamba", "Q4_K_M", "Q8_0", "split", "scripted")
PROMPTS = [f"the {word} is number {place}" for place in range(8) for word in ("fox", "dog", "world", "tokenizer")]
NEVER_ENDS = {"0": -100, "2": -100}
ENTRY = """
[model.{name}]
model = "{file}"
options = {{n_ctx = 512, n_threads = 1, cache_type_k = "f32", cache_type_v = "f32", flash_attn = "off"}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, gguf_file: Any) -> Iterator[Server]:
    file = tmp_path_factory.mktemp("settings") / "universal.toml"
    file.write_text("".join(ENTRY.format(name=name, file=gguf_file(name)) for name in MODELS))
    with running_server("--config", str(file), "--device", "cpu") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def question(model: str, text: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": 16, **fields}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_answers_the_same_whole_and_streamed(model: str, client: openai.OpenAI) -> None:
    fields = question(model, "hello world")
    client.chat.completions.create(**fields)  # Reads the prompt; both of the next find it in the cache.
    whole = client.chat.completions.create(**fields)
    chunks = list(client.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert text == whole.choices[0].message.content
    assert (reasons[-1], set(reasons[:-1])) == (whole.choices[0].finish_reason, {None})
    assert whole.choices[0].finish_reason == ("stop" if model == "scripted" else whole.choices[0].finish_reason)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    if model == "scripted":
        assert text == "Hello, world! See you."


@pytest.mark.parametrize("model", ["llama", "Q8_0"])
def test_completions_tell_several_answers_and_log_probabilities(model: str, client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=model, prompt="hello", n=3, seed=5, temperature=1.0, logprobs=2, max_tokens=5, logit_bias=NEVER_ENDS
    )
    again = client.completions.create(
        model=model, prompt="hello", n=3, seed=5, temperature=1.0, max_tokens=5, logit_bias=NEVER_ENDS
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.text for choice in answer.choices] == [choice.text for choice in again.choices]
    assert all(len(choice.logprobs.token_logprobs) == 5 for choice in answer.choices)


def test_the_next_turn_is_told_what_was_cached(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(**question("scripted", "hi there, how are you?"))
    messages = [
        {"role": "user", "content": "hi there, how are you?"},
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "and now?"},
    ]
    second = client.chat.completions.create(**question("scripted", "") | {"messages": messages})
    assert second.usage.prompt_tokens_details.cached_tokens == first.usage.prompt_tokens + 6


def test_a_schema_is_kept_and_a_senseless_one_refused(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 18, "maximum": 99}},
        "required": ["age"],
        "additionalProperties": False,
    }

    def ask(wanted: dict[str, Any]) -> str:
        form = {"type": "json_schema", "json_schema": {"name": "person", "schema": wanted, "strict": True}}
        fields = question("llama", "hello", temperature=1, seed=3, max_tokens=200, response_format=form)
        return str(client.chat.completions.create(**fields).choices[0].message.content)

    assert 18 <= json.loads(ask(schema))["age"] <= 99
    with pytest.raises(openai.BadRequestError) as caught:
        ask({"type": "nonsense"})
    assert caught.value.param == "response_format.json_schema.schema"


def test_thirty_two_streams_at_once_do_not_mix(server: Server, client: openai.OpenAI) -> None:
    fields = [question("llama", text, max_tokens=24, logit_bias=NEVER_ENDS) for text in PROMPTS]
    expected = [client.chat.completions.create(**one).choices[0].message.content for one in fields]

    async def stream(several: openai.AsyncOpenAI, one: dict[str, Any]) -> str:
        chunks = await several.chat.completions.create(**one, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def together() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as several:
            return await asyncio.gather(*(stream(several, one) for one in fields))

    assert len(PROMPTS) == 32
    assert asyncio.run(together()) == expected
    assert len(set(expected)) > 16


def test_a_reader_who_goes_leaves_the_model_free(server: Server, client: openai.OpenAI) -> None:
    for _ in range(3):
        with client.chat.completions.create(
            **question("llama", "x", max_tokens=400, logit_bias=NEVER_ENDS), stream=True
        ) as stream:
            next(iter(stream))
    assert client.chat.completions.create(**question("llama", "hello")).usage.prompt_tokens > 0


def test_an_overflow_is_refused_and_a_larger_context_can_be_asked_for(client: openai.OpenAI) -> None:
    fields = {"model": "llama", "prompt": [60, 61, 62] * 200, "temperature": 0, "max_tokens": 4}
    with pytest.raises(openai.BadRequestError, match=r"512 tokens.*600 tokens") as caught:
        client.completions.create(**fields)
    assert caught.value.code == "context_length_exceeded"
    larger = client.completions.create(**fields, extra_body={"n_ctx": 1024})
    assert larger.usage.prompt_tokens == 600


def test_a_worker_that_is_killed_is_started_again(server: Server, client: openai.OpenAI) -> None:
    fields = question("mamba", "hello", logit_bias=NEVER_ENDS)
    expected = client.chat.completions.create(**fields).choices[0].message.content
    stream = client.chat.completions.create(**fields | {"max_tokens": 400}, stream=True)
    next(iter(stream))
    server.worker_of("mamba").kill()
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code == "worker_died"
    assert client.chat.completions.create(**fields).choices[0].message.content == expected


def test_what_llama_cpp_has_to_say_is_in_the_log_in_its_form(server: Server, client: openai.OpenAI) -> None:
    client.completions.create(model="gemma3", prompt="hello", max_tokens=1)
    bare = [line for line in server.lines if line.startswith(("llama_", "ggml_", "load", "print_info", "~llama", "."))]
    assert not bare


def test_a_quantization_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path, gguf_file: Any, client: openai.OpenAI
) -> None:
    for kind in ("Q4_K_M", "Q8_0"):
        quantize(gguf_file("llama"), tmp_path / f"tiny-{kind}.gguf", kind)
    assert client.completions.create(model=f"{tmp_path}:q8_0", prompt="hello", max_tokens=2).usage.completion_tokens
    with pytest.raises(openai.NotFoundError, match=r"(?s)Q4_K_M.*Q8_0"):
        client.completions.create(model=f"{tmp_path}:Q2_K", prompt="hello", max_tokens=2)
