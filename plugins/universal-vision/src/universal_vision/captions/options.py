"""The options of the ``vision-captions`` backend."""

from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, DtypeOption, ThreadsOption, TrustRemoteCodeOption


class CaptionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is loaded and run."""

    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"
    trust_remote_code: TrustRemoteCodeOption = False
    threads: ThreadsOption = None
    slots: Annotated[
        int, Meta(ge=1, description="Requests that are worked on at the same time, in batches; more of them wait.")
    ] = 16
    batch_size: Annotated[int, Meta(ge=1, description="Most pictures that are written about together.")] = 8
    num_beams: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Wordings that are weighed against each other; none means what the model says."),
    ] = None
    question_prompt: Annotated[
        Annotated[str, Meta(pattern=r"\{question\}")] | None,
        Meta(description="What a question is put into, with {question} in its place; none means the family's own."),
    ] = None
