"""How errors speak to Anthropic's clients: of the fields that they sent, not of those that these became here."""

import re
from collections.abc import Sequence

Place = tuple[str, Sequence[str]]
"""Where a message stands in the body, and where each of its parts."""

_MESSAGE = re.compile(r"^messages\[(\d+)\](?:\.content\[(\d+)\])?")
_TOOL = re.compile(r"^tools\[(\d+)\](?:\.function)?")
_FIELDS = {
    "stop": "stop_sequences",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "allowed_tools": "tool_choice",
    "thinking_budget": "thinking.budget_tokens",
}


class Names:
    """The names that a client has for the fields of a ChatRequest.

    ``places`` tells where each message comes from, and ``thinking`` which field says how much the model thinks.
    """

    def __init__(self, places: Sequence[Place], thinking: str) -> None:
        self._places = places
        # What the template is told concerns only the last turn, which is to be continued.
        last = places[-1][0] if places else "messages"
        self._fields = _FIELDS | {"reasoning_effort": thinking, "chat_template_kwargs": last}

    def of(self, param: str) -> str:
        """Return the client's name of a field."""
        if found := _MESSAGE.match(param):
            return self._of_message(found)
        if found := _TOOL.match(param):
            rest = param[found.end() :].replace(".parameters", ".input_schema", 1)
            return f"tools[{found[1]}]{rest}"
        first, dot, rest = param.partition(".")
        return self._fields.get(first, first) + dot + rest

    def _of_message(self, found: re.Match[str]) -> str:
        message, part = int(found[1]), found[2]
        if message >= len(self._places):
            return "messages"
        place, parts = self._places[message]
        # What follows the part is the domain's own.
        return parts[int(part)] if part is not None and int(part) < len(parts) else place
