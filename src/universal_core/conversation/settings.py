"""From a request and the model's own defaults to complete settings."""

from typing import Any

from universal_core.conversation.sampling import Sampling
from universal_core.errors import BadRequest, ContextLengthExceeded
from universal_core.messages import GenerationRequest

_RANGES = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-100.0, 100.0),
    "frequency_penalty": (-100.0, 100.0),
}


def sampling_of(request: GenerationRequest, defaults: dict[str, Any], vocabulary: int, index: int) -> Sampling:
    """Return the settings of answer ``index``; raise BadRequest for a value that cannot be honoured."""
    _check(request, vocabulary)
    asked = {name: getattr(request, name) for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")}
    chosen = defaults | {name: value for name, value in asked.items() if value is not None}
    chosen["top_k"] = max(0, chosen.get("top_k", 0))
    return Sampling(
        **chosen,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        logit_bias=request.logit_bias,
        # A text as the seed tells any two pairs of seed and index apart, negative and huge numbers included.
        seed=None if request.seed is None else f"{request.seed}:{index}",
        logprobs=request.logprobs,
    )


def context_asked(asked: int | None, known: int) -> int:
    """Return the context of a request; raise BadRequest where it asks for more than the model has."""
    if asked is not None and asked > known:
        raise BadRequest(f"n_ctx: this model's context is {known} tokens, {asked} were asked for", param="n_ctx")
    return asked or known


def room_for(prompt: int, request: GenerationRequest, context: int, param: str) -> int:
    """Return how many tokens may be written; raise ContextLengthExceeded where prompt and answer do not fit."""
    room, most = context - prompt, request.max_tokens
    least = None if request.max_tokens_is_ceiling else most
    if room >= (1 if least is None else least):
        return room if most is None else min(most, room)
    wish = (
        "leaves no room for an answer"
        if least is None
        else f"and max_tokens asks for {least} more, {prompt + least} in all"
    )
    raise ContextLengthExceeded(
        f"This model's context is {context} tokens. The prompt has {prompt} tokens {wish}. "
        "Shorten the prompt or lower max_tokens.",
        param=param,
    )


def _check(request: GenerationRequest, vocabulary: int) -> None:
    for name, (low, high) in _RANGES.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            raise BadRequest(f"{name} must be from {low:g} to {high:g}, not {value}", param=name)
    if request.repetition_penalty is not None and request.repetition_penalty <= 0:
        raise BadRequest(
            f"repetition_penalty must be above 0, not {request.repetition_penalty}", param="repetition_penalty"
        )
    wrong = next((token for token in request.logit_bias if not 0 <= token < vocabulary), None)
    if wrong is not None:
        raise BadRequest(f"token {wrong} is not one of the model's {vocabulary} tokens", param="logit_bias")
