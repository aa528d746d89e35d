"""Chat templates: the forms of well-known families, rendered as transformers renders them."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from tiny.templates import TEMPLATES
from tiny.tokenizers import byte_level_tokenizer
from universal_core import AudioPart, BadRequest, ChatMessage, ImagePart, LoadFailed, TextPart, Tool, ToolInvocation
from universal_core.conversation import ChatTemplate, configured_template
from universal_core.conversation.template import RESERVED

SYSTEM = {"role": "system", "content": "  Be brief.\n"}
HELLO = {"role": "user", "content": "Grüße & <b>hello</b> "}
ANSWER = {"role": "assistant", "content": "Yes.\n", "reasoning_content": "They greet.\n"}
AGAIN = {"role": "user", "content": "What's the weather in Paris?"}
ARGUMENTS = {"city": "Paris", "days": 2, "note": 'é"<'}
CALL = {"id": "call_0001", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": '{"sky": "clear"}', "tool_call_id": "call_0001", "name": "get_weather"}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one turn": [HELLO],
    "system turn": [SYSTEM, HELLO],
    "several turns": [HELLO, ANSWER, AGAIN],
    "all turns": [SYSTEM, HELLO, ANSWER, AGAIN],
    "calls": [SYSTEM, AGAIN, CALLING, RESULT],
    "after calls": [AGAIN, CALLING, RESULT, ANSWER, HELLO],
    "two systems": [SYSTEM, HELLO, SYSTEM, AGAIN],
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Tells it.", "parameters": PARAMETERS},
}
TOOL = Tool(name="get_weather", description="Tells it.", parameters=PARAMETERS)
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no prompt": {"add_generation_prompt": False},
    "no thinking": {"enable_thinking": False, "thinking": True, "reasoning_effort": "high"},
    "values": {"date_string": "1 May 2030", "controls": {"b": [1, "é"], "a": None}},
    "documents": {"documents": [{"title": "A", "text": "llama"}, {"title": "B", "text": "alpaca"}]},
    "continued": {"continue_final_message": True},
    "reasoning continued": {"continue_final_message": "reasoning_content"},
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    found: PreTrainedTokenizerBase = byte_level_tokenizer()
    return found


def message_of(turn: Mapping[str, Any]) -> ChatMessage:
    """Return a turn of transformers' as the domain's message, its arguments as JSON text."""
    calls = tuple(
        ToolInvocation(
            id=call["id"], name=call["function"]["name"], arguments=json.dumps(call["function"]["arguments"])
        )
        for call in turn.get("tool_calls", ())
    )
    return ChatMessage(
        role=turn["role"],
        content=(TextPart(text=turn["content"]),) if "content" in turn else (),
        reasoning=turn.get("reasoning_content"),
        tool_calls=calls,
        tool_call_id=turn.get("tool_call_id"),
    )


def ours(template: str, tokenizer: Any, turns: Any, tools: Any, arguments: Any) -> str | None:
    """Return what ChatTemplate makes of a conversation, None where it refuses."""
    compiled = ChatTemplate(template, tokens=tokenizer.special_tokens_map)
    try:
        return compiled.render([message_of(turn) for turn in turns], tools=tools, arguments=arguments)
    except BadRequest:
        return None


def theirs(template: str, tokenizer: Any, turns: Any, tools: Any, arguments: Any) -> str | None:
    """Return what transformers makes of it, None where the template refuses."""
    arguments = {"add_generation_prompt": not arguments.get("continue_final_message"), **arguments}
    try:
        return str(
            tokenizer.apply_chat_template(turns, tools=tools, chat_template=template, tokenize=False, **arguments)
        )
    except (TemplateError, TypeError, ValueError):
        return None


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_what_transformers_renders_is_rendered_the_same(name: str, conversation: str, tokenizer: Any) -> None:
    turns = CONVERSATIONS[conversation]
    for arguments in SETTINGS.values():
        for tools, wire in (((), None), ((TOOL,), [WEATHER])):
            expected = theirs(TEMPLATES[name], tokenizer, turns, wire, arguments)
            found = ours(TEMPLATES[name], tokenizer, turns, tools, arguments)
            if expected is not None or name != "deepseek" or CALLING not in turns:
                assert found == expected


def test_every_template_is_rendered_in_most_cases(tokenizer: Any) -> None:
    for name, template in TEMPLATES.items():
        found = [ours(template, tokenizer, turns, (TOOL,), {}) for turns in CONVERSATIONS.values()]
        assert sum(text is not None for text in found) >= (2 if name == "gemma" else 5), name


def test_a_template_that_takes_arguments_as_text_gets_them_as_text(tokenizer: Any) -> None:
    text = ours(TEMPLATES["deepseek"], tokenizer, [AGAIN, CALLING, RESULT], (), {})
    assert text is not None
    assert f"get_weather\n```json\n{json.dumps(ARGUMENTS)}\n```" in text


def test_arguments_that_are_no_object_stay_text() -> None:
    template = ChatTemplate("{{ messages[0].tool_calls[0].function.arguments }}")
    for text in ("not JSON", "[1]", "{"):
        calling = ChatMessage(role="assistant", tool_calls=(ToolInvocation(id="a", name="f", arguments=text),))
        assert template.render([calling]) == text
    calling = ChatMessage(role="assistant", tool_calls=(ToolInvocation(id="a", name="f", arguments=""),))
    assert template.render([calling]) == "{}"


def test_a_tool_without_parameters_takes_none(tokenizer: Any) -> None:
    text = ChatTemplate("{{ tools | tojson }}").render([user("hi")], tools=[Tool(name="now")])
    parameters = {"type": "object", "properties": {}}
    assert json.loads(text) == [{"type": "function", "function": {"name": "now", "parameters": parameters}}]


def user(*parts: str | ImagePart | AudioPart) -> ChatMessage:
    content = tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts)
    return ChatMessage(role="user", content=content)


IMAGE = ImagePart(data=b"a picture")
AUDIO = AudioPart(data=b"a recording", format="wav")


def test_text_parts_are_one_text_and_others_make_a_list() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m.content | tojson }}{% endfor %}")
    assert template.render([user("a", "b")]) == '"ab"'
    expected = [{"type": "image"}, {"type": "text", "text": "what?"}, {"type": "audio"}]
    assert json.loads(template.render([user(IMAGE, "what?", AUDIO)])) == expected


def test_a_template_that_knows_only_parts_gets_parts(tokenizer: Any) -> None:
    source = (
        "{% for m in messages %}{% for part in m.content %}{% if part.type == 'image' %}<image>"
        "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
    )
    assert ChatTemplate(source).render([user("hello"), user(IMAGE, "what?")]) == "hello<image>what?"
    assert ChatTemplate(source).render([user("hel"), user("a", "lo")], arguments=CONTINUED) == "helalo"


CONTINUED = {"continue_final_message": True}


@pytest.mark.parametrize(
    ("messages", "arguments", "words"),
    [
        ([], CONTINUED, "no text in content"),
        ([user("a")], {"continue_final_message": "reasoning_content"}, "no text in reasoning_content"),
        ([user(IMAGE)], CONTINUED, "no text in content"),
        ([user("left out")], CONTINUED, "does not show"),
    ],
)
def test_a_turn_that_cannot_be_continued_is_refused(messages: Any, arguments: Any, words: str) -> None:
    template = ChatTemplate("{% for m in messages %}{% if m.content != 'left out' %}content{% endif %}{% endfor %}")
    with pytest.raises(BadRequest, match=words) as caught:
        template.render(messages, arguments=arguments)
    assert caught.value.param == "messages"


def role(name: str, *parts: str) -> ChatMessage:
    return ChatMessage(role=name, content=tuple(TextPart(text=part) for part in parts))  # type: ignore[arg-type]


def guided(template: str, *roles: str) -> str:
    """Return what a template makes of some turns of one word, then a user's."""
    return ChatTemplate(template).render([*(role(name, f"<{name}>") for name in roles), user("hi")])


ANY_ROLE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
KNOWS_DEVELOPERS = ANY_ROLE + "{# developer #}"
FIRST_ALONE = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('must come first') }}"
    "{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
LAST_WINS = (
    "{% for m in messages if m.role == 'system' %}{% if loop.last %}[system]{{ m.content }}{% endif %}{% endfor %}"
    "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
DROPS_ROLES = "{% for m in messages if m.role in ('system', 'user') %}[{{ m.role }}]{{ m.content }}{% endfor %}"
GUIDE = "{% set guide = messages[0].role in ('system', 'developer') %}"
ONE_GUIDE = (
    GUIDE + "{% if guide %}[developer]{{ messages[0].content }}{% endif %}"
    "{% for m in messages if m.role == 'user' %}[user]{{ m.content }}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "roles", "text"),
    [
        (ANY_ROLE, ("developer",), "[system]<developer>[user]hi"),
        (DROPS_ROLES, ("developer",), "[system]<developer>[user]hi"),
        (KNOWS_DEVELOPERS, ("developer",), "[developer]<developer>[user]hi"),
        (ANY_ROLE, ("system", "developer"), "[system]<system>[system]<developer>[user]hi"),
        (KNOWS_DEVELOPERS, ("system", "developer"), "[system]<system>[developer]<developer>[user]hi"),
        (FIRST_ALONE, ("system", "developer"), "[system]<system>\n\n<developer>[user]hi"),
        (FIRST_ALONE, ("system", "system", "system"), "[system]<system>\n\n<system>\n\n<system>[user]hi"),
        (LAST_WINS, ("developer", "system"), "[system]<developer>\n\n<system>[user]hi"),
        (ONE_GUIDE, ("developer",), "[developer]<developer>[user]hi"),
        (ONE_GUIDE, ("system", "developer"), "[developer]<system>\n\n<developer>[user]hi"),
        (ONE_GUIDE, ("system",), "[developer]<system>[user]hi"),
    ],
)
def test_developers_are_the_system_where_a_template_does_not_know_them_and_nobody_is_left_out(
    template: str, roles: tuple[str, ...], text: str
) -> None:
    assert guided(template, *roles) == text


def test_a_system_turn_that_a_template_refuses_where_it_stands_stays_refused() -> None:
    with pytest.raises(BadRequest, match="must come first"):
        ChatTemplate(FIRST_ALONE).render([user("hi"), role("system", "be brief")])
    with pytest.raises(BadRequest, match="not supported"):
        guided("{% if messages[0].role == 'system' %}{{ raise_exception('not supported') }}{% endif %}", "developer")


def test_a_template_in_an_option_is_a_text_or_a_file(tmp_path: Path) -> None:
    assert configured_template(None) is None
    assert configured_template("{{ messages }}") == "{{ messages }}"
    (tmp_path / "chat.jinja").write_text("{{ 'é' }}", "utf-8")
    assert configured_template(str(tmp_path / "chat.jinja")) == "{{ 'é' }}"
    with pytest.raises(LoadFailed, match=r"neither a template nor a readable file: No such file"):
        configured_template(str(tmp_path / "other.jinja"))
    (tmp_path / "chat.jinja").write_bytes(b"\xff{{")
    with pytest.raises(LoadFailed, match="neither a template nor a readable file"):
        configured_template(str(tmp_path / "chat.jinja"))


def test_several_templates_are_chosen_by_name() -> None:
    both = ChatTemplate({"default": "plain", "tool_use": "tools", "rag": "{{ never compiled"})
    assert (both.render([user("a")]), both.render([user("a")], tools=[TOOL])) == ("plain", "tools")
    assert ChatTemplate({"default": "plain"}).render([user("a")], tools=[TOOL]) == "plain"
    with pytest.raises(LoadFailed, match="named rag, tool_use"):
        ChatTemplate({"tool_use": "a", "rag": "b"})


@pytest.mark.parametrize("source", ["{% if %}", "{{ unclosed", "{% generation %}open", "{{ a | no_such_filter }}"])
def test_a_template_that_does_not_compile_fails_the_load(source: str) -> None:
    with pytest.raises(LoadFailed, match="chat template is not valid"):
        ChatTemplate(source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ 1 + 'a' }}", "unsupported operand"),
        ("{{ nothing.at.all }}", "nothing"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ [].index(3) }}", "3 is not in list"),
        ("{% include 'other' %}", "no loader"),
        ("{{ range(10 ** 9) }}", "too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
    ],
)
def test_what_a_template_refuses_is_the_requests_fault_in_its_words(source: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        ChatTemplate(source).render([user("a")])
    assert caught.value.param == "messages"


def test_what_a_request_may_not_set_is_what_transformers_takes_for_itself() -> None:
    taken = set(inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters)
    free = {"documents", "add_generation_prompt", "continue_final_message", "kwargs"}
    assert (taken - free) | {"messages"} == RESERVED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(({name: None}, f"may not set {name}") for name in sorted(RESERVED)),
        ({"continue_final_message": 1}, "true, false or the name"),
        ({"continue_final_message": True, "add_generation_prompt": True}, "exclude each other"),
        ({"documents": "text"}, "list of objects"),
    ],
)
def test_arguments_that_may_not_be_set_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        ChatTemplate("{{ messages }}").render([user("a")], arguments=arguments)
    assert caught.value.param == "chat_template_kwargs"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__ }}",
        "{{ ('' | attr('__class__')).__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ '{0.__class__}'.format_map({'0': ''}) }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ cycler.__init__.__globals__.os.getcwd() }}",
        "{{ raise_exception.__globals__['json'].dumps(1) }}",
        "{{ strftime_now.__globals__ ['json'].dumps(1)}}",
        "{{ self.__init__.__globals__ }}{{ self._TemplateReference__context.environment }}",
        "{{ namespace.__init__.__globals__.keys() }}",
        "{% set ns = namespace() %}{% set ns.__class__ = dict %}",
        "{{ namespace(**{'__class__': 1}) }}",
        "{{ dict.__call__.__globals__.keys() }}",
        "{{ dict.mro() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{{ messages[0].clear() }}",
        "{{ dict.update(messages[0], role='system') }}",
        "{{ (messages | map(attribute='__class__') | list)[0].__mro__ }}",
        "{% set g = (x for x in []) %}",
    ],
)
def test_a_hostile_template_does_not_leave_the_sandbox(source: str) -> None:
    with pytest.raises((BadRequest, LoadFailed)):
        ChatTemplate(source).render([user("a")])


def test_rendering_changes_nothing_that_it_is_given() -> None:
    arguments = {"list": [1, 2], "continue_final_message": True}
    template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", tokens={"bos_token": "<s>"})
    assert [template.render([user("a ")], arguments=arguments) for _ in range(2)] == ["a ", "a "]
    assert arguments == {"list": [1, 2], "continue_final_message": True}


def test_arguments_come_before_the_models_tokens(tokenizer: Any) -> None:
    template = ChatTemplate("{{ bos_token }}", tokens={"bos_token": "<s>"})
    assert template.render([user("a")]) == "<s>"
    assert template.render([user("a")], arguments={"bos_token": "<other>"}) == "<other>"
