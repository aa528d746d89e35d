"""POST /v1/vision/embeddings."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import BadRequest
from universal_core.hookspecs import hookimpl
from universal_core.http import answer, read_form, reads
from universal_core.messages import EmbedImageRequest, EmbedResult
from universal_core.openai import MOST_INPUTS, Embeddings, Positive, Source, look, sources_of
from universal_core.runtime import Runtime
from universal_core.vision.bodies import Images

_PLACE = re.compile(r"^input\[(\d+)\]")


class EmbeddingsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body: pictures, texts, or both."""

    images: Images | None = None
    texts: str | Annotated[list[str], Meta(min_length=1, max_length=MOST_INPUTS)] | None = None
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Positive | None = None
    normalize: bool | None = None
    user: str | None = None

    def sources(self) -> dict[str, Source]:
        """Return where each picture is, by the field that errors name. Raises BadRequest."""
        return sources_of(self.images, "images")

    def to_request(self, images: Sequence[bytes]) -> EmbedImageRequest:
        """Return the domain's request: pictures, then texts. Raises BadRequest."""
        texts = [self.texts] if isinstance(self.texts, str) else self.texts or []
        if not images and not texts:
            raise BadRequest("images: expected pictures, or texts in the field texts", param="images")
        return EmbedImageRequest(
            input=(*images, *texts), dimensions=self.dimensions, normalize=self.normalize is not False
        )


@reads(EmbeddingsBody)
async def create(request: Request) -> Response:
    """Return a vector for each picture and each text, in order."""
    body = await read_form(request, EmbeddingsBody)
    try:
        result, call = await look(request, body, "embed_image", EmbedResult)
    except BadRequest as error:
        raise _in_words_of_the_body(error, len(body.sources())) from None
    return answer(Embeddings.of(call.plan.name, result, text=body.encoding_format == "base64"), [call])


def _in_words_of_the_body(error: BadRequest, images: int) -> BadRequest:
    """Return an error about an input of the domain's request as one about a picture or a text of the body."""
    found = _PLACE.match(error.param or "")
    if found is None:
        return error
    at = int(found[1])
    place = f"images[{at}]" if at < images else f"texts[{at - images}]"
    return type(error)(error.message.replace(found[0], place), param=place)


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/vision/embeddings", create, methods=["POST"])]
