"""The options of the ``text-embeddings`` backend."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from universal_core import DeviceOption, ThreadsOption, TrustRemoteCodeOption

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt", "weightedmean", "last"]


class EncoderOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an embedding model is loaded and run."""

    engine: Annotated[
        Literal["pytorch", "openvino"],
        Meta(
            description="What computes the vectors of the tokens: PyTorch, or OpenVINO, which is faster on a processor "
            'and needs pip install "universal-text[openvino]".'
        ),
    ] = "pytorch"
    device: DeviceOption = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Meta(
            description="Number format of the matrices; auto is bfloat16 where the device computes with it, else "
            "float32. What a float32 checkpoint adds up, and pooling and normalizing, stay in float32."
        ),
    ] = "auto"
    trust_remote_code: TrustRemoteCodeOption = False
    threads: ThreadsOption = None
    max_length: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Tokens of an input that are read, the rest is cut off; none means what the model says."),
    ] = None
    batch_tokens: Annotated[
        int, Meta(ge=1, description="Tokens that go through the model at once, with the padding where there is any.")
    ] = 4096
    pooling: Annotated[
        PoolingMode | None,
        Meta(description="How the vectors of the tokens become one; none means what the model says."),
    ] = None
