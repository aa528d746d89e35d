"""Which adapter writes an answer."""

from collections.abc import Collection

from universal_core.errors import BadRequest
from universal_core.messages import GenerationRequest


def adapter_of(request: GenerationRequest, known: Collection[str]) -> str | None:
    """Return the adapter that a request is answered with, None for the model alone.

    Raises BadRequest for one that is not among those that the model was loaded with.
    """
    if request.adapter is None or request.adapter in known:
        return request.adapter
    there = ", ".join(known) or "none"
    raise BadRequest(f"model: there is no adapter {request.adapter!r}; loaded are: {there}", param="model")
