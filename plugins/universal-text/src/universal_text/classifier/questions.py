"""Writes a query and a document as a model's chat template has them, for models that were trained so."""

from collections.abc import Sequence
from typing import Any

import msgspec
from jinja2 import TemplateError

from universal_core import LoadFailed, RerankRequest
from universal_text.classifier.network import Network, Row


class Form(msgspec.Struct, frozen=True):
    """How turns are given to a template: whether their content is a text or a list, and the template's arguments."""

    is_flat: bool
    arguments: dict[str, Any] = {}


class Questions:
    """Turns a query and a document into tokens, with the turns ``query`` and ``document``, as a CrossEncoder does."""

    def __init__(self, network: Network, form: Form, prompt: str) -> None:
        """``prompt`` is the system's turn, if any; raises LoadFailed for a template that has no such turns."""
        self._tokenizer = network.tokenizer
        self._longest = network.longest
        self._form = form
        self._prompt = prompt
        self._ending = self._common_ending()

    def rows(self, request: RerankRequest) -> list[Row]:
        """Return a row for each document."""
        written = self._written([(request.query, document) for document in request.documents])
        return [Row(self._cut(ids)) for ids in written]

    def _cut(self, ids: list[int]) -> list[int]:
        """Cut what is too long before the template's ending, which the model is judged after."""
        if self._longest is None or len(ids) <= self._longest:
            return ids
        return ids[: max(0, self._longest - len(self._ending))] + self._ending

    def _written(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        turns = [self._turns(*pair) for pair in pairs]
        written: Any = self._tokenizer.apply_chat_template(
            turns, tokenize=True, return_dict=True, **self._form.arguments
        )
        found: list[list[int]] = written["input_ids"]
        return found

    def _turns(self, query: str, document: str) -> list[dict[str, Any]]:
        said = {"system": self._prompt, "query": query, "document": document}
        return [
            {"role": role, "content": text if self._form.is_flat else [{"type": "text", "text": text}]}
            for role, text in said.items()
            if text or role != "system"
        ]

    def _common_ending(self) -> list[int]:
        """Return the tokens that the template puts behind every pair; raises LoadFailed where it leaves a text out."""
        try:
            one, other, third = self._written([("0", "0"), ("0", "1 2 3 4"), ("1 2 3 4", "0")])
        except (TemplateError, ValueError) as error:
            raise LoadFailed(f"The chat template cannot write a query and a document: {error}") from error
        if one in (other, third):
            raise LoadFailed("The chat template leaves out the query or the document.")
        first, second = one[::-1], other[::-1]
        count = next(place for place, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1])
        return one[len(one) - count :]


def questions_for(network: Network, prompt: str) -> Questions | None:
    """Return how pairs are written, None for a model that reads them as they are.

    Where the model's files do not say, its chat template does: by having turns for a query and a document. Raises
    LoadFailed where the files say what the template cannot do.
    """
    ways, arguments = network.settings.get("modality_config"), _arguments(network.settings)
    if ways is not None:
        told = ways.get("message")
        return Questions(network, Form(told.get("format") == "flat", arguments), prompt) if told else None
    if not network.tokenizer.chat_template:
        return None
    found = (_attempt(network, Form(is_flat, arguments), prompt) for is_flat in (True, False))
    return next((questions for questions in found if questions), None)


def _attempt(network: Network, form: Form, prompt: str) -> Questions | None:
    try:
        return Questions(network, form, prompt)
    except LoadFailed:
        return None


def _arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the template that the files name; raises LoadFailed for what is not known here."""
    processing = dict(settings.get("processing_kwargs") or {})
    arguments = dict(processing.pop("chat_template", {}))
    if processing or arguments.pop("restore_suffix", True) is not True:
        raise LoadFailed("The model has processing_kwargs that are not known here: only those of chat_template are.")
    return arguments
