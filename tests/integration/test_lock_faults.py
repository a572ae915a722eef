"""A Redis that fails over, comes back empty, or acts and is not heard: the log decides anyway.

Pods are asked in this process, over seats that the real handler decides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from faults.proxy import Link
from redis import Redis as PlainRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError
from support.pods.api_pods import client_of
from support.pods.reservation_pods import Seats, pod_over
from support.pods.reservations_asked import ANN, BOB, create, problem
from support.records.status_records import Fed
from support.redis.locking import TTL_MS, fresh_section, redis_at
from support.redis.nodes import servers
from support.seats.section_commands import EVENT, A

from api.pod import Pod
from infra.stack.ports import free_ports
from infra.stack.processes import wait_until
from infra.stack.redis_server import RedisServer
from state.domain.status import SectionStatus
from state.redis import line as redis_line
from state.redis.keys import LockKeys, seat_locks
from state.redis.pre_lock import HoldOfSeats, PreLocks, Taken
from state.redis.seat_lock import Granted, SeatLock, owner_of

pytestmark = [pytest.mark.redis, pytest.mark.timeout(420)]

ANNA, BEN = owner_of("ann", 1), owner_of("ben", 1)
Test = Callable[[Seats, Pod, httpx.AsyncClient], Awaitable[None]]


def keys_of(*seats: int) -> LockKeys:
    return seat_locks(EVENT, A, [(0, seat) for seat in seats])


def chosen(*seats: int) -> dict[str, object]:
    return {"section": A, "seats": [{"row": 0, "seat": seat} for seat in seats]}


def port_of(server: RedisServer) -> int:
    return int(server.url.split(":")[2].split("/")[0])


@contextmanager
def link_to(target_port: Callable[[], int]) -> Iterator[tuple[Link, str]]:
    """Give a link to a server, and the address that clients know it by."""
    (port,) = free_ports(1)
    with Link(port, target_port) as link:
        yield link, f"redis://127.0.0.1:{port}/0"


@pytest.fixture(autouse=True)
def patient_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Redis five seconds without a word: on a busy machine it may not run for a while."""
    monkeypatch.setattr(redis_line, "SILENT_TICKS", 250)


class Clock:
    """The clock by which a Redis that failed is left alone; a look takes ten seconds of it."""

    def __init__(self) -> None:
        self._looks = count()

    def __call__(self) -> float:
        return 10.0 * next(self._looks)


def asking(url: str, test: Test) -> None:
    """Run a test over an open section A of a row of six that the pod knows, with locks there."""

    async def go() -> None:
        fed = Fed()
        fed.tell(SectionStatus(1, 5, 6, 0, 6), A)
        fed.heartbeat()
        seats = Seats().open("......", hold_ms=TTL_MS, max_hold_ms=4 * TTL_MS)
        pod = pod_over(seats, view=fed.view, wait_ms=0)
        pod.pre_locks = PreLocks(url, TTL_MS, clock_s=Clock(), now_ms=lambda: 0.0)
        async with asyncio.timeout(90), client_of(pod) as asked:
            await test(seats, pod, asked)
        await pod.pre_locks.close()

    asyncio.run(go())


def is_at(server: RedisServer, key: str) -> bool:
    """Say whether a server has a key; one that is being filled does not tell."""
    with suppress(RedisError), PlainRedis.from_url(server.url) as client:
        return bool(client.exists(key))
    return False


async def hold(asked: httpx.AsyncClient, key: str, *seats: int) -> dict[str, Any]:
    answer = await create(asked, key, chosen(*seats), Prefer="wait=5")
    assert answer.status_code == 201, answer.text
    held: dict[str, Any] = answer.json()
    return held


async def until_refused_by_a_lock(asked: httpx.AsyncClient, seat: int) -> set[str]:
    """Have another ask for a held seat until a lock refuses him; return what he heard before."""
    heard = set[str]()
    for number in count():
        answer = await create(asked, f"again-{number}", chosen(seat), BOB, Prefer="wait=5")
        reason = answer.json()["reason"]
        if reason == "SEAT_LOCKED":
            return heard
        heard.add(reason)
    raise AssertionError


def test_f65_l21_a_lock_that_a_failover_loses_costs_a_refusal_of_the_log(tmp_path: Path) -> None:
    with servers(tmp_path / "one", 1) as [master]:
        of_replica = ("--replicaof", "127.0.0.1", f"{port_of(master)}")
        with servers(tmp_path / "two", 1, *of_replica) as [replica]:
            now = [master]

            async def test(_: Seats, pod: Pod, asked: httpx.AsyncClient) -> None:
                first = await hold(asked, "k1", 1)
                async with redis_at(replica.url) as other:
                    [lock] = keys_of(1).locks
                    assert await asyncio.to_thread(wait_until, lambda: is_at(replica, lock), 60)
                    # It hears no more of the master, and is given its place.
                    await other.replicaof("NO", "ONE")
                    second = await hold(asked, "k2", 2)
                    assert not await other.exists(*keys_of(2).locks)
                    master.kill()
                    now[0] = replica
                    assert await until_refused_by_a_lock(asked, 1) <= {"SEAT_TAKEN"}
                    # The lost lock is granted a second time; the seat is not.
                    locked = pod.pre_locks.counters.locked
                    answer = await create(asked, "k3", chosen(2), BOB, Prefer="wait=5")
                    assert problem(answer, 409, "SEAT_TAKEN")["decided"] is True
                    assert pod.pre_locks.counters.locked == locked + 1
                    assert not await other.exists(*keys_of(2).locks)
                for held in (first, second):
                    shown = await asked.get(
                        f"/v1/reservations/{held['reservation_id']}", headers=ANN
                    )
                    assert shown.json()["status"] == "HELD"
                await hold(asked, "k4", 4)

            with link_to(lambda: port_of(now[0])) as (_, url):
                asking(url, test)


def test_f66_a_redis_that_comes_back_empty_has_the_log_decide_and_locks_anew(
    tmp_path: Path,
) -> None:
    with servers(tmp_path, 1, "--appendonly", "no") as [server]:

        async def test(seats: Seats, _: Pod, asked: httpx.AsyncClient) -> None:
            held = await hold(asked, "k1", 1)
            async with redis_at(server.url) as client:
                assert await client.exists(*keys_of(1).locks)
            server.kill()
            server.restart()
            server.wait()
            async with redis_at(server.url) as client:
                assert not await client.dbsize()
                answer = await create(asked, "k2", chosen(1), BOB, Prefer="wait=5")
                problem(answer, 409, "SEAT_TAKEN")
                # Scripts and locks are gone: the next who asks brings the ones, and gets others.
                await hold(asked, "k3", 3)
                assert await until_refused_by_a_lock(asked, 3) == set()
                seats.partitions[0].now_ms += TTL_MS
                extended = await asked.post(
                    f"/v1/reservations/{held['reservation_id']}:extend",
                    json={"epoch": held["epoch"]},
                    headers={**ANN, "Idempotency-Key": "k4", "Prefer": "wait=5"},
                )
                assert extended.status_code == 200, extended.text
                # A lock that is lost stays so: meanwhile its seat may be another's.
                assert not await client.exists(*keys_of(1).locks)

        asking(server.url, test)


def loses_once(word: bytes) -> Callable[[bytes], bool]:
    """Return what is told of requests, and has the answer to the first with this word lost."""
    left = [True]

    def loses(sent: bytes) -> bool:
        if word not in sent or not left:
            return False
        left.clear()
        return True

    return loses


def test_what_redis_did_before_the_network_was_cut_is_done_once(tmp_path: Path) -> None:
    """The client asks again, and each script has the effect of one."""

    async def go(link: Link, url: str, straight: Redis) -> None:
        section = fresh_section()
        async with redis_at(url) as client:
            locks = SeatLock(client.execute_command)
            # From here on the server knows the script.
            first = await locks.acquire(section(0), BEN, TTL_MS)
            assert isinstance(first, Granted)
            link.loses = loses_once(b"EVALSHA")
            grant = await locks.acquire(section(1, 2), ANNA, TTL_MS)
            assert (link.lost, isinstance(grant, Granted)) == (1, True)
            assert isinstance(grant, Granted)
            assert grant.fence == first.fence + 1
            fence: Any = await straight.hgetall(section(0).fence)
            assert fence == {b"next": b"%d" % grant.fence}
            assert await locks.extend(grant, TTL_MS) is not None
            link.loses = loses_once(b"EVALSHA")
            assert await locks.extend(grant, TTL_MS) is not None
            assert await locks.release(first) == 1
            link.loses = loses_once(b"EVALSHA")
            # Gone by the first; the second finds nothing, and nobody is wronged.
            assert await locks.release(grant) == 0
            assert link.lost == 3
            assert not await straight.exists(*section(0, 1, 2).locks)

    with servers(tmp_path, 1) as [server], link_to(lambda: port_of(server)) as (link, url):

        async def whole() -> None:
            async with redis_at(server.url) as straight:
                await go(link, url, straight)

        asyncio.run(whole())


def test_a_pod_that_did_not_hear_of_its_locks_goes_on_without_and_they_end_by_themselves(
    tmp_path: Path,
) -> None:
    async def go(link: Link, url: str, straight: Redis) -> None:
        locks = PreLocks(url, TTL_MS, clock_s=Clock())
        ann, ben = (HoldOfSeats("A", [(0, 1)], name) for name in ("ann", "ben"))
        await locks.take(1, [HoldOfSeats("A", [(0, 0)], "eve")])
        link.loses = loses_once(b"EVALSHA")
        assert await locks.take(1, [ann]) is None
        assert (link.lost, locks.counters.skipped) == (1, 1)
        # It stands, for a few seconds and no longer; who has it is given it again.
        assert 0 < await straight.pttl(ann.keys(1).locks[0]) <= TTL_MS
        assert await locks.take(1, [ben]) == Taken("A", (0, 1))
        assert isinstance(await locks.take(1, [ann]), tuple)
        await locks.close()

    with servers(tmp_path, 1) as [server], link_to(lambda: port_of(server)) as (link, url):

        async def whole() -> None:
            async with redis_at(server.url) as straight:
                await go(link, url, straight)

        asyncio.run(whole())
