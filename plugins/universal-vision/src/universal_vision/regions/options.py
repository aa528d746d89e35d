"""The options of the ``vision-regions`` backend."""

from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, DtypeOption, ThreadsOption, TrustRemoteCodeOption


class RegionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model that says where things are is loaded and run."""

    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"
    threads: ThreadsOption = None
    trust_remote_code: TrustRemoteCodeOption = False
    slots: Annotated[
        int, Meta(ge=1, description="Requests that run at the same time; their pictures share batches.")
    ] = 64
    batch_size: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Most pictures that go through the model at once, fewer of large ones; none means 8 on a CPU "
            "and 32 elsewhere."
        ),
    ] = None
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
