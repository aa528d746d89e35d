"""The options of the ``text-classification`` and ``token-classification`` backends."""

from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, DtypeOption, ThreadsOption, TrustRemoteCodeOption


class ClassifierOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a classifier is loaded and run."""

    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"
    trust_remote_code: TrustRemoteCodeOption = False
    threads: ThreadsOption = None
    max_length: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Tokens of an input that are read, of both its texts together; the rest is cut off. None means "
            "what the model says."
        ),
    ] = None
    batch_tokens: Annotated[
        int, Meta(ge=1, description="Tokens that go through the model at once, with the padding where there is any.")
    ] = 4096
