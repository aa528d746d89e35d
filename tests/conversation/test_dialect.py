"""Which dialect a model speaks, how much it is to think, and what a whole turn must follow."""

import json
from typing import Any

import pytest

from pieces import Tokens, content, fits, read, thoughts
from tiny.answers import chat_request
from tiny.templates import CHATML, DEEPSEEK, GRANITE, HARMONY, LLAMA_3, QWEN
from universal_core import BadRequest, ChatRequest, LoadFailed, ResponseFormat, Tool
from universal_core.conversation import ChatTemplate, Dialect, TaggedDialect, dialect_of
from universal_core.conversation.effort import BUDGETS
from universal_core.conversation.forms import grammar_of
from universal_core.conversation.grammars import Grammars
from universal_core.conversation.harmony import HarmonyDialect

PLAIN = Tokens()
THINKING = Tokens(["<think>", "</think>"])
TOOL = Tool(
    name="look",
    parameters={"type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"]},
)
ALWAYS = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|a|><think>\n{% endif %}"
FREE = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}<|a|>"
V31 = (
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}{{ messages[0].content }}<|a|>"
    "{% if thinking %}<think>{% else %}</think>{% endif %}"
)
SEED = "{% set begin = '<seed:think>' %}{{ messages[0].content }}{% if thinking_budget == 0 %}!{% endif %}<|a|>"
GRANITE_3 = (
    "{{ messages[0].content }}{% if thinking %}Begin with 'Here is my thought process:' "
    "and answer after 'Here is my response:'.{% endif %}<|a|>"
)


def prompt_of(source: str, request: ChatRequest, vocabulary: Tokens = PLAIN) -> tuple[Dialect, ChatRequest, str]:
    """Return the dialect of a template, the request as the model's template is told it, and the prompt."""
    template = ChatTemplate(source)
    dialect = dialect_of(vocabulary, template)
    told = dialect.told(request)
    text = template.render(told.messages, tools=told.tools, arguments=told.chat_template_kwargs)
    return dialect, told, text + dialect.ending(told, text)


def begun(source: str, vocabulary: Tokens = PLAIN, **fields: Any) -> tuple[str, int | None]:
    """Return what stands behind the last marker of the role, and the budget."""
    _, told, prompt = prompt_of(source, chat_request("hi", **fields), vocabulary)
    for start in ("<|im_start|>assistant\n", "<|Assistant|>", "<|a|>"):
        if start in prompt:
            return prompt.rpartition(start)[2], told.thinking_budget
    raise AssertionError(prompt)


@pytest.mark.parametrize(
    ("source", "turn", "thought", "answer"),
    [
        (QWEN, "<think>\na\n</think>\n\nb", "a", "b"),
        (QWEN, "b", "", "b"),
        (DEEPSEEK, "a\n</think>\n\nb", "a", "b"),
        (ALWAYS, "a\n</think>\n\nb", "a", "b"),
        (GRANITE_3, "Here is my thought process:\n\na\n\nHere is my response:\n\nb", "a", "b"),
        (SEED, "<seed:think>a</seed:think>b", "a", "b"),
        (HARMONY, "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "a", "b"),
        (LLAMA_3, "<think>a</think>b", "", "<think>a</think>b"),
    ],
)
def test_the_template_tells_how_a_model_thinks(source: str, turn: str, thought: str, answer: str) -> None:
    dialect, told, prompt = prompt_of(source, chat_request("hi"))
    pieces = read(dialect.parser(told, prompt), [turn])
    assert (thoughts(pieces), content(pieces)) == (thought, answer)


def test_a_form_that_is_named_wins_over_what_the_template_shows() -> None:
    template = ChatTemplate(QWEN)
    request = chat_request("hi")
    named = dialect_of(PLAIN, template, reasoning_format="magistral").parser(request, "")
    assert thoughts(read(named, ["[THINK]a[/THINK]b"])) == "a"
    none = dialect_of(PLAIN, template, reasoning_format="none").parser(request, "")
    assert content(read(none, ["<think>a</think>b"])) == "<think>a</think>b"
    assert isinstance(dialect_of(PLAIN, None, reasoning_format="harmony"), HarmonyDialect)


@pytest.mark.parametrize("field", ["reasoning_format", "tool_format"])
def test_a_name_that_is_no_form_is_refused(field: str) -> None:
    with pytest.raises(LoadFailed, match=f"{field} 'nonsense' is none of auto, none, "):
        dialect_of(PLAIN, None, **{field: "nonsense"})


# How much is thought


@pytest.mark.parametrize(
    ("source", "effort", "tail", "budget"),
    [
        (QWEN, None, "", None),
        (QWEN, "none", "<think>\n\n</think>\n\n", 0),
        (QWEN, "low", "", BUDGETS["low"]),
        (QWEN, "high", "", None),
        (QWEN, "xhigh", "", None),
        (DEEPSEEK, "none", "<think>\n\n</think>\n\n", 0),
        (DEEPSEEK, "medium", "<think>\n", BUDGETS["medium"]),
        (FREE, "none", "<think>\n\n</think>\n\n", 0),
        (FREE, "minimal", "", BUDGETS["minimal"]),
        (V31, None, "</think>", None),
        (V31, "none", "</think>", 0),
        (V31, "high", "<think>", None),
        (GRANITE_3, "none", "", 0),
    ],
)
def test_an_effort_switches_thinking(source: str, effort: str | None, tail: str, budget: int | None) -> None:
    assert begun(source, reasoning_effort=effort) == (tail, budget)


def test_an_effort_switches_on_what_is_off_by_default() -> None:
    assert prompt_of(GRANITE_3, chat_request("hi", reasoning_effort="high"))[1].chat_template_kwargs == {
        "thinking": True
    }
    assert "thought process" in prompt_of(GRANITE_3, chat_request("hi", thinking_budget=5))[2]


@pytest.mark.parametrize("fields", [{"thinking_budget": 0}, {"thinking_budget": 0, "reasoning_effort": "high"}])
def test_a_budget_of_nothing_switches_thinking_off(fields: dict[str, Any]) -> None:
    assert begun(V31, **fields) == ("</think>", 0)
    assert begun(DEEPSEEK, **fields) == ("<think>\n\n</think>\n\n", 0)


def test_a_budget_wins_over_that_of_the_effort() -> None:
    assert begun(QWEN, reasoning_effort="low", thinking_budget=7) == ("", 7)


def test_a_template_with_a_budget_is_told_it() -> None:
    def told(**fields: Any) -> dict[str, Any]:
        return prompt_of(SEED, chat_request("hi", **fields))[1].chat_template_kwargs

    assert told(reasoning_effort="low") == {"thinking_budget": BUDGETS["low"]}
    assert told(thinking_budget=9) == {"thinking_budget": 9}
    assert told(reasoning_effort="none") == {"thinking_budget": 0}
    assert told(reasoning_effort="high") == {}


@pytest.mark.parametrize(("given", "tail"), [(True, ""), (False, "<think>\n\n</think>\n\n")])
def test_arguments_for_the_template_win_over_the_effort(given: bool, tail: str) -> None:
    for effort in ("none", "low", "high"):
        assert begun(QWEN, reasoning_effort=effort, chat_template_kwargs={"enable_thinking": given})[0] == tail


def test_tokens_alone_show_that_a_model_can_think_and_not_that_it_does() -> None:
    source = "{{ messages[0].content }}<|a|>"
    assert begun(source, THINKING, reasoning_effort="none") == ("", 0)
    assert begun(source, THINKING, reasoning_effort="low") == ("", BUDGETS["low"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"thinking_budget": 5}, "thinking_budget"),
        ({"thinking_budget": 0}, "thinking_budget"),
    ],
)
def test_a_model_that_is_not_known_to_think_cannot_be_asked_to(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest, match=f"^{param}: this model is not known to think") as caught:
        dialect_of(PLAIN, ChatTemplate(LLAMA_3)).told(chat_request("hi", **fields))
    assert caught.value.param == param


def test_a_model_that_does_not_think_is_easily_kept_from_it() -> None:
    request = chat_request("hi", reasoning_effort="none")
    dialect = dialect_of(PLAIN, ChatTemplate(LLAMA_3))
    assert dialect.told(request) is request
    assert dialect.ending(request, "x") == ""
    assert dialect.thought_end(request, "x") is None


# What a turn must follow


def may(dialect: Dialect, request: ChatRequest, turn: str, tail: str = "", vocabulary: Tokens = THINKING) -> bool:
    form = grammar_of(request.response_format) if request.response_format else None
    grammar = dialect.grammar(request, tail, form)
    return grammar is None or fits(Grammars(vocabulary).follow(grammar), vocabulary.encode(turn, special=False))


def formed(**fields: Any) -> ChatRequest:
    form = ResponseFormat(type="json_schema", schema={"enum": ["red", "blue"]})
    return chat_request("hi", response_format=form, **fields)


FORMS = {
    '"red"': ResponseFormat(type="json_schema", schema={"enum": ["red"]}),
    "abba": ResponseFormat(type="regex", text="(a|b)+"),
    "yes": ResponseFormat(type="grammar", text='start: a | "no"\na: "yes"'),
    "no": ResponseFormat(type="grammar", text='root ::= "yes" | "no"'),
    "{}": ResponseFormat(type="json_object"),
}


@pytest.mark.parametrize("answer", FORMS)
def test_any_form_can_follow_a_thought(answer: str) -> None:
    dialect, request = dialect_of(THINKING, ChatTemplate(QWEN)), chat_request("hi", response_format=FORMS[answer])
    assert may(dialect, request, answer)
    assert may(dialect, request, f"<think>why?\n</think>\n\n{answer}")
    assert may(dialect, request, answer, "<think>\n\n</think>\n\n")
    assert may(dialect, request, f"well\n</think>\n\n{answer}", "<think>\n")
    assert not may(dialect, request, answer, "<think>\n")
    assert not may(dialect, request, "<think>why?</think>@")


def test_where_nothing_is_thought_the_form_is_all() -> None:
    dialect = dialect_of(PLAIN, ChatTemplate(LLAMA_3))
    assert may(dialect, formed(), '"red"', vocabulary=PLAIN)
    assert not may(dialect, formed(), '<think>a</think>"red"', vocabulary=PLAIN)


def test_calls_follow_a_thought_too() -> None:
    dialect = dialect_of(THINKING, ChatTemplate(QWEN))
    call = "<tool_call>\n" + json.dumps({"name": "look", "arguments": {"at": 1}}) + "\n</tool_call>"
    request = chat_request("hi", tools=(TOOL,), tool_choice="required")
    assert may(dialect, request, f"<think>a</think>\n{call}")
    assert not may(dialect, request, "<think>a</think>\nno")
    assert not may(dialect, request, f"<think>a</think>\n{call}".replace("1", '"x"'))
    both = formed(tools=(TOOL,))
    assert may(dialect, both, f"<think>a</think>\n{call}")
    assert may(dialect, both, '<think>a</think>\n"red"')
    assert not may(dialect, both, "<think>a</think>\nno")


def test_a_model_without_a_way_of_calling_cannot_be_made_to() -> None:
    dialect = TaggedDialect(PLAIN)
    with pytest.raises(BadRequest, match="tool_choice"):
        dialect.grammar(chat_request("hi", tools=(TOOL,), tool_choice="required"), "", None)
    assert dialect.grammar(chat_request("hi", tools=(TOOL,)), "", None) is None
    assert may(dialect, formed(tools=(TOOL,)), '"red"', vocabulary=PLAIN)


def test_granite_without_reasoning_does_not_think() -> None:
    with pytest.raises(BadRequest):
        prompt_of(GRANITE, chat_request("hi", reasoning_effort="low"))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (QWEN, "reasoning_format is think, tool_format is hermes; tools are shown by the chat template"),
        (CHATML, "reasoning_format is none, tool_format is hermes; tools are shown in words"),
        (HARMONY, "reasoning_format is harmony, tool_format is harmony"),
    ],
)
def test_what_was_found_is_logged(source: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        dialect_of(PLAIN, ChatTemplate(source))
    assert told in caplog.text
