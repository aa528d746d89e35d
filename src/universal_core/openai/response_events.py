"""The stream of /v1/responses: events with a type and a number each, around those of the response's items."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from universal_core.errors import UniversalError
from universal_core.http import data
from universal_core.messages import Message
from universal_core.openai.response_answers import ResponseBody
from universal_core.openai.response_output import Output, Told


class ResponseEvents:
    """Writes a model's events as OpenAI's; ``keep`` stores the response before its last event tells of it."""

    def __init__(self, response: ResponseBody, output: Output, keep: Callable[[], Awaitable[None]]) -> None:
        self._response = response
        self._output = output
        self._keep = keep
        self._number = 0

    def write(self, batch: Sequence[Message]) -> bytes:
        """Return the events for some of the model's; the first ones are preceded by those that begin a response."""
        return self._begun() + b"".join(self._tell(told) for event in batch for told in self._output.take(event))

    async def around(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Yield the frames of a call, then the events that end the response."""
        try:
            async for frame in frames:
                yield frame
        finally:
            await frames.aclose()
        yield self._begun() + b"".join(map(self._tell, self._output.end()))
        await self._keep()
        yield self._about(self._response.status)

    def failed(self, error: UniversalError) -> bytes:
        """Return the event that tells of an error; nothing comes after it."""
        begun = self._begun()
        self._output.break_off()
        self._response.fail(error)
        return begun + self._about("failed")

    def _begun(self) -> bytes:
        return b"" if self._number else self._about("created") + self._about("in_progress")

    def _about(self, name: str) -> bytes:
        return self._tell(Told(f"response.{name}", {"response": self._response}))

    def _tell(self, told: Told) -> bytes:
        fields: dict[str, Any] = {"type": told.type, "sequence_number": self._number, **told.fields}
        self._number += 1
        return data(fields, event=told.type)
