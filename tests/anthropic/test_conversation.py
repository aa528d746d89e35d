"""What Anthropic's turns become for a model, and how errors speak of them."""

import json
from typing import Any

import pytest

from universal_core.anthropic.bodies import CountBody, MessagesBody
from universal_core.errors import BadRequest, QueueFull, UnsupportedField
from universal_core.http import decode
from universal_core.messages import ChatMessage, ImagePart, TextPart, ToolInvocation
from universal_core.openai import naming


def body(*turns: Any, **fields: Any) -> MessagesBody:
    messages = [{"role": role, "content": content} for role, content in turns]
    return decode(json.dumps({"max_tokens": 9, "messages": messages, **fields}).encode(), MessagesBody)


def messages(*turns: Any, **fields: Any) -> tuple[ChatMessage, ...]:
    return body(*turns, **fields).to_request().messages


def shown(found: tuple[ChatMessage, ...]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in found]


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


def picture(url: str = "https://example.org/x.png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


def result(content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "c1", "content": content, **fields}


CALL = {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1, "b": [True, None]}}


def test_the_system_prompt_comes_first() -> None:
    assert shown(messages(("user", "hi"), system="Be brief.")) == [("system", "Be brief."), ("user", "hi")]
    blocks = [text("One.", cache_control={"type": "ephemeral", "ttl": "1h"}), text("Two.")]
    assert shown(messages(("user", "hi"), system=blocks))[0] == ("system", "One.\n\nTwo.")
    assert shown(messages(("user", "hi"), system="")) == [("user", "hi")]


def test_what_agents_send_for_their_account_is_no_part_of_the_system_prompt() -> None:
    blocks = [text("x-anthropic-billing-header: cc_version=2; cch=ab12;"), text("You are an agent.")]
    assert shown(messages(("user", "hi"), system=blocks))[0] == ("system", "You are an agent.")


def test_turns_of_one_role_are_one() -> None:
    turns = messages(
        ("user", "a"), ("user", [text("b"), text("c")]), ("assistant", "d"), ("assistant", "e"), ("user", "")
    )
    assert shown(turns) == [("user", "a\n\nb\n\nc"), ("assistant", "d\n\ne"), ("user", "")]


def test_what_an_assistant_wrote_is_put_together_as_it_was() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        text("I "),
        text("add.", citations=None),
        CALL,
    ]
    _, turn, _ = messages(("user", "hi"), ("assistant", blocks), ("user", [result("3")]))
    arguments = '{"a":1,"b":[true,null]}'
    assert turn == ChatMessage(
        role="assistant",
        content=(TextPart(text="I "), TextPart(text="add.")),
        reasoning="hm",
        tool_calls=(ToolInvocation(id="c1", name="add", arguments=arguments),),
    )


def test_results_are_turns_of_their_tools_before_the_words_of_the_user() -> None:
    content = [text("go on"), result("3"), result([text("4"), text("5")], tool_use_id="c2"), result(None)]
    found = messages(("user", "hi"), ("assistant", [CALL, {**CALL, "id": "c2"}]), ("user", content))
    assert shown(found)[2:] == [("tool", "3"), ("tool", "4\n\n5"), ("tool", ""), ("user", "go on")]
    assert [message.tool_call_id for message in found[2:]] == ["c1", "c2", "c1", None]


def test_a_result_that_is_an_error_says_so() -> None:
    content = [
        result("no file", is_error=True),
        result(None, is_error=True),
        result([text("a"), text("b")], is_error=True),
    ]
    found = messages(("user", "hi"), ("assistant", [CALL]), ("user", content))
    assert [message.text for message in found[2:]] == ["Error: no file", "Error", "Error: a\n\nb"]


def test_documents_and_search_results_are_text() -> None:
    document = {
        "type": "document",
        "title": "Llamas",
        "context": "From a book.",
        "source": {"type": "text", "media_type": "text/plain", "data": "They hum."},
    }
    blocks = {"type": "document", "source": {"type": "content", "content": [text("one"), text("two")]}}
    search = {"type": "search_result", "title": "T", "source": "https://s", "content": [text("found")]}
    (turn,) = messages(("user", [document, blocks, search, text("And?")]))
    assert turn.text == "Llamas\n\nFrom a book.\n\nThey hum.\n\none\n\ntwo\n\nT\nhttps://s\n\nfound\n\nAnd?"


def test_pictures_keep_their_places_and_are_read_later() -> None:
    bytes_of = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    found = body(("user", [bytes_of, text("and"), picture()]), system="s")
    assert found.conversation.sources == {
        "messages[1].content[0]": "data:image/png;base64,AAAA",
        "messages[1].content[2]": "https://example.org/x.png",
    }
    media = {name: name.encode() for name in found.conversation.sources}
    first, second, third = found.to_request(media).messages[1].content
    assert (first, second) == (ImagePart(data=b"messages[1].content[0]"), TextPart(text="and"))
    assert third == ImagePart(data=b"messages[1].content[2]")


def test_pictures_of_results_are_shown_by_the_user_who_follows() -> None:
    document = {"type": "document", "source": {"type": "content", "content": [text("page"), picture("https://p")]}}
    content = [result([text("look"), picture(), document]), text("What is it?")]
    found = body(("user", "hi"), ("assistant", [CALL]), ("user", content))
    tool, user = found.to_request().messages[2:]
    assert (tool.role, tool.text) == ("tool", "look\n\npage")
    assert [type(part) for part in user.content] == [ImagePart, ImagePart, TextPart]
    assert list(found.conversation.sources.values()) == ["https://example.org/x.png", "https://p"]
    places = found.conversation.drafts[-1].places
    assert places == [
        "messages[2].content[0].content[1]",
        "messages[2].content[0].content[2].source.content[1]",
        "messages[2].content[1]",
    ]


def test_a_last_turn_of_the_assistant_is_continued() -> None:
    request = body(("user", "hi"), ("assistant", "The answer is (")).to_request()
    assert request.chat_template_kwargs == {"continue_final_message": True}
    assert shown(request.messages)[-1] == ("assistant", "The answer is (")
    request = body(("user", "hi"), ("assistant", "")).to_request()
    assert (request.chat_template_kwargs, shown(request.messages)) == ({}, [("user", "hi")])


def test_instructions_may_come_later() -> None:
    assert shown(messages(("user", "hi"), ("system", "Now brief."), ("user", [text("so")])))[1] == (
        "system",
        "Now brief.",
    )


@pytest.mark.parametrize(
    ("turn", "place"),
    [
        (("assistant", [picture()]), "messages[1].content[0].type"),
        (("user", [CALL]), "messages[1].content[0].type"),
        (
            ("user", [{"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}]),
            "messages[1].content[0].type",
        ),
        (
            ("user", [{"type": "image", "source": {"type": "file", "file_id": "f"}}]),
            "messages[1].content[0].source.type",
        ),
        (
            ("user", [{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": ""}}]),
            "messages[1].content[0].source.type",
        ),
        (("user", []), "messages[1].content"),
        (("assistant", [CALL]), "messages[1]"),
        (("user", [text("so"), result("3")]), "messages[1].content[1].tool_use_id"),
    ],
    ids=[
        *("a picture by the assistant", "a call by the user", "a server tool", "a file", "a pdf", "nothing", "a call"),
        "a result",
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(turn: Any, place: str) -> None:
    with pytest.raises(BadRequest) as raised:
        messages(("user", "hi"), turn)
    assert raised.value.param == place


def test_every_call_has_its_result() -> None:
    calls = [CALL, {**CALL, "id": "c2"}]
    with pytest.raises(BadRequest, match="tool_result block with the tool_use_id c2") as raised:
        messages(("user", "hi"), ("assistant", calls), ("user", [result("3"), text("never mind")]))
    assert raised.value.param == "messages[1]"


@pytest.mark.parametrize(
    ("param", "name"),
    [
        ("messages[0]", "system"),
        ("messages[0].content[1]", "system[1]"),
        ("messages[1].content[1].image_url", "messages[1].content[0]"),
        ("messages[2].tool_calls", "messages[2]"),
        ("messages[3].role", "messages[3].content[0]"),
        ("messages[9].content[0]", "messages"),
        ("messages", "messages"),
        ("tools[2].function.parameters.type", "tools[2].input_schema.type"),
        ("tools[2].parameters", "tools[2].input_schema"),
        ("tools[0].function.name", "tools[0].name"),
        ("stop", "stop_sequences"),
        ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
        ("thinking_budget", "thinking.budget_tokens"),
        ("reasoning_effort", "thinking"),
        ("chat_template_kwargs.continue_final_message", "messages[4].continue_final_message"),
        ("top_k", "top_k"),
    ],
)
def test_errors_name_what_the_client_sent(param: str, name: str) -> None:
    found = body(
        ("user", "a"),
        ("user", [picture()]),
        ("assistant", [CALL]),
        ("user", [result("3")]),
        ("assistant", "so"),
        system=[text("s"), text("t")],
    )
    with pytest.raises(UnsupportedField) as raised, naming(found.names.of):
        raise UnsupportedField(f"{param}: not here, {param}", param=param)
    assert (raised.value.param, raised.value.message) == (name, f"{name}: not here, {param}")


def test_errors_without_a_field_stay_as_they_are() -> None:
    error = QueueFull("messages wait", retry_after=2)
    with pytest.raises(QueueFull) as raised, naming(body(("user", "a")).names.of):
        raise error
    assert raised.value is error


def test_effort_is_named_where_it_was_asked_for() -> None:
    found = body(("user", "a"), output_config={"effort": "high"})
    assert found.names.of("reasoning_effort") == "output_config.effort"


def test_counting_reads_the_same_conversation() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]
    tool = {"name": "f", "input_schema": {"type": "object"}}
    found = {"messages": turns, "system": "s", "tools": [tool]}
    counted = decode(json.dumps(found).encode(), CountBody).to_request()
    asked = decode(json.dumps({**found, "max_tokens": 1}).encode(), MessagesBody).to_request()
    for name in ("messages", "tools", "chat_template_kwargs"):
        assert getattr(counted, name) == getattr(asked, name)
