"""Conversations that are too long: the oldest exchanges are left out, as few as possible."""

from collections.abc import Sequence
from typing import Any

import pytest

from universal_core import BadRequest, ChatMessage, ChatRequest, ContextLengthExceeded, Role, TextPart, ToolInvocation
from universal_core.conversation import ChatTemplate
from universal_core.conversation.truncation import ChatReader, cuts_of, read_within
from universal_core.messages import Truncated

ALTERNATING = (
    "{% for m in messages if m.role != 'system' %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ m.content }} {% endfor %}"
)


def turn(role: Role, words: str = "word", **fields: Any) -> ChatMessage:
    return ChatMessage(role=role, content=(TextPart(text=words),), **fields)


CALL = ToolInvocation(id="1", name="f", arguments="{}")
SYSTEM, DEVELOPER = turn("system", "s"), turn("developer", "d")
USER, ASSISTANT = turn("user"), turn("assistant")
CALLS = (USER, ChatMessage(role="assistant", tool_calls=(CALL,)), turn("tool", tool_call_id="1"), ASSISTANT)
LAST = (turn("user", "last"),)


def words(request: ChatRequest) -> list[int]:
    """Return a token for each word of a conversation, and one for each turn."""
    return [0] * sum(1 + len(message.text.split()) for message in request.messages)


def request(*messages: ChatMessage, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=messages, truncation="auto", **fields)


@pytest.mark.parametrize(
    ("messages", "lengths"),
    [
        ((USER,), [1]),
        ((USER, ASSISTANT, *LAST), [3, 1]),
        ((SYSTEM, DEVELOPER, USER, ASSISTANT, *LAST), [5, 3]),
        ((SYSTEM, *CALLS, USER, ASSISTANT, *LAST), [8, 4, 2]),
        ((USER, USER, *LAST), [3, 2, 1]),
        ((ASSISTANT, USER, ASSISTANT, *LAST), [4, 3, 1]),
        ((SYSTEM, *LAST, *CALLS[1:]), [5]),
        ((SYSTEM, ASSISTANT), [2]),
        ((SYSTEM,), [1]),
        ((USER, ASSISTANT, SYSTEM, *LAST), [4, 1]),
    ],
)
def test_exchanges_are_left_out_whole_and_the_system_and_the_last_turn_stay(
    messages: Sequence[ChatMessage], lengths: list[int]
) -> None:
    cuts = cuts_of(messages)
    assert [len(cut) for cut in cuts] == lengths
    for cut in cuts:
        calls = {call.id for message in cut for call in message.tool_calls}
        assert calls == {message.tool_call_id for message in cut if message.role == "tool"}
        head = sum(message in (SYSTEM, DEVELOPER) for message in messages[:2])
        assert (cut[:head], cut[-1]) == (tuple(messages[:head]), messages[-1])


def test_as_few_as_possible_are_left_out() -> None:
    turns = (SYSTEM, *(USER, ASSISTANT) * 40, *LAST)
    for context in range(12, 170):
        tokens, dropped = read_within(request(*turns, max_tokens=5), words, context)
        assert len(tokens) + 5 <= context
        assert dropped == 0 or len(tokens) + 5 + 4 > context, "one exchange more would not have fitted"
        assert dropped % 2 == 0


def test_only_a_few_lengths_are_tried() -> None:
    tried = []

    def counting(one: ChatRequest) -> list[int]:
        tried.append(len(one.messages))
        return words(one)

    read_within(request(*(USER, ASSISTANT) * 500, *LAST, max_tokens=5), counting, 1000)
    assert len(tried) <= 11


@pytest.mark.parametrize(("context", "room"), [(100, 25), (8000, 1024)])
def test_without_max_tokens_some_room_is_left(context: int, room: int) -> None:
    tokens, dropped = read_within(request(*(USER, ASSISTANT) * 5000, *LAST), words, context)
    assert dropped > 0
    assert context - room - 4 < len(tokens) <= context - room


def test_what_does_not_fit_in_any_case_is_read_at_its_shortest() -> None:
    tokens, dropped = read_within(request(SYSTEM, USER, ASSISTANT, turn("user", "w " * 50), max_tokens=5), words, 20)
    assert (len(tokens), dropped) == (53, 2)


def test_a_reader_that_refuses_what_is_too_long_is_asked_for_less() -> None:
    def strict(one: ChatRequest) -> list[int]:
        if len(words(one)) > 20:
            raise ContextLengthExceeded("too long", param="messages")
        return words(one)

    tokens, dropped = read_within(request(*(USER, ASSISTANT) * 20, *LAST, max_tokens=5), strict, 1000)
    assert (len(tokens), dropped) == (18, 32)
    with pytest.raises(ContextLengthExceeded):
        read_within(request(turn("user", "w " * 50), max_tokens=5), strict, 1000)


def test_a_conversation_that_is_wrong_by_itself_is_not_cut() -> None:
    def refusing(one: ChatRequest) -> list[int]:
        raise BadRequest("roles must alternate", param="messages")

    with pytest.raises(BadRequest, match="alternate"):
        read_within(request(*(USER, ASSISTANT) * 20, *LAST), refusing, 10)


def test_a_template_that_wants_roles_to_alternate_takes_what_is_left() -> None:
    template = ChatTemplate(ALTERNATING)

    def read(one: ChatRequest) -> list[int]:
        return [0] * len(template.render(one.messages).split())

    for context in range(8, 60):
        tokens, _ = read_within(request(SYSTEM, *(USER, ASSISTANT) * 20, *LAST, max_tokens=5), read, context)
        assert len(tokens) + 5 <= context


def test_a_ceiling_of_tokens_needs_no_more_room_than_usual() -> None:
    asked = request(*(USER, ASSISTANT) * 20, *LAST, max_tokens=32000, max_tokens_is_ceiling=True)
    assert read_within(asked, words, 40) == ([0] * 30, 26)


def test_nothing_is_left_out_unless_it_is_asked_for() -> None:
    long = ChatRequest(messages=(USER, ASSISTANT) * 20)
    reader = ChatReader(words, long)
    assert (len(reader.read(10)), reader.news()) == (80, [])
    reader = ChatReader(words, request(*(USER, ASSISTANT) * 20, *LAST, max_tokens=2))
    assert (len(reader.read(10)), reader.news()) == (6, [Truncated(messages=38)])
