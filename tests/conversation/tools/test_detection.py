"""Which format a model writes its calls in."""

from typing import get_args

import pytest

from pieces import Tokens
from tiny.templates import TEMPLATES
from universal_core import LoadFailed, ToolFormatOption
from universal_core.conversation import ChatTemplate, dialect_of
from universal_core.conversation.tools import FORMATS, detect

SHOWN = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}"
SIGNS = {
    "<tool_call> </tool_call>": "hermes",
    "<tool_call><function= <parameter= </tool_call>": "qwen-xml",
    "<tool_call><arg_key> </tool_call>": "glm",
    "<minimax:tool_call><invoke": "minimax",
    "<seed:tool_call><function= <parameter=": "seed",
    "[TOOL_CALLS] [TOOL_RESULTS]": "mistral",
    "[TOOL_CALLS] [ARGS]": "mistral-v11",
    "<|tool_call|>": "granite",
    "<|tool|> <|tool_call|> <|/tool_call|>": "phi-4",
    "functools[": "phi-4",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜> ```json": "deepseek-v3",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>": "deepseek-v3.1",
    "<|tool_calls_section_begin|>": "kimi",
    "<TOOLCALL>": "nemotron",
    "<tool_calls> </tool_calls>": "jamba",
    "<|start_header_id|> <|python_tag|>": "llama",
    "<|start_header_id|> ipython": "llama",
    "<|python_start|>": "pythonic",
    "[func_name1(params_name1=1)]": "pythonic",
    "<|tool_call_start|>": "lfm2",
    "```tool_code": "gemma",
    "<start_function_call>": "function-gemma",
    "<|tool_call> <tool_call|>": "gemma-4",
    "": "json",
}


@pytest.mark.parametrize("sign", SIGNS)
def test_a_template_tells_its_format(sign: str) -> None:
    template = ChatTemplate("{% if false %}" + sign.replace("{", "") + "{% endif %}" + SHOWN)
    assert detect(template, Tokens())[0] is FORMATS[SIGNS[sign]]


def test_every_format_can_be_told_and_named() -> None:
    assert set(SIGNS.values()) == set(FORMATS)
    assert set(get_args(get_args(ToolFormatOption)[0])) == {"auto", "none", *FORMATS}
    assert all(name == form.name for name, form in FORMATS.items())
    with pytest.raises(LoadFailed, match="hermse"):
        dialect_of(Tokens(), None, tool_format="hermse")


def test_tokens_tell_the_later_form_of_mistral() -> None:
    template = ChatTemplate("{% if false %}[TOOL_CALLS]{% endif %}" + SHOWN)
    assert detect(template, Tokens(["[ARGS]"]))[0].name == "mistral-v11"


def test_what_templates_of_families_know_is_found_out() -> None:
    found = {
        name: detect(ChatTemplate(source, tokens={"bos_token": "<s>", "eos_token": "</s>"}), Tokens())
        for name, source in TEMPLATES.items()
    }
    names = {name: form.name for name, (form, _) in found.items()}
    assert names | {"qwen": "hermes", "llama-3": "llama", "mistral": "mistral", "granite": "granite"} == names
    assert {names[name] for name in ("chatml", "gemma", "zephyr", "phi")} == {"hermes"}
    shown = {name for name, (_, support) in found.items() if support.tools and support.calls and support.results}
    assert shown == {"qwen", "llama-3", "mistral", "granite", "tiny"}
    assert not found["llama-3"][1].several
    assert not found["gemma"][1].system
    assert found["mistral"][1].short_ids


def test_without_a_template_calls_are_written_as_hermes_does() -> None:
    assert detect(None, Tokens())[0] is FORMATS["hermes"]
