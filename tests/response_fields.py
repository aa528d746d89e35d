"""What shows for each field of /v1/responses that it is honoured: see ``fields``."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

import fields as cases
from fields import Case, body, member, status, turn, usage

FUNCTION = {"type": "function", **cases.TOOL["function"]}  # type: ignore[dict-item]
LOGPROBS = ["message.output_text.logprobs"]
FORMAT = {"type": "json_schema", "name": "word", "schema": cases.ENUMERATED}
LONG = [turn("user", "word " * 30), turn("assistant", "yes"), turn("user", "word " * 30), turn("user", "now")]

HARMLESS = {"max_tool_calls": 3}
REFUSED = {
    "background": True,
    "background_options": {},
    "access_programs": {},
    "context_management": [],
    "conversation": "conv_1",
    "image": {},
    "personality": "friendly",
    "prompt": {"id": "pmpt_1"},
}


def told(response: httpx.Response) -> Any:
    """Return an answer, plain or of a stream, without what is new in each and what repeats the request."""
    assert response.status_code == 200, response.text
    *_, last = response.text.removesuffix("\n\n").split("data: ")
    found = json.loads(last)
    found = found.get("response", found)
    return found["status"], found["usage"], [item.get("content") for item in found["output"]]


def output(response: httpx.Response, kind: str) -> list[Any]:
    return [item for item in body(response)["output"] if item["type"] == kind]


def said(response: httpx.Response) -> str:
    return "".join(part["text"] for item in output(response, "message") for part in item["content"])


def of_letters(response: httpx.Response) -> bool:
    return set(said(response)) <= set(cases.LETTERS)


def beginning(response: httpx.Response) -> str:
    return said(response)[:2]


def calls(response: httpx.Response) -> list[str]:
    return [item["name"] for item in output(response, "function_call")]


def thinks(response: httpx.Response) -> bool:
    return bool(output(response, "reasoning"))


def thought_tokens(response: httpx.Response) -> int:
    found: int = body(response)["usage"]["output_tokens_details"]["reasoning_tokens"]
    return found


def logprobs(response: httpx.Response) -> int:
    """Return how many alternatives are told of the first token, less than none where it is not told of."""
    told_of = output(response, "message")[0]["content"][0]["logprobs"]
    return len(told_of[0]["top_logprobs"]) if told_of else -1


def named(response: httpx.Response) -> str:
    found: str = body(response)["id"]
    return found


_PARTS = {cases.text: said, cases.of_letters: of_letters}


def _translated(case: Case) -> Case:
    """Return a case of chat by the names that this endpoint has."""
    value = beginning if case.value is cases.beginning else case.value
    base = {"max_output_tokens" if name == "max_tokens" else name: given for name, given in case.base.items()}
    return Case(value, _PARTS.get(case.part, case.part), case.to, base)


def responses(letters: Sequence[int], ends: tuple[int, ...]) -> Mapping[str, Case]:
    """Return the cases; ``ends`` are the tokens that end an answer."""
    known = {name: case for name, case in cases.shared(letters).items() if name not in ("n", "max_tokens")}
    shared = {name: _translated(case) for name, case in known.items()}
    endless = {"logit_bias": {str(token): -100.0 for token in ends}, "max_output_tokens": 160}
    may = {"tools": [FUNCTION], "max_output_tokens": 80}
    return {
        **shared,
        "stream_options": Case({"include_obfuscation": False}, body, base={"stream": True}),
        "input": Case("something else", said),
        "instructions": Case("Be brief.", usage("input_tokens")),
        "previous_response_id": Case(named, usage("input_tokens")),
        "tools": Case([FUNCTION], usage("input_tokens")),
        "tool_choice": Case("required", calls, ["pick"], base={**may, "parallel_tool_calls": False}),
        "parallel_tool_calls": Case(False, calls, ["pick"], base={**may, **endless, "tool_choice": "required"}),
        "max_output_tokens": Case(3, usage("output_tokens"), 3, base={"logit_bias": shared["logit_bias"].value}),
        "include": Case(LOGPROBS, logprobs, 0),
        "top_logprobs": Case(2, logprobs, 2),
        "text": Case({"format": FORMAT}, said, '"yes"'),
        "reasoning": Case({"effort": "high"}, thinks, True),
        "truncation": Case("auto", status, 200, base={"input": LONG, "n_ctx": 120}),
        "thinking_budget": Case(2, thought_tokens, base={**cases.THINKING, **endless, "max_output_tokens": 30}),
        "chat_template_kwargs": Case({"enable_thinking": True}, thinks, True),
        "store": Case(False, member("store"), False),
        "metadata": Case({"a": "b"}, member("metadata"), {"a": "b"}),
    }
