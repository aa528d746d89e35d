"""POST /v1/images/generations, /v1/images/edits and /v1/images/variations, and the files that they leave."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Literal

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from universal_core.gallery import Gallery
from universal_core.hookspecs import hookimpl
from universal_core.http import EventStream, answer, collect, frames, open_call, read_form, read_json, reads, runtime_of
from universal_core.messages import ImageRequest
from universal_core.openai.image_answers import ImageEvents, Shelf, whole_answer
from universal_core.openai.image_bodies import EditBody, GenerationBody, ImageBody, VariationBody
from universal_core.openai.naming import naming, naming_pieces
from universal_core.runtime import Runtime

Task = Literal["generate_image", "edit_image", "vary_image"]
FILE = "image_file"
"""The name of the route to a picture."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


class ImageRoutes:
    """The endpoints, over the folder that the pictures are kept in."""

    def __init__(self, runtime: Runtime) -> None:
        self._gallery = Gallery(runtime.config.images)
        runtime.watch(lambda config: self._gallery.configure(config.images))

    @reads(GenerationBody)
    async def generate(self, request: Request) -> Response:
        """Make pictures of what a prompt describes."""
        body = await read_json(request, GenerationBody)
        return await self._create(request, body, "generate_image", body.to_request())

    @reads(EditBody)
    async def edit(self, request: Request) -> Response:
        """Change pictures as a prompt says."""
        body = await read_form(request, EditBody)
        complete = partial(body.complete, runtime_of(request).config.media)
        return await self._create(request, body, "edit_image", body.to_request(), complete)

    @reads(VariationBody)
    async def vary(self, request: Request) -> Response:
        """Make pictures that are like another one."""
        body = await read_form(request, VariationBody)
        complete = partial(body.complete, runtime_of(request).config.media)
        return await self._create(request, body, "vary_image", body.to_request(), complete)

    async def show(self, request: Request) -> Response:
        """Answer with a picture that was made before."""
        name = request.path_params["name"]
        path, state = await asyncio.to_thread(self._find, name)
        return FileResponse(
            path,
            media_type=f"image/{path.suffix.removeprefix('.')}",
            headers={"x-content-type-options": "nosniff"},
            filename=name,
            content_disposition_type="inline",
            stat_result=state,
        )

    def _find(self, name: str) -> tuple[Path, os.stat_result]:
        self._gallery.sweep()
        return self._gallery.find(name)

    async def _create(
        self,
        request: Request,
        body: ImageBody,
        task: Task,
        message: ImageRequest,
        complete: Callable[[], Awaitable[ImageRequest]] | None = None,
    ) -> Response:
        if body.wants_url and not body.stream:
            # Before the model works for minutes on what cannot be kept.
            await asyncio.to_thread(self._gallery.prepare)
        call = await open_call(request, body.model, task, message, complete)
        shelf = Shelf(self._gallery, call.plan.name, partial(url_of, request))
        if body.stream:
            events = ImageEvents("image_generation" if task == "generate_image" else "image_edit", message, shelf)
            keepalive = runtime_of(request).config.server.keepalive
            pieces = naming_pieces(body.named, events.around(frames(call, events.write, keepalive)))
            return EventStream(request, pieces, call.timings)
        with naming(body.named):
            (messages,) = await collect(request, [call])
        return answer(await whole_answer(message, messages, shelf, wants_url=body.wants_url), [call])


def url_of(request: Request, name: str) -> str:
    """Return the URL of a picture at the address by which the client reached the server, or a proxy before it."""
    url = request.url_for(FILE, name=name)
    scheme, host = (request.headers.get(f"x-forwarded-{part}", "").partition(",")[0] for part in ("proto", "host"))
    if scheme in ("http", "https"):
        url = url.replace(scheme=scheme)
    return str(url.replace(netloc=host) if _HOST.fullmatch(host) else url)


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoints."""
    images = ImageRoutes(runtime)
    return [
        Route("/v1/images/generations", images.generate, methods=["POST"]),
        Route("/v1/images/edits", images.edit, methods=["POST"]),
        Route("/v1/images/variations", images.vary, methods=["POST"]),
        Route("/v1/images/files/{name}", images.show, methods=["GET"], name=FILE),
    ]
