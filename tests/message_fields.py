"""What shows for each field of Anthropic's endpoints that it is honoured: see ``fields``."""

from typing import Any

import httpx

from fields import Case, body, kind, member, status, turn, usage

SCHEMA = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}},
    "required": ["on"],
    "additionalProperties": False,
}
TOOL = {"name": "pick", "input_schema": SCHEMA}
FORMAT = {"type": "json_schema", "schema": {"enum": ["yes"]}}
THINKS = {"output_config": {"effort": "high"}}
RANDOM = {"temperature": 1}

HARMLESS = {
    "cache_control": {"type": "ephemeral"},
    "speed": "fast",
    "diagnostics": {"previous_message_id": None},
    "billing_policy": "x",
    "user_profile_id": "x",
    "workspace_id": "x",
    "betas": ["x"],
    # To a count: a choice among tools and the form of an answer are no part of the prompt.
    "tool_choice": {"type": "auto"},
    "output_format": FORMAT,
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}
REFUSED = {
    "container": "x",
    "mcp_servers": [{"type": "url", "url": "https://example.org", "name": "x"}],
    "fallbacks": [{"model": "x"}],
    "fallback_credit_token": "x",
    "compaction": {"type": "x"},
    "thread": {"type": "create"},
    "inference_geo": "eu",
}


def said(response: httpx.Response) -> str:
    return "".join(block.get("text", "") for block in body(response)["content"])


def thinks(response: httpx.Response) -> bool:
    return any(block["type"] == "thinking" for block in body(response)["content"])


def opening(response: httpx.Response) -> list[str]:
    return [said(response)[:2]]


def read(response: httpx.Response) -> int:
    found: int = body(response)["usage"]["input_tokens"] + body(response)["usage"]["cache_read_input_tokens"]
    return found


def both(part: Any) -> dict[str, Case]:
    """Return the cases of the fields that change the prompt, which ``part`` tells the length of."""
    return {
        "model": Case("nobody/nothing", status, 404),
        "messages": Case([turn("user", "something else")], part),
        "system": Case("Be brief.", part),
        "tools": Case([TOOL], part),
    }


MESSAGES = both(read) | {
    "max_tokens": Case(3, usage("output_tokens"), 3),
    "stop_sequences": Case(opening, member("stop_reason"), "stop_sequence"),
    "stream": Case(True, kind, "text/event-stream"),
    "temperature": Case(1, said),
    "top_p": Case(0, said, base=RANDOM),
    "top_k": Case(1, said, base=RANDOM),
    # One call, for a model that knows no end would make calls until its tokens are used up.
    "tool_choice": Case(
        {"type": "any", "disable_parallel_tool_use": True},
        member("stop_reason"),
        "tool_use",
        base={"tools": [TOOL], "max_tokens": 80},
    ),
    "thinking": Case({"type": "disabled"}, thinks, False, base=THINKS),
    "output_config": Case({"format": FORMAT}, said, '"yes"'),
    "output_format": Case(FORMAT, said, '"yes"'),
}
COUNTED = both(member("input_tokens")) | {
    "thinking": Case({"type": "disabled"}, member("input_tokens"), base=THINKS),
    "output_config": Case({"effort": "high"}, member("input_tokens")),
}
