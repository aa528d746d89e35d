"""The format for models without a chat template."""

from universal_core import ChatMessage, TextPart
from universal_core.conversation import PLAIN_STOPS, StopMatcher, render_plain


def turn(role: str, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=(TextPart(text=text),))  # type: ignore[arg-type]


def test_a_conversation_ends_where_the_assistant_begins() -> None:
    turns = [turn("system", "Be brief."), turn("user", "Hello! "), turn("assistant", "Hi."), turn("user", "Llamas?")]
    assert render_plain(turns) == "Be brief.\n\nUser:\nHello!\n\nAssistant:\nHi.\n\nUser:\nLlamas?\n\nAssistant:\n"


def test_the_last_turn_may_go_on_and_nothing_need_begin() -> None:
    turns = [turn("user", "Hello!"), turn("assistant", " Hi. I am ")]
    assert render_plain(turns, continues=True) == "User:\nHello!\n\nAssistant:\nHi. I am "
    assert render_plain(turns, opens=False) == "User:\nHello!\n\nAssistant:\nHi. I am"
    assert render_plain([], continues=True) == ""


def test_a_developer_is_the_system() -> None:
    assert (
        render_plain([turn("developer", "Be brief."), turn("user", "Hi")]) == "Be brief.\n\nUser:\nHi\n\nAssistant:\n"
    )


def test_the_format_stops_a_model_that_goes_on_with_the_users_turn() -> None:
    answer = "A llama is an animal.\n\nUser:\nReally?"
    assert StopMatcher(PLAIN_STOPS).feed(answer) == ("A llama is an animal.", True)
