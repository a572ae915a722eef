"""What a pod is made of: parts that begin and end with it, and tell of themselves."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import Any, Protocol, TypeVar

from infra.process.metrics import Reading

ThingT = TypeVar("ThingT")


class Part:
    """One part of a pod; a part overrides what it has to do and to tell.

    name:        handlers ask the pod for the part by this name, and health pages show it.
    is_optional: only some requests need the part. A pod without it is ready for all others, once
                 the part's trouble is known.
    """

    name: str = ""
    is_optional: bool = False

    @property
    def given(self) -> Any:
        """What handlers get when they ask for the part."""
        return self

    async def start(self) -> None:
        """Begin, in the order of the parts; what needs brokers goes on trying by itself."""

    async def close(self) -> None:
        """End, while the other parts end too; a part that was never started ends as well."""

    def end_waits(self) -> None:
        """Answer everybody who waits at the part now."""

    def readiness(self) -> Mapping[str, bool]:
        """Say, by name, whether the part has read what it has to read before requests come."""
        return {}

    def troubles(self) -> Mapping[str, str]:
        """Say, by name, what the part cannot do now, and why."""
        return {}

    def ended(self) -> Mapping[str, str]:
        """Say, by name, which mistake of ours ended what the part runs."""
        return {}

    def readings(self) -> Iterable[Reading]:
        """Return the rows of the pod's table of metrics that the part counts."""
        return ()


def _no_readings(_: object) -> Iterable[Reading]:
    return ()


class Given(Part):
    """Something for handlers that neither begins nor ends.

    readings_of: what the thing counted, as rows of the pod's table of metrics.
    """

    def __init__(
        self,
        name: str,
        thing: ThingT,
        readings_of: Callable[[ThingT], Iterable[Reading]] = _no_readings,
    ) -> None:
        self.name = name
        self._given: Any = thing
        self._readings_of: Callable[[Any], Iterable[Reading]] = readings_of

    @property
    def given(self) -> Any:
        return self._given

    def readings(self) -> Iterable[Reading]:
        return self._readings_of(self._given)


class Closes(Protocol):
    """Something that has to be closed.

    With a thread of its own it has a plain function, which blocks until the thread has ended; on
    the loop it has a coroutine.
    """

    def close(self) -> Awaitable[None] | None: ...


class Runs(Closes, Protocol):
    """Something that has to be started too; its `start` never blocks."""

    def start(self) -> Awaitable[None] | None: ...


class Closed(Given):
    """Something for handlers that begins with the first question, and has to be closed."""

    async def close(self) -> None:
        await closed(self._given)


class Running(Closed):
    """Something for handlers that has to be started and closed."""

    async def start(self) -> None:
        await started(self._given)


async def started(thing: Runs) -> None:
    """Start something on the loop that runs."""
    starting = thing.start()
    if starting is not None:
        await starting


async def closed(thing: Closes) -> None:
    """Close something; what blocks does so in a thread."""
    ending = thing.close() if iscoroutinefunction(thing.close) else asyncio.to_thread(thing.close)
    if ending is not None:
        await ending
