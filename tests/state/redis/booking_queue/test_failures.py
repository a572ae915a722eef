"""The booking queue while its Redis is paused, full, killed or lost, and while workers die."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support.booking_queue.suite import filled, put, seen, taken_of
from support.redis.events import EVENTS
from support.redis.locking import ask_of, redis_at
from support.redis.nodes import servers

from infra.paths import ROOT
from infra.stack.redis_server import RedisServer
from state.domain.booking_queue.queue import Enqueued, QueueAway
from state.domain.booking_queue.statuses import DeadReason, ItemStatus
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.client import client_of
from state.redis.keys import booking_queue

pytestmark = pytest.mark.redis

WAIT_S = 60

WORKER = """
import asyncio, sys
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.client import client_of

async def work():
    queue = RedisBookingQueue(client_of(sys.argv[1], timeout_s=30.0).execute_command)
    while (taken := await queue.take(int(sys.argv[2]))) is not None:
        print(taken.item.id, flush=True)
        if sys.argv[3] == "settles":
            await queue.complete(taken, b"held")
        else:
            await asyncio.sleep(600)

asyncio.run(work())
"""


def worker(url: str, event: int, how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WORKER, url, str(event), how]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8")


def test_what_a_killed_worker_had_is_carried_out_by_another_and_nothing_twice(
    redis_url: str,
) -> None:
    """Killed between take and outcome: its lease is ended by hand here, by Redis' clock else."""
    event = next(EVENTS)

    async def fill() -> list[str]:
        async with redis_at(redis_url) as client:
            return await filled(RedisBookingQueue(ask_of(client)), event, 6)

    items = asyncio.run(fill())
    had = []
    for _ in range(2):
        with worker(redis_url, event, "hangs") as dying:
            assert dying.stdout is not None
            had.append(dying.stdout.readline().strip())
            dying.send_signal(signal.SIGKILL)
            dying.wait(WAIT_S)
    assert had == items[:2]

    async def end_leases() -> None:
        async with redis_at(redis_url) as client:
            taken: Any = booking_queue(event)[2]
            assert await client.zcard(taken) == 2
            await client.zunionstore(taken, {taken: 0.0})

    asyncio.run(end_leases())
    with worker(redis_url, event, "settles") as living:
        told, _ = living.communicate(timeout=WAIT_S)
    assert told.split() == items

    async def check() -> None:
        async with redis_at(redis_url) as client:
            queue = RedisBookingQueue(ask_of(client))
            found = [await seen(queue, item) for item in items]
            assert {item.status for item in found} == {ItemStatus.COMPLETED}
            assert [item.attempts for item in found] == [2, 2, 1, 1, 1, 1]
            assert (await queue.standing(event)).completed == len(items)

    asyncio.run(check())


def test_a_paused_redis_is_told_and_what_was_asked_of_it_is_asked_again(
    server: RedisServer,
) -> None:
    async def go() -> None:
        event = next(EVENTS)
        client = client_of(server.url, timeout_s=0.2, retries=0)
        async with redis_at(server.url) as patient:
            queue, sure = (
                RedisBookingQueue(client.execute_command),
                RedisBookingQueue(ask_of(patient)),
            )
            await put(sure, event, "ben")
            assert server.child is not None
            os.kill(server.child.pid, signal.SIGSTOP)
            with pytest.raises(QueueAway):
                await queue.enqueue(event, "ann", "k", b"{}")
            with pytest.raises(QueueAway):
                await queue.take(event)
            os.kill(server.child.pid, signal.SIGCONT)
            # It may have been carried out when the server went on: the same id says which.
            again = await sure.enqueue(event, "ann", "k", b"{}")
            assert isinstance(again, Enqueued)
            standing = await sure.standing(event)
            assert (standing.length, standing.enqueued) == (2, 2)
        await client.aclose()

    asyncio.run(go())


async def fill_up(client: Redis) -> None:
    used = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory", used)


def test_a_full_redis_refuses_new_items_and_still_ends_those_that_are_there(
    tmp_path: Path,
) -> None:
    async def go(url: str) -> None:
        event = next(EVENTS)
        async with redis_at(url) as client:
            queue = RedisBookingQueue(ask_of(client))
            items = await filled(queue, event, 5)
            taken = [await taken_of(queue, event) for _ in range(2)]
            await fill_up(client)
            for at in range(2):
                with pytest.raises(QueueAway):
                    await queue.enqueue(event, f"late-{at}", "k", b"{}")
            # Nothing of those is there: not even half of one.
            assert (await queue.standing(event)).enqueued == 5
            assert await queue.complete(taken[0], b"held") == (True, ItemStatus.COMPLETED)
            settled = await queue.fail(taken[1], DeadReason.SERVICE_ERROR, is_final=False)
            assert settled == (True, ItemStatus.WAITING)
            cancelled = await queue.cancel(items[2], "u-2")
            assert cancelled is not None
            assert cancelled.status is ItemStatus.CANCELLED
            third = await taken_of(queue, event)
            assert third.item.id == items[3]
            assert (await queue.complete(third, b"held")).is_recorded
            await client.config_set("maxmemory", 0)
            await put(queue, event, "late-0")

    with servers(tmp_path, 1) as (one,):
        asyncio.run(go(one.url))


def test_a_redis_that_is_killed_keeps_what_was_written_a_second_before(
    server: RedisServer,
) -> None:
    async def go() -> None:
        event = next(EVENTS)
        async with redis_at(server.url) as client:
            queue = RedisBookingQueue(ask_of(client))
            items = await filled(queue, event, 4)
            taken = await taken_of(queue, event)
            await queue.complete(taken, b"held")
            lost = await taken_of(queue, event)
            # What the server writes within a second is written now.
            await client.config_set("appendfsync", "always")
            await put(queue, event, "last")
            server.kill()
            with pytest.raises(QueueAway):
                await RedisBookingQueue(client_of(server.url, retries=0).execute_command).take(
                    event
                )
            server.restart()
            await asyncio.to_thread(server.wait)
        async with redis_at(server.url) as client:
            queue = RedisBookingQueue(ask_of(client))
            assert (await seen(queue, items[0])).status is ItemStatus.COMPLETED
            assert (await queue.complete(lost, b"held")).is_recorded
            assert [(await taken_of(queue, event)).item.id for _ in range(2)] == items[2:]

    asyncio.run(go())


def test_a_redis_that_lost_everything_takes_the_same_request_as_a_new_one(
    server: RedisServer,
) -> None:
    """Requests are lost, and no seat: a worker's late word finds no item, and nothing is twice."""

    async def go() -> None:
        event = next(EVENTS)
        async with redis_at(server.url) as client:
            queue = RedisBookingQueue(ask_of(client))
            first, second = await filled(queue, event, 2)
            lost = await taken_of(queue, event)
            await client.flushall()
            assert await queue.complete(lost, b"late") == (False, None)
            assert await queue.look(first) is None
            assert await queue.cancel(second, "u-1") is None
            again = await queue.enqueue(event, "u-1", "k", b"{}")
            assert isinstance(again, Enqueued)
            assert (again.item.id, again.is_new, again.item.position) == (second, True, 1)
            # The key of its command is the same: what the log decided for it stands.
            anew = await queue.enqueue(event, "u-0", "k", b"{}")
            assert isinstance(anew, Enqueued)
            assert anew.item.key == lost.item.key
            assert event in await queue.events()

    asyncio.run(go())
