"""What shows for each field of the text endpoints that it is honoured: what to send, and what of the answer changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

Part = Callable[[httpx.Response], Any]
"""Reads what a field changes from a response."""

LETTERS = "ABCDEFGHIJ"
"""What answers are made to consist of where a field's effect would hang on chance."""


@dataclass(frozen=True)
class Case:
    """A field is honoured where ``part`` of the answer changes, to ``to`` where that is known, when ``value`` is sent.

    ``base`` is sent with it and without it. A function as ``value`` makes it of the answer without it.
    """

    value: Any
    part: Part
    to: Any = None
    base: Mapping[str, Any] = field(default_factory=dict)


def body(response: httpx.Response) -> Any:
    return response.json()


def status(response: httpx.Response) -> int:
    return response.status_code


def kind(response: httpx.Response) -> str:
    return response.headers["content-type"].partition(";")[0]


def lines(response: httpx.Response) -> int:
    return response.text.count('"usage"')


def choices(response: httpx.Response) -> list[Any]:
    found: list[Any] = body(response)["choices"]
    return found


def message(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = choices(response)[0]["message"]
    return found


def text(response: httpx.Response) -> str | None:
    found = choices(response)[0]
    return found["message"]["content"] if "message" in found else found["text"]


def calls(response: httpx.Response) -> list[str]:
    return [call["function"]["name"] for call in message(response).get("tool_calls", ())]


def number(part: Callable[[httpx.Response], Any]) -> Part:
    return lambda response: len(part(response))


def thinks(response: httpx.Response) -> bool:
    return "reasoning_content" in message(response)


def usage(name: str) -> Part:
    return lambda response: body(response)["usage"][name]


def thought_tokens(response: httpx.Response) -> int:
    found: int = body(response)["usage"]["completion_tokens_details"]["reasoning_tokens"]
    return found


def logprobs(response: httpx.Response) -> bool:
    return choices(response)[0]["logprobs"] is not None


def alternatives(response: httpx.Response) -> int:
    return len(choices(response)[0]["logprobs"]["content"][0]["top_logprobs"])


def member(name: str) -> Part:
    return lambda response: body(response).get(name)


def of_letters(response: httpx.Response) -> bool:
    return set(text(response) or "") <= set(LETTERS)


def beginning(response: httpx.Response) -> str:
    return (text(response) or "")[:2]


def begins_with(prompt: str) -> Part:
    return lambda response: (text(response) or "").startswith(prompt)


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


HARMLESS = {
    "user": "me",
    "metadata": {"a": "b"},
    "store": True,
    "service_tier": "flex",
    "safety_identifier": "x",
    "prompt_cache_key": "x",
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "implicit"},
    "prediction": {"type": "content", "content": "hi"},
}
REFUSED = {
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "verbosity": "low",
    "moderation": {"model": "some"},
    "web_search_options": {},
    "functions": [{"name": "f"}],
    "function_call": "auto",
}

TOOL = {
    "type": "function",
    "function": {
        "name": "pick",
        "parameters": {
            "type": "object",
            "properties": {"on": {"type": "boolean"}},
            "required": ["on"],
            "additionalProperties": False,
        },
    },
}
LONG = [turn("user", "word " * 30), turn("assistant", "yes"), turn("user", "word " * 30), turn("user", "now")]
SURPRISE = {"temperature": 1.5, "seed": 1}
THINKING = {"chat_template_kwargs": {"enable_thinking": True}}
ENUMERATED = {"enum": ["yes"]}


def shared(letters: Sequence[int]) -> dict[str, Case]:
    """Return the cases of the fields that chat and completions have in common, from the tokens of LETTERS."""
    biased = {"logit_bias": {str(letter): 100 for letter in letters}, "max_tokens": 24}
    return {
        "model": Case("nobody/nothing", status, 404),
        "stream": Case(True, kind, "text/event-stream"),
        "stream_options": Case({"include_usage": True}, lines, base={"stream": True}),
        "temperature": Case(1.5, text, base={"seed": 1}),
        "top_p": Case(0.01, text, base=SURPRISE),
        "top_k": Case(1, text, base=SURPRISE),
        "min_p": Case(1.0, text, base=SURPRISE),
        "repetition_penalty": Case(1.5, text, base=biased),
        "presence_penalty": Case(2, text, base=biased),
        "frequency_penalty": Case(2, text, base=biased),
        "logit_bias": Case(biased["logit_bias"], of_letters, True),
        "seed": Case(2, text, base=SURPRISE),
        "stop": Case(beginning, text, "", base=biased),
        "n_ctx": Case(4, status, 400),
        "max_tokens": Case(3, usage("completion_tokens"), 3, base=biased),
        "n": Case(2, number(choices), 2),
        "grammar": Case('start: "yes"', text, "yes"),
        "guided_json": Case(ENUMERATED, text, '"yes"'),
        "guided_regex": Case("yes", text, "yes"),
        "guided_choice": Case(["yes"], text, "yes"),
        "guided_grammar": Case('root ::= "yes"', text, "yes"),
        "structured_outputs": Case({"choice": ["yes"]}, text, "yes"),
    }


def chat(letters: Sequence[int], ends: tuple[int, ...]) -> dict[str, Case]:
    """Return the cases of /v1/chat/completions; ``ends`` are the tokens that end an answer."""
    endless = {"logit_bias": {str(token): -100.0 for token in ends}, "max_tokens": 160}
    may = {"tools": [TOOL], "max_tokens": 80}
    return {
        **shared(letters),
        "messages": Case([turn("user", "something else")], text),
        "max_completion_tokens": Case(3, usage("completion_tokens"), 3, base={"max_tokens": None}),
        "logprobs": Case(True, logprobs, True),
        "top_logprobs": Case(2, alternatives, 2, base={"logprobs": True}),
        "response_format": Case({"type": "json_object", "schema": ENUMERATED}, text, '"yes"'),
        "tools": Case([TOOL], usage("prompt_tokens")),
        "tool_choice": Case("required", calls, ["pick"], base={**may, "parallel_tool_calls": False}),
        "parallel_tool_calls": Case(False, calls, ["pick"], base={**may, **endless, "tool_choice": "required"}),
        "reasoning_effort": Case("high", thinks, True),
        "thinking_budget": Case(2, thought_tokens, base={**THINKING, **endless, "max_tokens": 30}),
        "truncation": Case("auto", status, 200, base={"messages": LONG, "n_ctx": 120}),
        "chat_template_kwargs": Case({"enable_thinking": True}, thinks, True),
        "add_generation_prompt": Case(False, usage("prompt_tokens")),
        "continue_final_message": Case(True, usage("prompt_tokens")),
    }


def completions(letters: Sequence[int]) -> dict[str, Case]:
    """Return the cases of /v1/completions."""
    return {
        **shared(letters),
        "prompt": Case("something else", text),
        "echo": Case(True, begins_with("hello there"), True),
        "suffix": Case(" and so on", usage("prompt_tokens")),
        "logprobs": Case(1, logprobs, True),
        "best_of": Case(3, usage("completion_tokens")),
    }


TOKENIZE = {
    "model": Case("nobody/nothing", status, 404),
    "text": Case("something else", member("tokens"), base={"text": "hello there"}),
    "prompt": Case("something else", member("tokens"), base={"text": None, "prompt": "hello"}),
    "messages": Case([turn("user", "hi")], status, 200, base={"text": None}),
    "tools": Case([TOOL], member("count"), base={"text": None, "messages": [turn("user", "hi")]}),
    "chat_template_kwargs": Case(
        {"enable_thinking": True}, member("count"), base={"text": None, "messages": [turn("user", "hi")]}
    ),
    "add_generation_prompt": Case(False, member("count"), base={"text": None, "messages": [turn("user", "hi")]}),
    "continue_final_message": Case(True, member("count"), base={"text": None, "messages": [turn("user", "hi")]}),
    "add_special_tokens": Case(False, member("count")),
    "return_token_strs": Case(True, member("token_strs")),
}
DETOKENIZE = {
    "model": Case("nobody/nothing", status, 404),
    "tokens": Case([70, 71], member("text")),
}
RERANK = {
    "model": Case("nobody/nothing", status, 404),
    "query": Case("the lazy dog", lambda response: [one["relevance_score"] for one in body(response)["results"]]),
    "documents": Case(["a fox", "a dog", "hello"], lambda response: len(body(response)["results"]), 3),
    "top_n": Case(1, lambda response: len(body(response)["results"]), 1),
    "return_documents": Case(True, lambda response: "document" in body(response)["results"][0], True),
}


def found(response: httpx.Response) -> Any:
    return body(response)["data"]


def labels(response: httpx.Response) -> list[str]:
    return sorted(one["label"] for one in found(response)[0]["predictions"])


CLASSIFY = {
    "model": Case("nobody/nothing", status, 404),
    "input": Case("the quick brown fox jumps over the lazy dog", found),
    "task": Case("token-classification", status, base={"task": None}),
    "top_k": Case(1, number(labels), 1),
    "candidate_labels": Case(["a fox", "a dog"], labels, ["a dog", "a fox"]),
    "hypothesis_template": Case("A tale of {}.", found, base={"candidate_labels": ["a fox", "a dog"]}),
    "multi_label": Case(True, found, base={"candidate_labels": ["a fox", "a dog"]}),
}
