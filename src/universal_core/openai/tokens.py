"""POST /v1/tokenize and POST /v1/detokenize."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import BadRequest
from universal_core.hookspecs import hookimpl
from universal_core.http import answer, collect, open_call, read_json, reads, runtime_of
from universal_core.messages import DetokenizeRequest, DetokenizeResult, TokenizeRequest, TokenizeResult
from universal_core.openai.inputs import Token
from universal_core.openai.tools import ToolBody, tools_of
from universal_core.openai.turns import NO_MEDIA, Media, Turn, messages_of, template_arguments, with_media
from universal_core.runtime import Runtime

_OF_CONVERSATIONS = ("tools", "chat_template_kwargs", "add_generation_prompt", "continue_final_message")


class TokenizeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body; ``prompt``, ``add_special_tokens`` and the rest have the names that vLLM gives them."""

    model: str | None = None
    text: str | None = None
    prompt: str | None = None
    messages: Annotated[list[Turn], Meta(min_length=1)] | None = None
    tools: list[ToolBody] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None
    user: str | None = None

    def to_request(self, media: Media = NO_MEDIA) -> TokenizeRequest:
        """Return the domain's request; pictures and recordings that ``media`` lacks are empty. Raises BadRequest."""
        given = [name for name in ("text", "prompt", "messages") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"got {' and '.join(given)}" if given else "got none of them"
            raise BadRequest(f"expected one of text, prompt (the same) and messages, {found}", param="text")
        pieces = bool(self.return_token_strs)
        if self.messages is not None:
            return self._of_messages(self.messages, pieces, media)
        self._refuse(_OF_CONVERSATIONS, "only allowed with messages; leave it out")
        text = self.text if self.text is not None else self.prompt
        return TokenizeRequest(text=text, add_special=self.add_special_tokens is not False, pieces=pieces)

    def _of_messages(self, turns: list[Turn], pieces: bool, media: Media) -> TokenizeRequest:
        self._refuse(
            ("add_special_tokens",),
            "only allowed with text; a conversation has the tokens that a chat reads; leave it out",
        )
        return TokenizeRequest(
            messages=messages_of(turns, media),
            tools=tuple(tools_of(self.tools)),
            chat_template_kwargs=template_arguments(self),
            pieces=pieces,
        )

    def _refuse(self, names: Iterable[str], why: str) -> None:
        for name in names:
            if getattr(self, name) is not None:
                raise BadRequest(f"{name}: {why}", param=name)


class Tokens(msgspec.Struct, omit_defaults=True):
    """The answer of tokenize."""

    tokens: tuple[int, ...]
    count: int
    model: str
    token_strs: tuple[str, ...] | None = None


class DetokenizeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    tokens: list[Token]
    model: str | None = None
    user: str | None = None

    def to_request(self) -> DetokenizeRequest:
        """Return the domain's request."""
        return DetokenizeRequest(tokens=tuple(self.tokens))


class Detokenized(msgspec.Struct):
    """The answer of detokenize."""

    text: str
    model: str


@reads(TokenizeBody)
async def tokenize(request: Request) -> Response:
    """Return the tokens of a text or of a conversation."""
    body = await read_json(request, TokenizeBody)
    complete = with_media(body.messages or (), body.to_request, runtime_of(request).config.media)
    call = await open_call(request, body.model, "tokenize", body.to_request(), complete)
    ((result,),) = await collect(request, [call])
    assert isinstance(result, TokenizeResult)
    pieces = result.pieces if body.return_token_strs else None
    return answer(Tokens(result.tokens, len(result.tokens), call.plan.name, pieces), [call])


@reads(DetokenizeBody)
async def detokenize(request: Request) -> Response:
    """Return the text of tokens."""
    body = await read_json(request, DetokenizeBody)
    call = await open_call(request, body.model, "detokenize", body.to_request())
    ((result,),) = await collect(request, [call])
    assert isinstance(result, DetokenizeResult)
    return answer(Detokenized(result.text, call.plan.name), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add both endpoints."""
    return [
        Route("/v1/tokenize", tokenize, methods=["POST"]),
        Route("/v1/detokenize", detokenize, methods=["POST"]),
    ]
