"""Options that backends of several plugins have, with one meaning and one description."""

from typing import Annotated, Literal

import msgspec
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
    Meta(description="Threads to compute with; none means one per core that the process may use and nobody else does."),
]
"""How many threads compute."""

TrustRemoteCodeOption = Annotated[
    bool, Meta(description="Run the Python code that comes with the model. Only for models that you trust.")
]
"""Whether code that is no part of an installed library may run."""

ReasoningFormatOption = Annotated[
    str,
    Meta(
        description="Form of the model's thoughts: auto, none, think, magistral, granite, harmony, seed, cohere, "
        "gemma, apertus or kimi-vl; auto tells by its template and its special tokens."
    ),
]
"""How a model writes what it thinks."""

ToolFormatOption = Annotated[
    Literal[
        "auto",
        "none",
        "hermes",
        "mistral",
        "mistral-v11",
        "granite",
        "phi-4",
        "deepseek-v3",
        "deepseek-v3.1",
        "kimi",
        "nemotron",
        "jamba",
        "qwen-xml",
        "seed",
        "glm",
        "minimax",
        "llama",
        "json",
        "pythonic",
        "lfm2",
        "gemma",
        "function-gemma",
        "gemma-4",
    ],
    Meta(description="Form of the model's calls of tools: auto, none or a format's name; auto tells by its template."),
]
"""How a model writes calls."""


class AdapterPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an adapter is, and how strongly it acts: 1 as it was trained, 0 not at all."""

    path: Annotated[str, Meta(min_length=1)]
    scale: float = 1.0

    @classmethod
    def of(cls, option: "str | AdapterPlace") -> "AdapterPlace":
        """Return the place that an option names, which may be written as the path alone."""
        return cls(path=option) if isinstance(option, str) else option


AdaptersOption = Annotated[
    Annotated[
        dict[
            Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")],
            Annotated[str, Meta(min_length=1)] | AdapterPlace,
        ],
        Meta(max_length=64),
    ]
    | None,
    Meta(
        description="LoRA adapters by name: the path of each or its repository, or that with a scale; a request "
        "chooses one as model:name.",
    ),
]
"""The adapters of a model that writes, by the names that requests choose them by."""
