"""The table of keys is what is found at a real server: every key, its type, and that it ends."""

import ast
import asyncio
import re
from collections.abc import Iterator
from typing import Any

from redis.asyncio import Redis
from support.pages.document_pages import code_in, table_rows
from support.redis.key_table import PAGE, documented, rows_met
from support.redis.locking import TTL_MS, redis_at
from support.waiting.proving import set_up

from infra.paths import ROOT
from state.domain.booking_queue.statuses import DeadReason
from state.domain.waiting.admission import RoomState
from state.redis import keys
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.idempotency import IdempotencyKeys
from state.redis.lease import Lease
from state.redis.pre_lock import HoldOfSeats, PreLocks
from state.redis.rate_limit import Limit, RateLimits
from state.redis.seat_lock import SeatLock
from state.redis.waiting.rooms import WaitingRooms
from state.redis.waiting.tasks import PromotionTasks


async def write_all(url: str) -> None:
    """Have everything written that is ever written."""
    limits, idempotency, pre_locks = RateLimits(url), IdempotencyKeys(url), PreLocks(url, TTL_MS)
    limit = Limit(5, 600_000)
    user, network = keys.limit_of_user("create", "ann"), keys.limit_of_network("all", "10.0.0.0")
    assert await limits.ask([(user, limit), (network, limit)]) is None
    await idempotency.use("x" * 26, "digest")
    grants = await pre_locks.take(9_000_001, [HoldOfSeats("A-1", [(0, 0), (12, 34)], "ann")])
    assert isinstance(grants, tuple)
    await pre_locks.keep(grants[0], 1 << 45)
    async with redis_at(url) as client:
        assert await Lease(SeatLock(client.execute_command), "a-test", TTL_MS).hold()
        await have_somebody_wait(client)
        await have_items_of_each_kind(client)
    for part in (limits, idempotency, pre_locks):
        await part.close()


async def have_somebody_wait(client: Redis) -> None:
    """Have a waiting room with somebody in it, and a cycle of promotion under way."""
    rooms, tasks = WaitingRooms(client.execute_command), PromotionTasks(client.execute_command)
    await set_up(rooms, 9_000_003, state=RoomState.OPEN, cap=1)
    for user in ("ann", "ben"):
        await rooms.enter(9_000_003, user)
    assert await rooms.promote(9_000_003, "p-1", 1)
    await client.set(keys.waits_in("ann"), 9_000_003, px=60_000)
    cycle = await tasks.begin([9_000_003, 9_000_004])
    assert await tasks.take(cycle) == 9_000_003


async def have_items_of_each_kind(client: Redis) -> None:
    """Have items that wait, wait for another attempt, are worked on, and are dead."""
    queue = RedisBookingQueue(client.execute_command)
    for user in ("ann", "ben", "cy", "dan"):
        await queue.enqueue(9_000_005, user, "k", b"{}")
    for is_final in (False, True):
        taken = await queue.take(9_000_005)
        assert taken is not None
        await queue.fail(taken, DeadReason.UNKNOWN, is_final=is_final)
    assert await queue.take(9_000_005) is not None


async def found_at(client: Redis) -> dict[str, str]:
    """Return type by key, of every key of ours; each has an end."""
    found: dict[str, str] = {}
    async for name in client.scan_iter(f"{keys.PREFIX}*"):
        kind: Any = await client.type(name)
        assert await client.pttl(name) > 0, name
        found[name.decode()] = kind.decode()
    return found


def test_every_key_at_a_real_server_is_of_the_table_and_the_other_way_round(
    redis_url: str,
) -> None:
    async def go() -> None:
        async with redis_at(redis_url) as client:
            # What other tests wrote on purpose in other forms.
            async for name in client.scan_iter(f"{keys.PREFIX}*"):
                await client.delete(name)
            await write_all(redis_url)
            found = await found_at(client)
        assert rows_met(found) == {*documented()}

    asyncio.run(go())


def test_the_table_of_fields_is_that_of_a_lock(redis_url: str) -> None:
    async def go() -> None:
        async with redis_at(redis_url) as client:
            locks = SeatLock(client.execute_command)
            taken = keys.seat_locks(9_000_002, "A", [(0, 0)])
            await locks.acquire(taken, "ann:1", TTL_MS)
            kept: Any = await client.hkeys(taken.locks[0])
            assert {field.decode() for field in kept} == {
                code_in(row[0])[0] for row in table_rows(PAGE, "Locks")
            }
            fences: Any = await client.hkeys(taken.fence)
            assert {field.decode() for field in fences} == {"next"}

    asyncio.run(go())


def leases_taken() -> Iterator[str]:
    """Yield the name of each lease that the product takes."""
    for folder in ("api", "scripts", "state", "streams"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                if getattr(node.func, "id", "") == "PartitionLeases":
                    _, name, *_ = node.args
                    assert isinstance(name, ast.Constant), path
                    yield str(name.value) + "-{partition}"
                elif (
                    isinstance(node.func, ast.Attribute)
                    and node.func.attr == "of"
                    and getattr(node.func.value, "id", "") == "leases"
                ):
                    name, *_ = node.args
                    if isinstance(name, ast.Call):
                        assert getattr(name.func, "id", "") == keys.lease_of_rebuild.__name__
                        yield keys.lease_of_rebuild("").partition("-")[0] + "-{digest}"
                        continue
                    assert isinstance(name, ast.Constant), path
                    yield str(name.value)


def test_the_table_of_leases_has_every_lease_that_is_taken() -> None:
    told = [code_in(row[0])[0] for row in table_rows(PAGE, "Leases")]
    assert sorted(told) == sorted(leases_taken())


# As source documents 000 and 004 write them; {}: whatever is between braces there.
THEIRS = {
    "S000.7": {"PROMOTION_TASK_LIST:{}"},
    "S000.12": {
        *(
            "WAITING:{}",
            "WAITING_QUEUE_IDX",
            "WAITING_QUEUE_INDEX_RECORD:{}",
            "WAITING_USER_IDS:{}",
        ),
        *("ENTRY_QUEUE_SLOTS", "ENTRY", "ENTRY_QUEUE", "DISPATCH:{}"),
        *("ENTRY_TOKEN:{}", "ENTRY_EVENT:{}", "USER_QUEUE_EVENT:{}", "event_statuses"),
    },
    "S004.9": {
        *("booking-queue:{}", "booking-queue-positions:{}", "booking:active-queues"),
        *("booking:item-event-map", "booking-timeouts", "booking-timeouts:{}"),
        *("booking-status:{}", "booking:dlq:{}", "booking:dlq:items", "booking:dlq:stats"),
        "booking-lock:{}",
    },
}


def test_s000_12_s004_9_every_key_of_the_documents_is_one_of_ours_or_said_to_be_none() -> None:
    rows = table_rows(PAGE, "Names in the source documents")
    told = {re.sub(r"\{[^}]*\}", "{}", name) for row in rows for name in code_in(row[0])}
    assert told == set[str]().union(*THEIRS.values())
    for row in rows:
        ours = [name for name in code_in(row[1]) if ":" in name or "-" in name]
        assert ours or row[1].strip() == "none", row
        for name in ours:
            assert f"{keys.PREFIX}{name}" in documented(), name
