"""The options of the ``vision-regions`` backend."""

from typing import Annotated

from msgspec import Meta

from universal_vision.options import BatchOptions


class RegionOptions(BatchOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model that says where things are is loaded and run."""

    threshold: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(
            description="Least score of what is told where a request does not say; none means what transformers has "
            "for the kind of model."
        ),
    ] = None
    max_pixels: Annotated[
        int,
        Meta(
            ge=4096,
            description="Pixels beyond which a picture is made smaller, for models whose files give no size to bring "
            "pictures to.",
        ),
    ] = 1_048_576
