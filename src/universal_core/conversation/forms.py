"""From the form that a request wants its answer in to a grammar."""

from typing import Any

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import any_to_lark

from universal_core.conversation.constraint import Grammar
from universal_core.errors import BadRequest
from universal_core.messages import ResponseFormat


def grammar_of(form: ResponseFormat) -> Grammar:
    """Return the grammar of a form: the one part ``answer``. Raises BadRequest for a form that is not valid."""
    return Grammar("start: @answer", {"answer": _part(form)}, {"answer": form.param})


def _part(form: ResponseFormat) -> dict[str, Any]:
    match form.type:
        case "json_object":
            return {"json_schema": {"type": "object"}}
        case "json_schema":
            return {"json_schema": form.schema}
        case "regex":
            return {"lark_grammar": f"start: /{form.text.replace('/', chr(92) + '/')}/"}
        case "choice":
            return {"json_schema": {"enum": list(form.choices)}}
        case _:
            return {"lark_grammar": _lark(form)}


def _lark(form: ResponseFormat) -> str:
    """Return a grammar in llguidance's form: Lark as it is, and GBNF translated."""
    try:
        lark = any_to_lark(form.text)
    except Exception as error:  # noqa: BLE001 - llguidance has no narrower class for GBNF that it cannot read
        raise BadRequest(f"{form.param}: {error}", param=form.param) from None
    problem = LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(lark))
    if problem:
        raise BadRequest(f"{form.param}: {problem.strip().splitlines()[0]}", param=form.param)
    return lark
