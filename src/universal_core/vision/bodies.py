"""The fields that the endpoints for several pictures share."""

from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core.openai import Image, Source, sources_of

MOST_IMAGES = 256
"""Pictures in one request."""

Images = Image | Annotated[list[Image], Meta(min_length=1, max_length=MOST_IMAGES)]


class ImagesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body with pictures."""

    images: Images
    model: str | None = None
    user: str | None = None

    def sources(self) -> dict[str, Source]:
        """Return where each picture is, by the field that errors name. Raises BadRequest."""
        return sources_of(self.images, "images")
