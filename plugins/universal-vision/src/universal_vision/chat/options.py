"""The options of the ``vision-chat`` backend."""

from typing import Annotated

from msgspec import Meta

from universal_text.options import CausalOptions


class ChatOptions(CausalOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a chat model that sees is loaded and run: as one that only reads, and how large it sees pictures."""

    max_pixels: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="A picture of more pixels is shrunk to so many first; none leaves it to the model."),
    ] = None
