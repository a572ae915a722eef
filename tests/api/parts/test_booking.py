"""Without Redis nobody is in the queue; with one that is full, who is in is still looked at."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.redis.locking import redis_at
from support.redis.nodes import servers

from api.parts.booking import BookingDesk
from state.domain.booking_queue.queue import Enqueued, QueueAway
from state.domain.booking_queue.statuses import ItemStatus


def test_without_redis_nobody_enters_and_nothing_is_connected_to() -> None:
    async def go() -> None:
        desk = BookingDesk("")
        with pytest.raises(QueueAway):
            await desk.entrance.enqueue(7, "ann", "k", b"{}")
        with pytest.raises(QueueAway):
            await desk.queue.look("a" * 26 + "-7")
        await desk.close()

    asyncio.run(go())


async def _fill_up(client: Redis) -> None:
    used = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory", used)


@pytest.mark.redis
def test_a_redis_without_room_refuses_who_comes_and_cuts_off_nobody_who_is_in(
    tmp_path: Path,
) -> None:
    async def go(url: str) -> None:
        desk = BookingDesk(url)
        item = await desk.entrance.enqueue(7, "ann", "k", b"{}")
        assert isinstance(item, Enqueued)
        async with redis_at(url) as client:
            await _fill_up(client)
            for at in range(3):
                with pytest.raises(QueueAway):
                    await desk.entrance.enqueue(7, f"late-{at}", "k", b"{}")
                found = await desk.queue.look(item.item.id)
                assert found is not None
                assert found.status is ItemStatus.WAITING
            gone = await desk.queue.cancel(item.item.id, "ann")
            assert gone is not None
            assert gone.status is ItemStatus.CANCELLED
        await desk.close()

    with servers(tmp_path, 1) as (one,):
        asyncio.run(go(one.url))
