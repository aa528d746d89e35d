"""The formats of well-known families of models, by name."""

from dataclasses import replace

from universal_core.conversation.tools.bare_calls import BareCalls
from universal_core.conversation.tools.format import ToolFormat
from universal_core.conversation.tools.gemma_calls import GemmaCalls
from universal_core.conversation.tools.json_calls import JsonCalls
from universal_core.conversation.tools.named_calls import NamedCalls
from universal_core.conversation.tools.pythonic_calls import PythonicCalls
from universal_core.conversation.tools.tagged_calls import TaggedCalls

HERMES = JsonCalls("hermes", ("<tool_call>",), ("</tool_call>",))

DEEPSEEK = NamedCalls(
    "deepseek-v3.1",
    "<｜tool▁call▁begin｜>",
    after=("<｜tool▁sep｜>",),
    closing=("<｜tool▁call▁end｜>",),
    section="<｜tool▁calls▁begin｜>",
    end="<｜tool▁calls▁end｜>",
)
QWEN_XML = TaggedCalls(
    "qwen-xml",
    "<tool_call>",
    "</tool_call>",
    before="<function=",
    after=">",
    key="<parameter=",
    between=(">",),
    end_value="</parameter>",
    end="</function>",
    edge="\n",
)

_ALL: tuple[ToolFormat, ...] = (
    HERMES,
    JsonCalls("mistral", ("[TOOL_CALLS]",), listed=True),
    NamedCalls("mistral-v11", "[TOOL_CALLS]", after=("[ARGS]",), id="[CALL_ID]"),
    JsonCalls("granite", ("<|tool_call|>", "<tool_call>", "<function_call>"), listed=True),
    JsonCalls("phi-4", ("<|tool_call|>", "functools"), ("<|/tool_call|>",), listed=True),
    replace(
        DEEPSEEK,
        name="deepseek-v3",
        before=("function", *DEEPSEEK.after),
        after=("\n```json\n",),
        closing=("\n```", *DEEPSEEK.closing),
    ),
    DEEPSEEK,
    NamedCalls(
        "kimi",
        "<|tool_call_begin|>",
        before=("functions.",),
        after=("<|tool_call_argument_begin|>",),
        closing=("<|tool_call_end|>",),
        section="<|tool_calls_section_begin|>",
        end="<|tool_calls_section_end|>",
        number=":",
    ),
    JsonCalls("nemotron", ("<TOOLCALL>",), ("</TOOLCALL>",), listed=True),
    JsonCalls("jamba", ("<tool_calls>",), ("</tool_calls>",), listed=True),
    QWEN_XML,
    replace(QWEN_XML, name="seed", opening="<seed:tool_call>", closing="</seed:tool_call>", edge=""),
    TaggedCalls(
        "glm",
        "<tool_call>",
        "</tool_call>",
        before="",
        after="\n",
        key="<arg_key>",
        between=("</arg_key>", "\n<arg_value>"),
        end_value="</arg_value>",
    ),
    TaggedCalls(
        "minimax",
        "<minimax:tool_call>",
        "</minimax:tool_call>",
        before='<invoke name="',
        after='">',
        key='<parameter name="',
        between=('">',),
        end_value="</parameter>",
        end="</invoke>",
        grouped=True,
    ),
    BareCalls("llama", "parameters", ";", "<|python_tag|>"),
    BareCalls("json", "arguments", ",", fences=("```json", "```tool_call", "```")),
    PythonicCalls("pythonic", "<|python_start|>", "<|python_end|>", bare=True),
    PythonicCalls("lfm2", "<|tool_call_start|>", "<|tool_call_end|>"),
    PythonicCalls("gemma", "```tool_code", "```", listed=False),
    GemmaCalls("function-gemma", "<start_function_call>", "<end_function_call>", "<escape>"),
    GemmaCalls("gemma-4", "<|tool_call>", "<tool_call|>", '<|"|>'),
)

FORMATS: dict[str, ToolFormat] = {one.name: one for one in _ALL}
"""What the option ``tool_format`` may name."""
