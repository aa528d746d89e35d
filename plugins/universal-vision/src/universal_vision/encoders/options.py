"""The options of the ``vision`` backend."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, DtypeOption, ThreadsOption, TrustRemoteCodeOption

PoolingMode = Literal["pooler", "cls", "mean"]


class EncoderOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model that looks at pictures is loaded and run."""

    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"
    threads: ThreadsOption = None
    trust_remote_code: TrustRemoteCodeOption = False
    slots: Annotated[
        int, Meta(ge=1, description="Requests that run at the same time; their pictures share batches.")
    ] = 64
    batch_size: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Most pictures that go through the model at once; none means 8 on a CPU and 32 elsewhere."),
    ] = None
    pooling: Annotated[
        PoolingMode | None,
        Meta(
            description="Which vector of a model of pictures alone is its embedding: what its pooler makes, that of "
            "the class token, or the mean of those of the patches; none means the first of these that the model has."
        ),
    ] = None
