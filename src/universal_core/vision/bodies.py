"""The fields that the endpoints for several pictures share."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from universal_core.errors import BadRequest
from universal_core.openai import Image, Source, sources_of

MOST_IMAGES = 256
"""Pictures in one request."""

MOST_LABELS = 1000
"""Labels in one request: as many as ImageNet has."""

LONGEST_LABEL = 1000
"""Characters of a label; models read fewer than a hundred tokens of one."""

# The frames between the processes have no larger numbers.
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Images = Image | Annotated[list[Image], Meta(min_length=1, max_length=MOST_IMAGES)]
Label = Annotated[str, Meta(min_length=1, max_length=LONGEST_LABEL)]
Labels = str | Annotated[list[Label], Meta(min_length=1, max_length=MOST_LABELS)]


class ImagesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body with pictures."""

    images: Images
    model: str | None = None
    user: str | None = None

    def sources(self) -> dict[str, Source]:
        """Return where each picture is, by the field that errors name. Raises BadRequest."""
        return sources_of(self.images, "images")


def labels_of(labels: Labels | None) -> tuple[str, ...]:
    """Return labels, those of a text where they are separated by commas. Raises BadRequest."""
    if labels is None:
        return ()
    found = [label.strip() for label in labels.split(",")] if isinstance(labels, str) else labels
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


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that a client set; for the others the domain's request has its own values."""
    return {name: value for name, value in fields.items() if value is not None}
