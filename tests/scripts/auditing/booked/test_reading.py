"""The booking queue is read from a real Redis as it lies there, and is as it must be (I22)."""

import asyncio

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from support.logs.audit_logs import WIRE
from support.redis.events import EVENTS
from support.redis.locking import redis_at

from scripts.auditing.booked.judging import judge_queues
from scripts.auditing.booked.reading import SeenQueue, read_queues
from scripts.auditing.log import Log
from scripts.auditing.report import Report
from state.domain.booking_queue.queue import Enqueued
from state.domain.booking_queue.statuses import DeadReason
from state.domain.booking_queue.wishes import Carried
from state.records.booking_queue.wishes import encoded_outcome
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.keys import booking_queue

pytestmark = pytest.mark.redis


def queue_of(url: str, event: int) -> SeenQueue:
    return next(one for one in read_queues(url) if one.event_id == event)


def test_i22_queues_as_pods_leave_them_are_read_and_are_as_they_must_be(redis_url: str) -> None:
    event, items = next(EVENTS), list[str]()

    async def play() -> None:
        async with redis_at(redis_url) as client:
            queue = RedisBookingQueue(client.execute_command)
            for at in range(9):
                enqueued = await queue.enqueue(event, f"u-{at}", "k", b"{}")
                assert isinstance(enqueued, Enqueued)
                items.append(enqueued.item.id)
            taken = [await queue.take(event) for _ in range(6)]
            held, refused, failed, dead, anew, kept = taken
            assert held is not None
            assert refused is not None
            assert failed is not None
            assert dead is not None
            assert anew is not None
            assert kept is not None
            await queue.complete(held, encoded_outcome(Carried("r", "")))
            await queue.complete(refused, encoded_outcome(Carried("", "SOLD_OUT")))
            await queue.fail(failed, DeadReason.SERVICE_ERROR, is_final=False)
            for one in (dead, anew):
                await queue.fail(one, DeadReason.INVALID_DATA, is_final=True)
            assert await queue.requeue(anew.item.id)
            await queue.cancel(items[8], "u-8")

    asyncio.run(play())
    queue = queue_of(redis_url, event)
    assert (queue.fault, queue.moved) == ("", False)
    assert [*queue.line] == [items[6], items[7], items[4]]
    assert (queue.later, queue.taken, queue.dead) == (
        frozenset({items[2]}),
        frozenset({items[5]}),
        frozenset({items[3]}),
    )
    assert {item.user: item.reservation_id for item in queue.items.values()}["u-0"] == "r"
    log, report = Log(WIRE, 1), Report()
    log.queues = (queue,)
    judge_queues(log, {"r": (event, "u-0")}, report)
    assert not report.violations
    assert (report.queues, report.queued) == (1, 5)


def test_i22_keys_that_are_none_of_ours_are_told_as_that(redis_url: str) -> None:
    event = next(EVENTS)
    with Redis.from_url(redis_url) as client:
        line: str = booking_queue(event)[0]
        client.set(line, "x", px=60_000)
        assert queue_of(redis_url, event).fault.startswith("WRONGTYPE")
        client.delete(line)
        item = booking_queue(event)[-1] + "x"
        client.hset(item, "number", "many")
        client.pexpire(item, 60_000)
        assert queue_of(redis_url, event).fault.startswith("ValueError")


def test_a_redis_that_does_not_answer_is_no_empty_queue() -> None:
    with pytest.raises(NoConnection):
        read_queues("redis://127.0.0.1:1")
