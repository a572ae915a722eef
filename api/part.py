"""What a pod is made of: parts that begin and end with it."""

import asyncio
from collections.abc import Awaitable
from inspect import iscoroutinefunction
from typing import Protocol, runtime_checkable


@runtime_checkable
class Part(Protocol):
    """Something that a pod starts and closes.

    A part with a thread of its own has plain functions: `start` returns at once, `close` blocks
    until the thread has ended. A part on the loop has a coroutine for what it waits for.
    """

    def start(self) -> Awaitable[None] | None: ...

    def close(self) -> Awaitable[None] | None: ...


class Closing(Protocol):
    """Something that has to be closed, though nobody starts it."""

    def close(self) -> Awaitable[None] | None: ...


async def started(part: Part) -> None:
    """Start a part on the loop that runs."""
    starting = part.start()
    if starting is not None:
        await starting


async def closed(part: Closing) -> None:
    """Close a part; one that blocks does so in a thread."""
    ending = part.close() if iscoroutinefunction(part.close) else asyncio.to_thread(part.close)
    if ending is not None:
        await ending
