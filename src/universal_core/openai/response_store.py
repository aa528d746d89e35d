"""What a request of /v1/responses continues, and how responses are kept: conversations over the archive's file."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from universal_core.archive import Answer, Archive, Missing
from universal_core.archive import Item as Row
from universal_core.errors import BadRequest, NotFound, PreviousResponseNotFound, UnsupportedField
from universal_core.messages import ChatRequest, TokenizeRequest
from universal_core.openai.response_answers import ResponseBody
from universal_core.openai.response_bodies import ResponsesBody
from universal_core.openai.response_items import (
    Item,
    ItemReference,
    MessageItem,
    Placed,
    read_items,
    read_kept,
    to_keep,
)
from universal_core.openai.response_turns import Turns
from universal_core.openai.turns import Media
from universal_core.runtime import Runtime

_REMOVED = "it may have been removed (responses.max_age, responses.max_bytes), or was not stored"

Value = TypeVar("Value")


class Conversation:
    """What a request continues: its own items, and those before them."""

    def __init__(self, body: ResponsesBody, before: Sequence[Placed], own: Sequence[Placed]) -> None:
        self.own = own
        self.items = [*before, *own]
        self.turns = Turns(body.instructions, self.items)
        self._body = body

    def chat(self, media: Media) -> ChatRequest:
        """Return the request to answer, with its pictures and recordings. Raises BadRequest, UnsupportedField."""
        return self._body.to_request(Turns(self._body.instructions, self.items, media).messages)

    def count(self, media: Media) -> TokenizeRequest:
        """Return the request to count, with its pictures and recordings. Raises BadRequest, UnsupportedField."""
        return self._body.to_count(Turns(self._body.instructions, self.items, media).messages)


class ResponseStore:
    """Reads and writes responses, in threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._archive = Archive(runtime.config.responses)
        self._runtime = runtime
        runtime.watch(lambda config: self._archive.configure(config.responses))

    @property
    def _keeps(self) -> bool:
        return self._runtime.config.responses.store

    def stores(self, body: ResponsesBody) -> bool:
        """Return whether a response is to be kept. Raises UnsupportedField where it is and cannot be."""
        if body.store and not self._keeps:
            raise UnsupportedField(
                "store: this server keeps no responses (responses.store); send store false", param="store"
            )
        return self._keeps and body.store is not False

    async def prepare(self) -> None:
        """Make the file where it is missing. Raises StorageFailed."""
        await asyncio.to_thread(self._archive.prepare)

    async def keep(self, response: ResponseBody, own: Sequence[Placed]) -> None:
        """Keep a response that is to be kept, with the items that it was asked for with. Raises StorageFailed."""
        if not response.store:
            return
        kept = [(to_keep(item), False) for _, item in own] + [(item, True) for item in response.output]
        items = [Row(item.id or "", msgspec.json.encode(item), written) for item, written in kept]
        body = msgspec.json.encode(msgspec.structs.replace(response, output=[]))
        row = Answer(id=response.id, body=body, items=items, previous=response.previous_response_id)
        await asyncio.to_thread(self._archive.save, row)

    async def find(self, id: str) -> Answer:
        """Return a response. Raises NotFound, StorageFailed."""
        return await self._kept(self._archive.find, id)

    async def remove(self, id: str) -> None:
        """Remove a response. Raises NotFound, StorageFailed."""
        await self._kept(self._archive.remove, id)

    async def conversation(self, body: ResponsesBody) -> Conversation:
        """Read what a request continues.

        Raises BadRequest, PreviousResponseNotFound, PayloadTooLarge, StorageFailed.
        """
        own = await self._own(body.input)
        before = [] if body.previous_response_id is None else await self._before(body.previous_response_id)
        return Conversation(body, before, own)

    async def _kept(self, act: Callable[[str], Value], id: str) -> Value:
        if not self._keeps:
            raise NotFound("this server keeps no responses (responses.store)")
        try:
            return await asyncio.to_thread(act, id)
        except Missing:
            raise NotFound(f"there is no response {id}; {_REMOVED}", param="response_id") from None

    async def _before(self, id: str) -> list[Placed]:
        param = "previous_response_id"
        if not self._keeps:
            raise UnsupportedField(
                f"{param}: this server keeps no responses (responses.store); send the whole input", param=param
            )
        try:
            items = await asyncio.to_thread(self._archive.conversation, id, self._runtime.config.server.max_body_bytes)
        except Missing as gap:
            where = "" if gap.id == id else f", from which {id} goes on"
            raise PreviousResponseNotFound(
                f"{param}: there is no response {gap.id}{where}; {_REMOVED}", param=param
            ) from None
        return [Placed(f"{param}[{position}]", read_kept(item.body)) for position, item in enumerate(items)]

    async def _own(self, given: str | list[msgspec.Raw] | None) -> list[Placed]:
        if not isinstance(given, list):
            return [] if given is None else [Placed("input", MessageItem(role="user", content=given))]
        items = list(read_items(given))
        wanted = [item.id for _, item in items if isinstance(item, ItemReference)]
        written = await asyncio.to_thread(self._archive.written, wanted) if wanted and self._keeps else {}
        return [Placed(place, _resolved(place, item, written)) for place, item in items]


def _resolved(place: str, item: Item | ItemReference, written: dict[str, bytes]) -> Item:
    if not isinstance(item, ItemReference):
        return item
    if item.id not in written:
        param = f"{place}.id"
        raise BadRequest(f"{param}: no item {item.id} is kept here; send the item itself", param=param)
    return read_kept(written[item.id])
