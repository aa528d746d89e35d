"""The options that all backends of this plugin have."""

from typing import Annotated

from msgspec import Meta

Device = Annotated[
    str,
    Meta(
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        description="Where to run: auto, cpu, cuda, cuda:1 or mps; auto takes the fastest there is.",
    ),
]
Threads = Annotated[
    Annotated[int, Meta(ge=1)] | None,
    Meta(description="Threads to compute with; none means one per core that the process may use."),
]
