"""Who waits for a view is woken by whatever was read, by its end, and by nothing else."""

import asyncio
import threading

from state.views.following.reading import Reading, ReadingCounters
from state.views.following.waits import WaitedFor

LONG_S = 60.0


class Counted(WaitedFor[Reading, ReadingCounters]):
    """A view of a topic of one partition."""

    def __init__(self) -> None:
        super().__init__(ReadingCounters())
        self._reading = Reading(1, 0)


def test_a_reading_that_is_published_makes_the_view_ready_and_wakes_who_waits() -> None:
    async def go() -> bool:
        view = Counted()
        waiting = asyncio.create_task(view.until(view.is_ready, LONG_S))
        await asyncio.sleep(0)
        assert not waiting.done()
        # The feed is a thread of its own.
        threading.Thread(target=view.publish, args=(Reading(1, 0),)).start()
        return await waiting and view.counters.readings == 1

    assert asyncio.run(go())


def test_who_waits_for_a_view_that_ends_is_answered_and_nobody_waits_any_more() -> None:
    async def go() -> list[bool]:
        view = Counted()
        waiting = asyncio.create_task(view.until(lambda: False, LONG_S))
        await asyncio.sleep(0)
        view.end_waits()
        return [await waiting, await view.until(lambda: False, LONG_S)]

    assert asyncio.run(go()) == [False, False]


def test_an_answer_that_was_refreshed_is_looked_at_again() -> None:
    async def go() -> bool:
        view, ages = Counted(), [9]
        waiting = asyncio.create_task(view.until(lambda: ages[0] == 0, LONG_S))
        await asyncio.sleep(0)
        ages[0] = 0
        view.refreshed()
        return await waiting

    assert asyncio.run(go())
