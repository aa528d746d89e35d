"""The options that backends have whose pictures share batches."""

from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, DtypeOption, ThreadsOption, TrustRemoteCodeOption


class BatchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is loaded, and how many pictures it looks at together."""

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

    def most(self, device: str) -> int:
        """Return how many pictures go through the model at once on a kind of device."""
        # More make a CPU no faster, and smaller batches let one be read while another is computed.
        return self.batch_size or (8 if device == "cpu" else 32)
