"""What several endpoints read: one input or many, each a text or token ids; and the usage of those that only read."""

from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core.errors import BadRequest

# The frames between the processes have no larger numbers.
Token = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Inputs = str | list[str | Token | list[Token]]


def split(inputs: Inputs, param: str) -> list[str | tuple[int, ...]]:
    """Return every input by itself; a flat list of token ids is one. Raises BadRequest for an empty or a mixed list."""
    if isinstance(inputs, str):
        return [inputs]
    if not inputs:
        raise BadRequest(f"{param}: expected at least one text or token", param=param)
    # The usual case, in half the time: there can be thousands.
    if set(map(type, inputs)) == {str}:
        return [item for item in inputs if isinstance(item, str)]
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


class InputUsage(msgspec.Struct):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, tokens: int) -> "InputUsage":
        """Return the usage of an answer that has no tokens of its own."""
        return cls(tokens, tokens)
