"""Waits within an event loop; elsewhere tests take `infra.stack.processes.wait_until`."""

import asyncio
from collections.abc import Callable

# What goes on in memory alone is looked at after every turn of the loop.
TURNS = 200
PAUSE_S = 0.002


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Let the others run until the condition holds; TimeoutError after `timeout_s`."""
    turns = 0
    async with asyncio.timeout(timeout_s):
        while not condition():
            # What waits for a clock or another thread needs the processor more than we do.
            await asyncio.sleep(0 if turns < TURNS else PAUSE_S)
            turns += 1
