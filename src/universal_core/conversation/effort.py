"""How much a model is to think: from the fields of a request to the variables of its chat template."""

from typing import Any

from msgspec.structs import replace

from universal_core.conversation.template import ChatTemplate
from universal_core.errors import BadRequest
from universal_core.messages import ChatRequest

BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192}
"""Tokens of thinking by ``reasoning_effort``, for models whose templates only switch thinking on and off."""

_SWITCHES = frozenset({"enable_thinking", "thinking", "reasoning"})
_LEVEL, _BUDGET = "reasoning_effort", "thinking_budget"
# Most templates with levels know three.
_NEAREST = {"minimal": "low", "xhigh": "high", "max": "high"}


class Effort:
    """What a chat template has to say how much a model thinks.

    https://huggingface.co/docs/transformers/chat_templating has no names for it: these are the families' own.
    """

    def __init__(self, template: ChatTemplate | None) -> None:
        self._source = template.source if template else ""
        self._variables = template.variables if template else frozenset[str]()

    @property
    def switches(self) -> bool:
        """Whether the template itself keeps the model from thinking where that is asked for."""
        return bool(self._variables & _SWITCHES)

    def told(self, request: ChatRequest) -> ChatRequest:
        """Return a request whose template arguments say how much to think.

        Arguments that the request has itself win over ``reasoning_effort``, and ``thinking_budget`` wins over the
        budget of an effort. Where there is to be no thinking, whatever says so, ``reasoning_effort`` is none.
        """
        effort, budget = request.reasoning_effort, request.thinking_budget
        if effort is None and budget is None:
            return request
        given = request.chat_template_kwargs
        asked = next((bool(given[name]) for name in sorted(_SWITCHES & given.keys())), None)
        off = not asked if asked is not None else effort == "none" or budget == 0
        if off:
            effort, budget = "none", 0
        elif effort == "none":
            effort = None
        if budget is None and effort is not None and _LEVEL not in self._variables:
            budget = BUDGETS.get(effort)
        arguments = self._arguments(effort, budget, on=not off)
        return replace(
            request, reasoning_effort=effort, thinking_budget=budget, chat_template_kwargs={**arguments, **given}
        )

    def _arguments(self, effort: str | None, budget: int | None, *, on: bool) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(self._variables & _SWITCHES, on)
        if _LEVEL in self._variables and effort is not None and (on or self._names(effort)):
            found[_LEVEL] = effort if self._names(effort) else _NEAREST.get(effort, effort)
        if _BUDGET in self._variables and budget is not None:
            found[_BUDGET] = budget
        return found

    def _names(self, level: str) -> bool:
        return f"'{level}'" in self._source or f'"{level}"' in self._source


def refuse_effort(request: ChatRequest) -> None:
    """Raise BadRequest where a request asks a model to think that is not known to."""
    why = "this model is not known to think before it answers"
    if request.thinking_budget is not None:
        raise BadRequest(f"thinking_budget: {why}, so there is nothing to limit; leave it out", param="thinking_budget")
    if request.reasoning_effort not in (None, "none"):
        raise BadRequest(
            f'reasoning_effort: {why}; leave it out or send "none", or name the form of its thoughts by the '
            "backend's option reasoning_format",
            param="reasoning_effort",
        )
