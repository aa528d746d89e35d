"""Labels of a client's own, and the answer of the endpoints that label what they are given."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from universal_core.errors import BadRequest
from universal_core.messages import Prediction
from universal_core.openai.inputs import InputUsage

MOST_LABELS = 1000
"""Labels in one request: as many as ImageNet has."""

LONGEST_LABEL = 1000
"""Characters of a label; models read fewer than a hundred tokens of one."""

# The frames between the processes have no larger numbers.
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Label = Annotated[str, Meta(min_length=1, max_length=LONGEST_LABEL)]
Labels = str | Annotated[list[Label], Meta(min_length=1, max_length=MOST_LABELS)]


def labels_of(labels: Labels | None) -> tuple[str, ...]:
    """Return labels, those of a text where they are a JSON list or separated by commas. Raises BadRequest."""
    if labels is None:
        return ()
    found = _split(labels) if isinstance(labels, str) else labels
    for at, label in enumerate(found):
        if not 0 < len(label.strip()) <= LONGEST_LABEL:
            raise BadRequest(
                f"candidate_labels[{at}]: expected a label of 1 to {LONGEST_LABEL} characters, got {label[:40]!r}",
                param=f"candidate_labels[{at}]",
            )
    if len(found) > MOST_LABELS:
        raise BadRequest(
            f"candidate_labels: at most {MOST_LABELS} in one request, got {len(found)}", param="candidate_labels"
        )
    return tuple(found)


def _split(text: str) -> list[str]:
    # Forms have texts alone, and some clients write into them what they would write into JSON.
    with suppress(msgspec.DecodeError):
        found: list[str] = msgspec.json.decode(text, type=Annotated[list[str], Meta(min_length=1)])
        return found
    return [label.strip() for label in text.split(",")]


def template_of(template: str | None, example: str) -> str | None:
    """Return the sentence that a label stands in; ``example`` is what one looks like. Raises BadRequest."""
    if template is not None and template.count("{}") != 1:
        raise BadRequest(
            f"hypothesis_template: expected {{}} once, where a label goes, as in {example!r}; got it "
            f"{template.count('{}')} times",
            param="hypothesis_template",
        )
    return template


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that a client set; for the others the domain's request has its own values."""
    return {name: value for name, value in fields.items() if value is not None}


class Predicted(msgspec.Struct, frozen=True):
    """The labels of one input, the likeliest first."""

    index: int
    predictions: tuple[Prediction, ...]


class Predictions(msgspec.Struct, frozen=True, kw_only=True):
    """The answer."""

    object: Literal["list"] = "list"
    data: list[Predicted]
    model: str
    usage: InputUsage

    @classmethod
    def of(cls, model: str, found: Sequence[tuple[Prediction, ...]], tokens: int) -> "Predictions":
        """Return the labels in the order of the inputs; ``tokens`` were read for them."""
        data = [Predicted(at, predictions) for at, predictions in enumerate(found)]
        return cls(data=data, model=model, usage=InputUsage.of(tokens))
