"""The wire fields that chat and completions share."""

import time
import uuid
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from universal_core.errors import BadRequest
from universal_core.messages import Usage
from universal_core.openai.forms import GuidedBody

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1)]
StopText = Annotated[str, Meta(min_length=1)]


_SAMPLING = (
    *("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty"),
    *("frequency_penalty", "logit_bias", "seed", "n_ctx"),
)


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``stream_options``; obfuscation, which hides the length of tokens from eavesdroppers, is not needed here."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class SamplingBody(GuidedBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of every endpoint that writes text; null means the same as leaving a field out."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    min_p: Share | None = None
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[int, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: StopText | Annotated[list[StopText], Meta(max_length=32)] | None = None
    n_ctx: Positive | None = None
    # They change nothing of the answer, so every model honours them.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None

    def sampling(self) -> dict[str, Any]:
        """Return the fields of a GenerationRequest that the client set."""
        if self.stream_options is not None and not self.stream:
            raise BadRequest(
                "stream_options: only allowed with stream true; set it or remove stream_options", param="stream_options"
            )
        given = {name: getattr(self, name) for name in _SAMPLING if getattr(self, name) is not None}
        if self.top_k is not None:
            given["top_k"] = max(self.top_k, 0)
        if self.stop is not None:
            given["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        return given


class GenerationBody(SamplingBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that chat and completions have beyond those."""

    max_tokens: Positive | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None

    def sampling(self) -> dict[str, Any]:
        """Return the fields of a GenerationRequest that the client set."""
        own = {name: getattr(self, name) for name in ("max_tokens", "n") if getattr(self, name) is not None}
        return super().sampling() | own

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)


class TokenDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What the prompt's tokens were."""

    cached_tokens: int = 0


class CompletionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer's tokens were."""

    reasoning_tokens: int = 0


class UsageBody(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's usage object."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: TokenDetails
    completion_tokens_details: CompletionDetails

    @classmethod
    def of(cls, usages: list[Usage]) -> "UsageBody | None":
        """Add usages up; None where the model counted nothing."""
        if not usages:
            return None
        prompt = sum(usage.prompt_tokens for usage in usages)
        completion = sum(usage.completion_tokens for usage in usages)
        return cls(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_tokens_details=TokenDetails(cached_tokens=sum(usage.cached_tokens for usage in usages)),
            completion_tokens_details=CompletionDetails(
                reasoning_tokens=sum(usage.reasoning_tokens for usage in usages)
            ),
        )


class Stamp(msgspec.Struct, frozen=True):
    """What identifies an answer: its id, when it was begun, and by which model."""

    id: str
    created: int
    model: str

    @classmethod
    def new(cls, prefix: str, model: str) -> "Stamp":
        """Return a new one, with an id such as ``chatcmpl-…``."""
        return cls(f"{prefix}-{uuid.uuid4().hex}", int(time.time()), model)
