"""The form in which a model writes its turns: where it thinks, how it calls tools, and where its answer is."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from universal_core.conversation.constraint import Grammar
from universal_core.conversation.effort import Effort, refuse_effort
from universal_core.conversation.parsing import PlainTurn, TurnParser
from universal_core.conversation.reasoning import ReasoningFormat, ThinkingTurn, place_of, thought_rules
from universal_core.conversation.template import ChatTemplate
from universal_core.conversation.tools import HERMES, Rules, Spell, ToolFormat, Wording, callable_tools, support_of
from universal_core.conversation.tools.lark import literal
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import BadRequest
from universal_core.messages import ChatRequest


class Dialect(Protocol):
    """What a model was trained on to write as an assistant's turn. ``tail`` is the end of a prompt, with all tokens."""

    def told(self, request: ChatRequest) -> ChatRequest:
        """Return a request whose template arguments say how much to think, in the words of the model's template.

        Raises BadRequest where the model is not known to think.
        """

    def shown(self, request: ChatRequest) -> ChatRequest:
        """Return a request as its template is to see it: no tools but those that it shows and that may be called."""

    def ending(self, request: ChatRequest, prompt: str) -> str:
        """Return what is put behind a prompt, so that the model does not think where it is not to."""

    def markers(self, request: ChatRequest) -> Mapping[int, str]:
        """Return the special tokens that the parser has to see, with the text that it sees for each."""

    def parser(self, request: ChatRequest, tail: str) -> TurnParser:
        """Return what takes one turn apart."""

    def grammar(self, request: ChatRequest, tail: str, form: Grammar | None) -> Grammar | None:
        """Return what a whole turn must follow, None where it is free: ``form`` where the answer itself stands.

        Calls follow the schemas of their tools.
        """

    def thought_end(self, request: ChatRequest, tail: str) -> str | None:
        """Return what closes a thought that has become too long, None where none can come."""


class TaggedDialect:
    """Turns that begin with thoughts between markers, in a ``reasoning`` format, and have calls in a ``tools`` format.

    None means that the model does not think, or does not call tools, in a way that is known.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        template: ChatTemplate | None = None,
        reasoning: ReasoningFormat | None = None,
        tools: ToolFormat | None = None,
        wording: Wording | None = None,
    ) -> None:
        self._wording = wording or Wording(tools or HERMES, support_of(template))
        self._reasoning = reasoning
        self._tools = tools
        self._effort = Effort(template)
        self._spell = speller(vocabulary)
        self._thinks_by_template = reasoning is not None and template is not None and reasoning.is_in(template.source)
        self._thought_markers = tokens_of(vocabulary, reasoning.markers if reasoning else ())
        self._tool_markers = tokens_of(vocabulary, tools.markers if tools else ())

    def told(self, request: ChatRequest) -> ChatRequest:
        """Return a request whose template arguments say how much to think."""
        if self._reasoning is None:
            refuse_effort(request)
            return request
        return self._effort.told(request)

    def shown(self, request: ChatRequest) -> ChatRequest:
        """Return a request with its tools as the template shows them, or in words."""
        return self._wording.shown(request)

    def ending(self, request: ChatRequest, prompt: str) -> str:
        """Return what closes a thought that the template opened, or an empty thought where it has no switch."""
        if self._reasoning is None or request.reasoning_effort != "none":
            return ""
        place = place_of(self._reasoning, request, prompt)
        if place == "inside":
            return self._reasoning.end
        free = place == "before" and not self._effort.switches and self._thinks_by_template
        return self._reasoning.nothing if free else ""

    def markers(self, request: ChatRequest) -> Mapping[int, str]:
        """Return the tokens of thoughts, and those of calls where tools may be called."""
        return self._thought_markers | (self._tool_markers if callable_tools(request) else {})

    def parser(self, request: ChatRequest, tail: str) -> TurnParser:
        """Return what takes thoughts and calls apart from the answer."""
        rest: TurnParser = PlainTurn()
        if self._tools is not None and callable_tools(request):
            rest = self._tools.parser(request, guaranteed=enforces(request))
        if self._reasoning is None:
            return rest
        return ThinkingTurn(self._reasoning, place_of(self._reasoning, request, tail), rest)

    def grammar(self, request: ChatRequest, tail: str, form: Grammar | None) -> Grammar | None:
        """Return a thought that may come first, and then the form, or calls that are valid."""
        rules = self._rules(request, form)
        if rules is None:
            return None
        start = "start: turn\n"
        if self._reasoning is not None:
            start = thought_rules(self._reasoning, place_of(self._reasoning, request, tail), self._spell)
        return Grammar(start + rules.text, rules.parts, rules.params)

    def thought_end(self, request: ChatRequest, tail: str) -> str | None:
        """Return the closing marker as templates write it."""
        if self._reasoning is None or place_of(self._reasoning, request, tail) == "after":
            return None
        return self._reasoning.end

    def _rules(self, request: ChatRequest, form: Grammar | None) -> Rules | None:
        """Return what may follow any thoughts, None where that is free."""
        if self._tools is None and request.tool_choice == "required" and callable_tools(request):
            raise BadRequest("tool_choice: this model has no known way of calling tools", param="tool_choice")
        if self._tools is None or not enforces(request):
            return embedded(form) if form else None
        rules = self._tools.rules(request, spell=self._spell, answer="@form" if form else "")
        known = embedded(form) if form else Rules("")
        return Rules(rules.text, {**known.parts, **rules.parts}, {**known.params, **rules.params})


def enforces(request: ChatRequest) -> bool:
    """Whether a grammar keeps calls valid: wherever tools may be called, strict ones or not.

    Text in which no call has begun costs 9 µs a token by the median at a vocabulary of 150,000, and 30 µs in the mean.
    """
    return bool(callable_tools(request))


def embedded(form: Grammar) -> Rules:
    """Return a form as the part ``@form`` of a larger grammar, and ``turn`` as nothing but that."""
    return Rules("turn: @form\n", {"form": {"lark_grammar": form.rules}, **form.parts}, form.params)


def speller(vocabulary: Vocabulary) -> Spell:
    """Return what writes a marker as Lark: as the one special token that it is, else as text."""

    def spell(marker: str) -> str:
        token = vocabulary.named(marker)
        if token is None or not vocabulary.is_special(token):
            return literal(marker)
        return f"<[{token}]>"

    return spell


def tokens_of(vocabulary: Vocabulary, markers: Iterable[str]) -> dict[int, str]:
    """Return those of the markers that are one token, by their tokens."""
    return {token: marker for marker in markers if (token := vocabulary.named(marker)) is not None}
