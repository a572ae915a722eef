"""Waiting rooms while servers and promoters die: nobody twice, nobody lost, order kept."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support.pods.conditions import PAUSE_S
from support.redis.locking import ask_of, redis_at
from support.redis.nodes import servers
from support.waiting import killed_promoters
from support.waiting.killed_promoters import PROMOTERS
from support.waiting.proving import set_up

from infra.paths import ROOT
from infra.stack.processes import wait_until
from infra.stack.redis_server import RedisServer
from state.domain.waiting.admission import TURNS_PER_S, RoomState
from state.redis.keys import waiting_room
from state.redis.waiting.rooms import Entry, RoomUnproved, WaitingRooms

WAIT_S = 60
MANY = 1_000_000
ROOMS = (9_100_001, 9_100_002, 9_100_003, 9_100_004)
THREADS = 16


async def enter_all(url: str, event: int, names: Sequence[str]) -> None:
    async with redis_at(url) as client:
        rooms = WaitingRooms(client.execute_command)
        for name in names:
            assert (await rooms.enter(event, name)).entry is Entry.NEW


async def keep_all(url: str) -> None:
    """Have nobody be given up for not asking, however slow the machine is."""
    async with redis_at(url) as client:
        for event in ROOMS:
            seen = waiting_room(event)[2]
            # Twice the time: decades from now.
            await client.zunionstore(seen, {seen: 2.0})


def enter_in_a_thread(url: str, event: int, names: Sequence[str]) -> None:
    asyncio.run(enter_all(url, event, names))


async def open_all(url: str) -> None:
    async with redis_at(url) as client:
        for event in ROOMS:
            await WaitingRooms(client.execute_command).configure(
                event, state=RoomState.OPEN, cap=MANY
            )


async def promoted_in_order(url: str, event: int) -> list[tuple[str, int]]:
    """Return user and turn of everybody who was let in, as the room's own log has them."""
    async with redis_at(url) as client:
        entries: Any = await client.xrange(waiting_room(event)[6])
    return [(entry[b"user"].decode(), int(entry[b"turn"])) for _, entry in entries]


def told_in(folder: Path) -> list[tuple[int, str, int]]:
    """Return whom promoters were told of, with the event and turn."""
    files = folder.glob("*.told")
    lines = [line.split() for file in files for line in file.read_text("utf-8").splitlines()]
    return [(int(event), user, int(turn)) for event, turn, user in lines]


def promote_under_fire(
    url: str, folder: Path, kills: int, *, users: int, seed: int = 1
) -> dict[int, list[str]]:
    """Have users enter from many threads, and promoters be killed; return the users by event."""
    asyncio.run(open_all(url))
    program, paths = killed_promoters.__file__, f"{ROOT}:{ROOT / 'tests'}"
    names = {
        event: [[f"u-{thread}-{at}" for at in range(users // THREADS)] for thread in range(4)]
        for event in ROOMS
    }
    with ThreadPoolExecutor(THREADS) as threads:
        entering = [
            threads.submit(enter_in_a_thread, url, event, part)
            for event, parts in names.items()
            for part in parts
        ]
        for one in entering:
            one.result(timeout=5 * WAIT_S)
    asyncio.run(keep_all(url))
    ended = subprocess.run(
        [sys.executable, program, url, str(folder), str(seed), str(kills)],
        check=False, capture_output=True, text=True, timeout=500,
        env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return {event: [name for part in parts for name in part] for event, parts in names.items()}


def check_nobody_twice_nobody_lost(
    url: str, folder: Path, users: dict[int, list[str]], kills: int
) -> None:
    told = set(told_in(folder))
    # More than began at first were at work: some were killed before it was done.
    assert len([file for file in folder.glob("*.told") if file.stat().st_size]) > PROMOTERS
    for event, names in users.items():
        promoted = asyncio.run(promoted_in_order(url, event))
        assert sorted(name for name, _ in promoted) == sorted(names), kills
        turns = [turn for _, turn in promoted]
        assert turns == sorted(turns)
        # Whoever died after the script, another has told of those that were let in.
        assert {one for one in told if one[0] == event} == {(event, *one) for one in promoted}


@pytest.mark.redis
@pytest.mark.timeout(300)
def test_q01_promoters_that_are_killed_let_in_everybody_once_and_in_order(
    server: RedisServer, tmp_path: Path
) -> None:
    users = promote_under_fire(server.url, tmp_path, 12, users=960)
    check_nobody_twice_nobody_lost(server.url, tmp_path, users, 12)


@pytest.mark.redis
@pytest.mark.soak
@pytest.mark.timeout(900)
def test_q01_q12_twenty_thousand_users_and_150_kills(server: RedisServer, tmp_path: Path) -> None:
    users = promote_under_fire(server.url, tmp_path, 150, users=20_000)
    check_nobody_twice_nobody_lost(server.url, tmp_path, users, 150)


def is_linked(url: str) -> bool:
    async def go() -> bool:
        async with redis_at(url) as client:
            told: Any = await client.info("replication")
            return bool(told.get("master_link_status") == "up")

    return asyncio.run(go())


async def follow(replica: Redis, master_url: str) -> None:
    port = master_url.rpartition(":")[2].partition("/")[0]
    await ask_of(replica)("REPLICAOF", "127.0.0.1", port)


@pytest.mark.redis
def test_q11_f65_a_failover_without_the_last_ones_loses_no_place_to_whoever_shows_it(
    tmp_path: Path,
) -> None:
    """A replica that was cut off takes over: it has never heard of who came last."""
    names = [f"user-{at}" for at in range(8)]

    async def before(master: RedisServer, replica: RedisServer) -> dict[str, int]:
        async with redis_at(master.url) as client, redis_at(replica.url) as other:
            rooms = WaitingRooms(client.execute_command)
            await set_up(rooms, 7, state=RoomState.OPEN, cap=MANY)
            entered = [await rooms.enter(7, name) for name in names[:5]]
            assert await ask_of(client)("WAIT", 1, 1_000 * WAIT_S) == 1
            await ask_of(other)("REPLICAOF", "NO", "ONE")
            entered += [await rooms.enter(7, name) for name in names[5:]]
            return {name: one.place.turn for name, one in zip(names, entered, strict=True)}

    async def after(replica: RedisServer, turns: dict[str, int]) -> None:
        async with redis_at(replica.url) as client:
            rooms = WaitingRooms(client.execute_command)
            # The second in which the last of them came is over.
            async with asyncio.timeout(WAIT_S):
                last_s = max(turns.values()) // TURNS_PER_S
                while (await client.time())[0] <= last_s:  # noqa: ASYNC110
                    await asyncio.sleep(PAUSE_S)
            _, places = await rooms.look(7, names)
            assert [place.standing.name for place in places] == ["WAITING"] * 5 + ["NONE"] * 3
            await rooms.enter(7, "late")
            for name in (names[7], names[5], names[6]):
                entered = await rooms.enter(7, name, turns[name])
                assert (entered.entry, entered.place.turn) == (Entry.RESTORED, turns[name])
            # Nobody is let in by a server that may not know who was, until that is certain.
            with pytest.raises(RoomUnproved):
                await rooms.promote(7, "p-1", 20)
            await rooms.restore(7, (), life=(await rooms.reap(7)).life)
            promoted = await rooms.promote(7, "p-2", 20)
            assert [turn.user_id for turn in promoted] == [*names, "late"]

    async def follow_master(master: RedisServer, replica: RedisServer) -> None:
        async with redis_at(replica.url) as client, redis_at(master.url) as first:
            # A master waits some seconds for further replicas, of which there is none.
            await ask_of(first)("CONFIG", "SET", "repl-diskless-sync-delay", "0")
            await follow(client, master.url)

    with servers(tmp_path, 2) as [master, replica]:
        asyncio.run(follow_master(master, replica))
        assert wait_until(lambda: is_linked(replica.url), WAIT_S)
        turns = asyncio.run(before(master, replica))
        master.kill()
        asyncio.run(after(replica, turns))


async def bytes_of_keys(client: Any) -> int:
    """What all keys take, each of their elements counted: buffers of clients come and go."""
    keys = [key async for key in client.scan_iter()]
    return sum([await client.memory_usage(key, samples=0) for key in keys])


@pytest.mark.redis
def test_q23_a_user_who_waits_takes_no_more_memory_than_is_allowed(server: RedisServer) -> None:
    """Names as long as most pseudonymous ids are; the limit is what docs/waiting-room.md says."""
    users, limit_bytes = 4_000, 400

    async def go() -> None:
        async with redis_at(server.url) as client:
            rooms = WaitingRooms(client.execute_command)
            await set_up(rooms, 7, state=RoomState.OPEN, cap=MANY)
            await rooms.enter(7, "the first one")
            before = await bytes_of_keys(client)
            names = [f"{at:08x}-aaaa-bbbb-cccc-dddddddddddd" for at in range(users)]
            await asyncio.gather(*(rooms.enter(7, name) for name in names))
            # As pods do before they answer.
            await client.delete(waiting_room(7)[-1])
            each = (await bytes_of_keys(client) - before) / users
            assert each < limit_bytes, each

    asyncio.run(go())
