"""The options of the ``vision`` backend."""

from typing import Annotated, Literal

from msgspec import Meta

from universal_vision.options import BatchOptions

PoolingMode = Literal["pooler", "cls", "mean"]


class EncoderOptions(BatchOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model that looks at pictures is loaded and run."""

    pooling: Annotated[
        PoolingMode | None,
        Meta(
            description="Which vector of a model of pictures alone is its embedding: what its pooler makes, that of "
            "the class token, or the mean of those of the patches; none means the first of these that the model has."
        ),
    ] = None
