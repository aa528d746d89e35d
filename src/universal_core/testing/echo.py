"""A backend that answers with what it was asked: for tests of everything around models, and as a reference.

Its model ids are ``echo/NAME``; a name that contains ``slow``, ``fail`` or ``die`` makes it load slowly, fail to
load, or die while it loads; one with ``sees`` takes images and recordings in a chat, and says how many bytes each has;
one with ``counts`` says how many requests it classified the pictures of together; one with ``short`` has room for
four messages of a chat. How to make it think and call tools stands in ``echo_talking``.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

from universal_core import (
    SAMPLING_FIELDS,
    Backend,
    BadRequest,
    Claim,
    CompletionRequest,
    DetokenizeRequest,
    DetokenizeResult,
    EmbedRequest,
    EmbedResult,
    MemoryEstimate,
    ModelInfo,
    ModelRef,
    RerankRequest,
    RerankResult,
    TokenizeRequest,
    TokenizeResult,
    UniversalError,
    Usage,
    batched,
    hookimpl,
)
from universal_core.testing.echo_classifying import CLASSIFYING_TASKS, EchoClassifier
from universal_core.testing.echo_looking import LOOKING_FIELDS, LOOKING_TASKS, EchoObserver
from universal_core.testing.echo_pictures import IMAGE_FIELDS, IMAGE_TASKS, EchoPainter
from universal_core.testing.echo_talking import FEW_MESSAGES, TALKING_FIELDS, EchoTalker, formed, words_of

API_VERSION = 1


class EchoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of the echo backend."""

    delay: Annotated[float, Meta(ge=0, description="Seconds between two words.")] = 0.0
    load_seconds: Annotated[float, Meta(ge=0, description="Seconds that loading takes.")] = 0.0
    ballast: Annotated[int, Meta(ge=0, description="Bytes of memory to take.")] = 0
    slots: Annotated[int, Meta(ge=1, description="Jobs that may run at once.")] = 4


class EchoModel(EchoTalker, EchoPainter, EchoObserver, EchoClassifier):
    """Says what it is told to say; the three kinds of method are all here."""

    def __init__(self, info: ModelInfo, options: EchoOptions) -> None:
        time.sleep(options.load_seconds)
        if "fail" in info.id:
            raise RuntimeError("this echo model never loads")
        if "die" in info.id:
            os.kill(os.getpid(), signal.SIGKILL)
        self._delay = options.delay
        self._counts = "counts" in info.id
        self._room = FEW_MESSAGES if "short" in info.id else sys.maxsize
        self._ballast = os.urandom(options.ballast)

    def complete(self, request: CompletionRequest) -> Iterator[str]:
        """Repeat the prompt; a plain generator of bare strings, run on the model's thread."""
        text = request.prompt if isinstance(request.prompt, str) else " ".join(map(str, request.prompt))
        if request.response_format is not None:
            text = formed(request.response_format, text)
        for word in islice(words_of(text), request.max_tokens):
            time.sleep(self._delay)
            yield word

    @batched(cost=lambda request: len(request.input), budget=64)
    def embed(self, requests: list[EmbedRequest]) -> list[EmbedResult | UniversalError]:
        """Return each text's length and first character's number; batched."""
        return [self._embed(request) for request in requests]

    def tokenize(self, request: TokenizeRequest) -> TokenizeResult:
        """Return the number of each character, after a zero that begins every text."""
        text = request.messages[-1].text if request.messages else request.text or ""
        text += "".join(f" {tool.name}" for tool in request.tools)
        special = "\0" if request.messages or request.add_special else ""
        return TokenizeResult(
            tokens=tuple(map(ord, special + text)), pieces=tuple(special + text) if request.pieces else ()
        )

    def detokenize(self, request: DetokenizeRequest) -> DetokenizeResult:
        """Return the characters that have these numbers."""
        wrong = next((token for token in request.tokens if token > sys.maxunicode), None)
        if wrong is not None:
            raise BadRequest(f"token {wrong} is no character", param="tokens")
        return DetokenizeResult(text="".join(map(chr, request.tokens)))

    def rerank(self, request: RerankRequest) -> RerankResult:
        """Return for each document the share of the query's words that it has."""
        words = set(request.query.split())
        scores = tuple(len(words & set(document.split())) / max(1, len(words)) for document in request.documents)
        return RerankResult(scores=scores, usage=Usage(prompt_tokens=len(request.documents)))

    @staticmethod
    def _embed(request: EmbedRequest) -> EmbedResult | UniversalError:
        if "" in request.input:
            return BadRequest("input: an empty text has no vector", param="input")
        first = [item[0] if isinstance(item, tuple) else ord(item[0]) for item in request.input]
        return EmbedResult.of(list(zip(map(len, request.input), first, strict=True)), len(request.input))


ECHO = Backend(
    name="echo",
    model="universal_core.testing.echo:EchoModel",
    tasks=(
        *("chat", "complete", "embed", "tokenize", "detokenize", "rerank"),
        *CLASSIFYING_TASKS,
        *IMAGE_TASKS,
        *LOOKING_TASKS,
    ),
    options=EchoOptions,
)


@hookimpl
def register_backends() -> list[Backend]:
    """Offer the echo backend."""
    return [ECHO]


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Find any ``echo/…``."""
    if not ref.name.startswith("echo/"):
        return None
    return ModelInfo(id=ref.text, ref=ref, source="echo", path="")


@hookimpl
def claim_model(info: ModelInfo) -> Claim | None:
    """Claim what was found here."""
    if info.source != "echo":
        return None
    return Claim(
        backend=ECHO.name,
        tasks=ECHO.tasks,
        reason="it is an echo model",
        memory=MemoryEstimate(weights=32_000_000),
        slots=4,
        fields=(
            *(*TALKING_FIELDS, *(set(SAMPLING_FIELDS) - {"logprobs", "n"})),
            *(("images", "audio") if "sees" in info.id else ()),
            *IMAGE_FIELDS,
            *LOOKING_FIELDS,
        ),
    )
