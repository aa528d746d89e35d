"""What a chat is written with: the model's templates or configured ones, turns that go on, conversations cut to fit."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tiny.answers import alike, chat_request, completion
from tiny.causal import make_llama, make_scripted
from universal_core import BadRequest, ChatRequest, ContextLengthExceeded, Event, Tool, Truncated

SCRIPT = ["Hello", ", wor", "ld", "! S", "ee", " you."]
CONTINUED = {"continue_final_message": True}
TOOL = Tool(name="now")
LONG = [f"turn number {place} of many" for place in range(41)]


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model that always says ``Hello, world! See you.``"""
    return make_scripted(tmp_path_factory.mktemp("hello"), SCRIPT)


def read(ask: Any, model: Any, *requests: ChatRequest) -> list[int]:
    """Return how many tokens the prompts of some chats have."""
    return [answer.usage.prompt_tokens for answer in ask(model, *requests)]


@pytest.mark.parametrize("as_file", [True, False])
def test_a_configured_template_goes_before_the_models_own(
    as_file: bool, tmp_path: Path, folder: Any, open_model: Any, ask: Any
) -> None:
    template = "{{ messages[-1].content }} world"
    (tmp_path / "chat.jinja").write_text(template)
    model = open_model(folder("llama"), chat_template=str(tmp_path / "chat.jinja") if as_file else template)
    chat, plain = ask(
        model, chat_request("hello", max_tokens=4, temperature=0.0), completion("hello world", max_tokens=4)
    )
    assert alike(chat, plain)


@pytest.mark.parametrize("form", ["folder", "list"])
def test_a_template_for_tools_is_read_from_where_models_keep_it(
    form: str, tmp_path: Path, open_model: Any, ask: Any
) -> None:
    path = make_llama(tmp_path, chat_template="{{ 'the' }}")
    with_tools = "{% for tool in tools %}{{ tool.function.name }}{% endfor %} {{ messages[-1].content }}"
    if form == "folder":
        (path / "additional_chat_templates").mkdir()
        (path / "additional_chat_templates" / "tool_use.jinja").write_text(with_tools)
    else:
        (path / "chat_template.jinja").unlink()
        named = [{"name": "default", "template": "{{ 'the' }}"}, {"name": "tool_use", "template": with_tools}]
        file = path / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": named}))
    model = open_model(path)
    plain, tools = read(ask, model, *(chat_request("hi", max_tokens=1, tools=found) for found in ((), (TOOL,))))
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert (plain, tools) == (len(tokenizer.encode("the")), len(tokenizer.encode(f"{TOOL.name} hi")))


@pytest.mark.parametrize("template", [True, False])
def test_the_last_turn_goes_on_with_its_spaces(template: bool, tmp_path: Path, open_model: Any, ask: Any) -> None:
    path = make_scripted(tmp_path, SCRIPT) if template else make_scripted(tmp_path, SCRIPT, chat_template=None)
    model = open_model(path)
    answered, one, two = ask(
        model,
        chat_request("hi"),
        chat_request("hi", "Hello", chat_template_kwargs=CONTINUED),
        chat_request("hi", "Hello, world! See", chat_template_kwargs=CONTINUED),
    )
    assert (answered.text, one.text, two.text) == ("Hello, world! See you.", ", world! See you.", " you.")
    assert one.by_index[0].pieces == SCRIPT[1:]


def test_a_turn_that_is_not_opened_has_fewer_tokens(hello: Path, open_model: Any, ask: Any) -> None:
    model = open_model(hello)
    closed = {"add_generation_prompt": False}
    opened, shut = read(ask, model, chat_request("hi"), chat_request("hi", chat_template_kwargs=closed))
    assert opened - shut == len(AutoTokenizer.from_pretrained(hello).encode("<|im_start|>assistant\n"))


def test_the_plain_format_knows_these_two_arguments_alone(tmp_path: Path, open_model: Any, ask: Any) -> None:
    model = open_model(make_scripted(tmp_path, SCRIPT, chat_template=None))
    for arguments in ({"enable_thinking": False}, {"tools": []}, {**CONTINUED, "add_generation_prompt": True}):
        with pytest.raises(BadRequest) as caught:
            ask(model, chat_request("a", "b", chat_template_kwargs=arguments))
        assert caught.value.param == "chat_template_kwargs"


def test_the_oldest_turns_are_left_out_where_that_is_asked_for(folder: Any, open_model: Any, ask: Any) -> None:
    model = open_model(folder("llama"), n_ctx=200)
    fields = {"max_tokens": 16, "temperature": 0.0}
    with pytest.raises(ContextLengthExceeded, match="200 tokens"):
        ask(model, chat_request(*LONG, **fields))
    (cut,) = ask(model, chat_request(*LONG, truncation="auto", **fields))
    assert cut.dropped > 0
    (short,) = ask(model, chat_request(*LONG[cut.dropped :], **fields))
    assert alike(cut, short)
    assert short.dropped == 0
    assert cut.usage.prompt_tokens + 16 <= 200
    with pytest.raises(ContextLengthExceeded):
        ask(model, chat_request(*LONG[cut.dropped - 2 :], **fields))


def test_what_was_left_out_is_told_before_the_answer(folder: Any, open_model: Any) -> None:
    model = open_model(folder("llama"), n_ctx=200)

    async def events(request: ChatRequest) -> list[Event]:
        return [event async for event in model.chat(request)]

    first, *rest = asyncio.run(events(chat_request(*LONG, truncation="auto", max_tokens=4)))
    assert isinstance(first, Truncated)
    assert not any(isinstance(event, Truncated) for event in rest)


def test_a_last_turn_that_is_too_long_is_refused_with_the_numbers(llama: Any, ask: Any) -> None:
    with pytest.raises(ContextLengthExceeded, match=r"512 tokens. The prompt has \d+ tokens"):
        ask(llama, chat_request("a", "b", "hello " * 600, truncation="auto"))


def test_a_conversation_that_fits_is_left_alone(llama: Any, ask: Any) -> None:
    whole, plain = ask(
        llama,
        chat_request("a", "b", "c", truncation="auto", max_tokens=4, temperature=0.0),
        chat_request("a", "b", "c", max_tokens=4, temperature=0.0),
    )
    assert alike(whole, plain)
