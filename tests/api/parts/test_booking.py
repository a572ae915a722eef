"""Without Redis nobody is in the queue; with one that is full, who is in is still looked at."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.pods.conditions import until
from support.redis.locking import redis_at
from support.redis.nodes import servers

from api.building import whole_pod
from api.parts.booking import KafkaBookingDesk, RedisBookingDesk
from api.settings import ApiSettings
from state.domain.booking_queue.queue import Enqueued, QueueAway
from state.domain.booking_queue.statuses import ItemStatus
from state.kafka.command_log import CommandLog
from state.views.booking_queue.log import BookingLog

NOWHERE = "127.0.0.1:1"


def test_without_redis_nobody_enters_and_nothing_is_connected_to() -> None:
    async def go() -> None:
        desk = RedisBookingDesk("")
        with pytest.raises(QueueAway):
            await desk.entrance.enqueue(7, "ann", "k", b"{}")
        with pytest.raises(QueueAway):
            await desk.queue.look("a" * 26 + "-7")
        await desk.close()

    asyncio.run(go())


def test_without_brokers_nobody_enters_a_queue_in_kafka_and_the_pod_says_why() -> None:
    async def go() -> None:
        desk = KafkaBookingDesk(BookingLog(NOWHERE), CommandLog(NOWHERE))
        await desk.start()
        assert desk.readiness() == {"booking": False}
        for ask in (
            desk.entrance.enqueue(7, "ann", "k", b"{}"),
            desk.queue.look("a" * 26 + "-7"),
            desk.queue.take(7),
        ):
            with pytest.raises(QueueAway):
                await ask
        await until(lambda: desk.troubles()["booking"])
        assert desk.ended() == {}
        told = {row.name: value for row, value, *_ in desk.readings()}
        assert told["seatstream_booking_log_bad"] == 0
        assert told["seatstream_booking_log_staleness_seconds"] > 5
        await desk.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("kept_in", "port", "kind"),
    [
        ("redis", 1, RedisBookingDesk),
        ("kafka", 0, RedisBookingDesk),
        ("kafka", 1, KafkaBookingDesk),
    ],
)
def test_a_pod_has_the_queue_that_its_settings_name(
    kept_in: str, port: int, kind: type, tmp_path: Path
) -> None:
    """A pod without a port for gRPC, whom nobody asks, follows no log."""
    settings = ApiSettings(
        brokers=NOWHERE, grpc_port=port, booking_queue=kept_in, cache_dir=tmp_path
    )
    assert type(whole_pod(settings).booking) is kind


async def _fill_up(client: Redis) -> None:
    used = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory", used)


@pytest.mark.redis
def test_a_redis_without_room_refuses_who_comes_and_cuts_off_nobody_who_is_in(
    tmp_path: Path,
) -> None:
    async def go(url: str) -> None:
        desk = RedisBookingDesk(url)
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
