"""What streams of a pod see of items: those of one event are looked at together.

Whoever asks waits for a moment, in which others come; then one call looks at all that were asked
for, so what keeps the queue is asked as often by two thousand streams as by a few.
"""

import asyncio
from typing import Final

from api.pod import Pod
from state.domain.booking_queue.items import Item, event_of
from state.domain.booking_queue.queue import LOOKED_AT_ONCE, QueueUnreadable

GATHER_S: Final = 0.05
"""How long who asks first waits for others: little beside the second between two looks."""

_Asked = dict[str, asyncio.Future[Item | None]]


class Looks:
    """Looks at items of a pod's queue; all on one loop."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._asked: dict[int, _Asked] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def look(self, item_id: str) -> Item | None:
        """Return an item, or None for none; raises QueueAway and QueueUnreadable."""
        event_id = event_of(item_id)
        if event_id is None:
            return None
        asked = self._asked.get(event_id)
        if asked is None or (len(asked) >= LOOKED_AT_ONCE and item_id not in asked):
            asked = self._asked[event_id] = {}
            task = asyncio.create_task(self._look_soon(event_id, asked))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)
        if item_id not in asked:
            asked[item_id] = asyncio.get_running_loop().create_future()
        # Who goes away takes nobody else's answer along.
        return await asyncio.shield(asked[item_id])

    async def _look_soon(self, event_id: int, asked: _Asked) -> None:
        await asyncio.sleep(GATHER_S)
        if self._asked.get(event_id) is asked:
            del self._asked[event_id]
        try:
            found = await self._pod.booking.queue.look_all(event_id, tuple(asked))
        except QueueUnreadable:
            # One item that is none of ours is no other's trouble.
            await asyncio.gather(*(self._look_at(one, told) for one, told in asked.items()))
        except Exception as error:  # noqa: BLE001  (whoever asked is told of it)
            for told in asked.values():
                _fail(told, error)
        else:
            for told, item in zip(asked.values(), found, strict=True):
                _tell(told, item)

    async def _look_at(self, item_id: str, told: asyncio.Future[Item | None]) -> None:
        try:
            _tell(told, await self._pod.booking.queue.look(item_id))
        except Exception as error:  # noqa: BLE001  (whoever asked is told of it)
            _fail(told, error)


def _tell(told: asyncio.Future[Item | None], item: Item | None) -> None:
    if not told.done():
        told.set_result(item)


def _fail(told: asyncio.Future[Item | None], error: Exception) -> None:
    if not told.done():
        told.set_exception(error)
        # Whoever asked may be gone.
        told.exception()


def looks_of(pod: Pod) -> Looks:
    """Return what looks at items for the streams of a pod, made when first asked for."""
    return pod.made(Looks)
