"""One input or many, each a text or token ids: the form that completions and embeddings share."""

from typing import Annotated

from msgspec import Meta

from universal_core.errors import BadRequest

Token = Annotated[int, Meta(ge=0)]
Inputs = str | list[str | Token | list[Token]]


def split(inputs: Inputs, param: str) -> list[str | tuple[int, ...]]:
    """Return every input by itself; a flat list of token ids is one. Raises BadRequest for an empty or a mixed list."""
    if isinstance(inputs, str):
        return [inputs]
    if not inputs:
        raise BadRequest(f"{param}: expected at least one text or token", param=param)
    tokens = [item for item in inputs if isinstance(item, int)]
    if len(tokens) == len(inputs):
        return [tuple(tokens)]
    if tokens:
        at = next(
            position for position, item in enumerate(inputs) if isinstance(item, int) != isinstance(inputs[0], int)
        )
        raise BadRequest(
            f"{param}[{at}]: token ids and texts cannot be mixed; send a list of lists", param=f"{param}[{at}]"
        )
    return [item if isinstance(item, str) else tuple(item) for item in inputs if not isinstance(item, int)]
