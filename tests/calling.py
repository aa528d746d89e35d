"""How each family of models writes two calls, and requests with the tools that they call."""

import json
from typing import Any

from tiny.answers import chat_request
from universal_core import ChatRequest, Tool

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"enum": ["c", "f"]},
        "rain": {"type": "boolean"},
        "more": {
            "type": "object",
            "properties": {"tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2}},
            "required": ["tags"],
            "additionalProperties": False,
        },
        "code": {"type": "string", "pattern": "^[a-c]{2}$"},
        "note": {"anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]},
    },
    "required": ["city", "days", "more", "code", "note"],
    "additionalProperties": False,
}
EMPTY = {"type": "object", "properties": {}, "additionalProperties": False}
WRITE = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
TOOLS = (
    Tool(name="get_weather", parameters=WEATHER, strict=True),
    Tool(name="now"),
    Tool(name="write", parameters=WRITE, strict=True),
)
SCHEMAS = {"get_weather": WEATHER, "now": EMPTY, "write": WRITE}

TEXT = 'Zoë said: "a\\b" {x} [y], <z>\n'
CALLED = [("write", {"text": TEXT}), ("now", {})]
"""The two calls that every text of ``WRITTEN`` makes."""

_OBJECT = json.dumps({"text": TEXT}, ensure_ascii=False)
_DEEP = "<｜tool▁call▁begin｜>{}<｜tool▁call▁end｜>"
_DEEP_3 = "function<｜tool▁sep｜>{}\n```json\n{}\n```"
_PYTHON = f"[write(text={TEXT!r}), now()]"


def _json(key: str = "arguments") -> list[str]:
    return [f'{{"name": "write", "{key}": {_OBJECT}}}', f'{{"name": "now", "{key}": {{}}}}']


def _each(opening: str, closing: str, *calls: str) -> str:
    return "\n".join(f"{opening}{call}{closing}" for call in calls)


WRITTEN: dict[str, str] = {
    "hermes": _each("<tool_call>\n", "\n</tool_call>", *_json()),
    "mistral": f"[TOOL_CALLS] [{', '.join(_json())}]",
    "mistral-v11": f"[TOOL_CALLS]write[CALL_ID]abcDEF123[ARGS]{_OBJECT}[TOOL_CALLS]now[ARGS]{{}}",
    "granite": f"<|tool_call|>[{', '.join(_json())}]",
    "phi-4": f"<|tool_call|>[{','.join(_json())}]<|/tool_call|>",
    "deepseek-v3": "<｜tool▁calls▁begin｜>"
    + _DEEP.format(_DEEP_3.format("write", _OBJECT))
    + "\n"
    + _DEEP.format(_DEEP_3.format("now", "{}"))
    + "<｜tool▁calls▁end｜>",
    "deepseek-v3.1": "<｜tool▁calls▁begin｜>"
    + _DEEP.format(f"write<｜tool▁sep｜>{_OBJECT}")
    + _DEEP.format("now<｜tool▁sep｜>{}")
    + "<｜tool▁calls▁end｜>",
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.write:0<|tool_call_argument_begin|>"
    + _OBJECT
    + "<|tool_call_end|><|tool_call_begin|>functions.now:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
    + "<|tool_calls_section_end|>",
    "nemotron": f"<TOOLCALL>[{', '.join(_json())}]</TOOLCALL>",
    "jamba": f"<tool_calls>[{', '.join(_json())}]</tool_calls>",
    "qwen-xml": f"<tool_call>\n<function=write>\n<parameter=text>\n{TEXT}\n</parameter>\n</function>\n</tool_call>\n"
    "<tool_call>\n<function=now>\n</function>\n</tool_call>",
    "seed": f"<seed:tool_call>\n<function=write>\n<parameter=text>{TEXT}</parameter>\n</function>\n</seed:tool_call>"
    "<seed:tool_call>\n<function=now>\n</function>\n</seed:tool_call>",
    "glm": f"<tool_call>write\n<arg_key>text</arg_key>\n<arg_value>{TEXT}</arg_value>\n</tool_call>\n"
    "<tool_call>now\n</tool_call>",
    "minimax": '<minimax:tool_call>\n<invoke name="write">\n<parameter name="text">'
    f'{TEXT}</parameter>\n</invoke>\n<invoke name="now">\n</invoke>\n</minimax:tool_call>',
    "llama": "; ".join(_json("parameters")),
    "json": f"```json\n[{', '.join(_json())}]\n```",
    "pythonic": _PYTHON,
    "lfm2": f"<|tool_call_start|>{_PYTHON}<|tool_call_end|>",
    "gemma": f"```tool_code\nprint(write(text={TEXT!r}))\nnow()\n```",
    "function-gemma": f"<start_function_call>call:write{{text:<escape>{TEXT}<escape>}}<end_function_call>"
    "<start_function_call>call:now{}<end_function_call>",
    "gemma-4": f'<|tool_call>call:write{{text:<|"|>{TEXT}<|"|>}}<tool_call|><|tool_call>call:now{{}}<tool_call|>',
}
"""Two calls in every format."""

AT_THE_START = ("llama", "json", "pythonic")
"""The formats whose calls have no opening, so that a turn must begin with them."""


def asking(**fields: Any) -> ChatRequest:
    """Return a request with all tools, unless the fields say otherwise."""
    return chat_request("hi", **{"tools": TOOLS, **fields})


def told(calls: list[tuple[str, str]]) -> list[tuple[str, Any]]:
    """Return calls with what their arguments say."""
    return [(name, json.loads(arguments)) for name, arguments in calls]


SCRIPT = (
    "Let me",
    " see.\n\n",
    "<tool_call>\n",
    '{"name": "wri',
    'te", "argu',
    'ments": {"te',
    'xt": "é',
    " \\n",
    '"}}\n</tool',
    "_call>",
)
"""What a scripted model writes that calls a tool."""

CHOICE = {
    "type": "object",
    "properties": {"unit": {"enum": ["c", "f"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["unit", "days"],
    "additionalProperties": False,
}
CHOOSE = (Tool(name="choose", parameters=CHOICE, strict=True), Tool(name="now"))
"""Tools whose calls are short, whatever a model writes."""
