"""Streams of a pod look at items together, and each is told of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from support.booking_queue.log_in_memory import CODECS, LinesInMemory, LogInMemory
from support.booking_queue.suite import filled

from api.booking.looking import Looks
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.queue import LOOKED_AT_ONCE, QueueAway, QueueUnreadable
from state.views.booking_queue.queue import KafkaBookingQueue

EVENT, OTHER = 7, 8


class Counted(KafkaBookingQueue):
    """A queue that notes how many items each call looks at; bad: what none of ours lies under."""

    def __init__(self, log: LogInMemory) -> None:
        super().__init__(LinesInMemory(log), log, CODECS)
        self.calls: list[tuple[int, int]] = []
        self.bad = ""
        self.is_away = False

    async def look_all(self, event_id: int, item_ids: Sequence[str]) -> tuple[Item | None, ...]:
        self.calls.append((event_id, len(item_ids)))
        if self.is_away:
            raise QueueAway("away")
        if self.bad in item_ids:
            raise QueueUnreadable("a text")
        return await super().look_all(event_id, item_ids)


def run(test: Callable[[Counted, Looks], Awaitable[None]]) -> None:
    async def go() -> None:
        queue = Counted(LogInMemory())
        pod: Any = SimpleNamespace(booking=SimpleNamespace(queue=queue))
        await test(queue, Looks(pod))

    asyncio.run(go())


def test_items_of_an_event_are_looked_at_by_one_call_so_many_at_once_and_each_once() -> None:
    async def test(queue: Counted, looks: Looks) -> None:
        items = await filled(queue, EVENT, LOOKED_AT_ONCE + 3)
        [other] = await filled(queue, OTHER, 1)
        found = await asyncio.gather(*map(looks.look, (*items, other, items[-1])))
        assert [one and one.id for one in found] == [*items, other, items[-1]]
        assert sorted(queue.calls) == [(EVENT, 3), (EVENT, LOOKED_AT_ONCE), (OTHER, 1)]
        # The next look is a new one.
        assert await looks.look(other) == found[-2]
        assert queue.calls[-1] == (OTHER, 1)
        assert await looks.look("no id") is None

    run(test)


def test_who_goes_away_takes_no_answer_of_another_along() -> None:
    async def test(queue: Counted, looks: Looks) -> None:
        [item] = await filled(queue, EVENT, 1)
        gone, stays = (asyncio.create_task(looks.look(item)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        found = await stays
        assert found is not None
        assert found.id == item
        assert gone.cancelled()

    run(test)


def test_a_queue_that_is_away_is_told_to_everybody_and_what_is_none_of_ours_to_its_own() -> None:
    async def test(queue: Counted, looks: Looks) -> None:
        items = await filled(queue, EVENT, 2)
        queue.bad = items[0]
        bad, good = await asyncio.gather(*map(looks.look, items), return_exceptions=True)
        assert isinstance(bad, QueueUnreadable)
        assert isinstance(good, Item)
        queue.is_away = True
        for item in items:
            with pytest.raises(QueueAway):
                await looks.look(item)

    run(test)


def test_whatever_is_wrong_with_one_item_whoever_asked_is_told() -> None:
    class Odd(Counted):
        async def look(self, item_id: str) -> Item | None:
            raise ValueError(f"a mistake of ours: {item_id}")

    async def test(queue: Counted, looks: Looks) -> None:
        [item] = await filled(queue, EVENT, 1)
        queue.bad = item
        async with asyncio.timeout(60):
            with pytest.raises(ValueError, match="a mistake of ours"):
                await looks.look(item)

    async def go() -> None:
        queue = Odd(LogInMemory())
        pod: Any = SimpleNamespace(booking=SimpleNamespace(queue=queue))
        await test(queue, Looks(pod))

    asyncio.run(go())
