"""Universal Runtime's core: what plugin authors import."""

from universal_core.batching import batched
from universal_core.errors import (
    BadRequest,
    ContextLengthExceeded,
    Forbidden,
    InsufficientMemory,
    InternalError,
    LoadFailed,
    ModelNotFound,
    TaskNotSupported,
    UniversalError,
    UnsupportedField,
)
from universal_core.hookspecs import hookimpl
from universal_core.messages import *  # noqa: F403 - the whole domain is public here
from universal_core.messages import __all__ as _messages
from universal_core.models import (
    Backend,
    Claim,
    MemoryEstimate,
    ModelFile,
    ModelInfo,
    ModelRef,
    NoOptions,
    Progress,
)

API_VERSION = 1
"""The version of the plugin interface; a plugin states the one it was written for."""

__all__ = [
    "API_VERSION",
    "Backend",
    "BadRequest",
    "Claim",
    "ContextLengthExceeded",
    "Forbidden",
    "InsufficientMemory",
    "InternalError",
    "LoadFailed",
    "MemoryEstimate",
    "ModelFile",
    "ModelInfo",
    "ModelNotFound",
    "ModelRef",
    "NoOptions",
    "Progress",
    "TaskNotSupported",
    "UniversalError",
    "UnsupportedField",
    "batched",
    "hookimpl",
    *_messages,
]
