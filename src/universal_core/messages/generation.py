"""What chat and completion share: sampling fields, and the events of a text being written."""

from typing import Any, Literal

from universal_core.messages.message import Event, Message, Request

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ResponseFormat(Message, frozen=True, kw_only=True):
    """The form that an answer must have; ``param`` is the field of the request that asks for it.

    ``json_object`` is any JSON object, ``json_schema`` what ``schema`` describes, ``regex`` what the expression
    ``text`` matches as a whole, ``choice`` one of ``choices``, and ``grammar`` what ``text`` derives, in Lark as
    llguidance knows it or in llama.cpp's GBNF.
    """

    type: Literal["json_object", "json_schema", "regex", "choice", "grammar"]
    param: str = "response_format"
    name: str | None = None
    schema: dict[str, Any] | bool | None = None
    strict: bool = False
    text: str = ""
    choices: tuple[str, ...] = ()


class GenerationRequest(Request, frozen=True, kw_only=True):
    """The fields that say how text is to be sampled; None means the model's own default.

    ``n`` is how many answers are written, each told apart by the ``index`` of its events. ``logprobs`` is the
    number of alternatives to report beside each token, None for no report at all. ``adapter`` is one of those that the
    model is configured with; the name of the model asks for it. Where prompt and ``max_tokens`` do not fit together,
    the request is refused, unless ``max_tokens_is_ceiling``: then the answer ends with the context.
    """

    max_tokens: int | None = None
    max_tokens_is_ceiling: bool = False
    n: int = 1
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    n_ctx: int | None = None
    response_format: ResponseFormat | None = None
    adapter: str | None = None

    def features(self) -> dict[str, str]:
        """Name the field that asks for a form by the name that the client gave it, and for an adapter ``model``."""
        found = super().features()
        if self.adapter is not None:
            found["adapter"] = "model"
        return found | {"response_format": self.response_format.param} if self.response_format else found


SAMPLING_FIELDS = (
    "n",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "stop",
    "logprobs",
)
"""The sampling fields that a full sampler honours, ready for ``Claim.fields``."""


class TokenAlternative(Event, frozen=True, kw_only=True):
    """A token as text and bytes, with the natural logarithm of its probability."""

    token: str
    data: bytes
    logprob: float


class TokenLogprob(Event, frozen=True, kw_only=True):
    """A token that was chosen, or that a prompt has, with the most likely alternatives at its place, best first.

    ``token``, ``data`` and ``logprob`` are those of TokenAlternative; the first token of a prompt has no ``logprob``.
    """

    token: str
    data: bytes
    logprob: float | None
    alternatives: tuple[TokenAlternative, ...] = ()


class Text(Event, frozen=True, kw_only=True):
    """Text to append to answer ``index``, with its tokens where logprobs were asked for."""

    text: str
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


class Finish(Event, frozen=True, kw_only=True):
    """Answer ``index`` is complete, and why; ``stop`` is the stop string that ended it, where one did."""

    reason: FinishReason
    index: int = 0
    stop: str | None = None
