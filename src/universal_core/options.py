"""Options that backends of several plugins have, with one meaning and one description."""

from typing import Annotated, Literal

from msgspec import Meta

DeviceOption = Annotated[
    str,
    Meta(
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        description="Where to run: auto, cpu, cuda, cuda:1 or mps; auto takes the fastest there is.",
    ),
]
"""A device by the name that PyTorch has for it."""

DtypeOption = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    Meta(description="Number format of the weights; auto keeps the model's own where the device computes with it."),
]
"""A number format by the name that PyTorch has for it."""

ThreadsOption = Annotated[
    Annotated[int, Meta(ge=1)] | None,
    Meta(description="Threads to compute with; none means one per core that the process may use."),
]
"""How many threads compute."""

TrustRemoteCodeOption = Annotated[
    bool, Meta(description="Run the Python code that comes with the model. Only for models that you trust.")
]
"""Whether code that is no part of an installed library may run."""
