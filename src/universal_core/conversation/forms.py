"""From the form that a request wants its answer in to a grammar."""

import json
from typing import Any

from llguidance import regex_to_lark
from llguidance.gbnf_to_lark import any_to_lark

from universal_core.conversation.constraint import Grammar
from universal_core.errors import BadRequest
from universal_core.messages import ResponseFormat


def grammar_of(form: ResponseFormat) -> Grammar:
    """Return the grammar of a form: the one part ``answer``. Raises BadRequest for GBNF that cannot be read."""
    return Grammar("start: @answer", {"answer": _part(form)}, {"answer": form.param})


def _part(form: ResponseFormat) -> dict[str, Any]:
    match form.type:
        case "json_object":
            return {"json_schema": {"type": "object"}}
        case "json_schema":
            return {"json_schema": form.schema}
        case "regex":
            return {"lark_grammar": f"start: /{regex_to_lark(form.text, '')}/"}
        case "choice":
            return {"lark_grammar": f"start: {' | '.join(map(json.dumps, form.choices))}"}
        case _:
            return {"lark_grammar": _lark(form)}


def _lark(form: ResponseFormat) -> str:
    """Return a grammar in llguidance's form: Lark as it is, and GBNF translated."""
    try:
        return any_to_lark(form.text)
    except Exception as error:  # noqa: BLE001 - llguidance has no narrower class for GBNF that it cannot read
        raise BadRequest(f"{form.param}: {error}", param=form.param) from None
