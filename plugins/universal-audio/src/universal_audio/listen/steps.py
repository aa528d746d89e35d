"""A blocking iterator, stepped on threads so that the event loop goes on."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import TypeVar

Value = TypeVar("Value")


async def stepping(values: Iterator[Value]) -> AsyncGenerator[Value]:
    """Yield the iterator's values, each computed on a thread; it is closed when nobody reads on."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            step = loop.run_in_executor(None, _next, values)
            try:
                found = await asyncio.shield(step)
            except asyncio.CancelledError:
                # A generator cannot be closed while it runs.
                await asyncio.wait({step})
                raise
            if not found:
                return
            yield found[0]
    finally:
        if isinstance(values, Generator):
            values.close()


def _next(values: Iterator[Value]) -> tuple[Value, ...]:
    """Return the next value in a tuple, which is empty at the end: no future can hold a StopIteration."""
    for value in values:
        return (value,)
    return ()
