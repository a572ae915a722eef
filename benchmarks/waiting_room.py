"""Measure waiting rooms at a real Redis, started for the purpose.

Scenarios (all, without any named):
  entered  users who enter one room, and then ask where they stand, so many at once: operations a
           second and their latency, and Redis' memory for each user who waits
  crowd    clients who enter within 10 s, ask as they are told to, and are let in: a few processes,
           each a pod's own part with so many questions at once, no HTTP and no Kafka between
  script   the scripts at their limits, in a room where so many wait: time of the script itself, as
           the server counts it

A room is asked through a pod's one connection. Every figure is the median of the runs, with the
least and the most. Nothing is asserted; targets stand beside the figures. The machine should do
nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.waiting_room script --runs 3 --out /tmp/rooms.json
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import Any

from redis.asyncio import Redis

from benchmarks.measuring import bench as measuring
from benchmarks.measuring.figures import Run, Scenario, Target, latencies
from benchmarks.measuring.redis_bench import RedisBench, patient_line, script_us
from benchmarks.room_runs import crowd as crowds
from state.domain.waiting.admission import PROMOTED_MAX, REAPED_MAX, RoomState
from state.domain.waiting.line import Stands, Step
from state.redis.client import client_of
from state.redis.keys import waiting_room
from state.redis.waiting.rooms import LOOKED_AT_MAX, RESTORED_MAX, WaitingRooms

CAP = 1_000_000
SCRIPT_US_MAX = 5_000
SCRIPTS = ("enter", "look", "promote", "reap", "restore")
FAR_MS = 1 << 42
CLIENTS_MAX = 200_000

EVENTS = count(1)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    users: who enter a room. at_once: operations under way, one after the other. waiting: users of
    the room whose scripts are timed. scripts: of each kind. crowd: see there.
    """

    users: int = 20_000
    at_once: tuple[int, ...] = (1, 64)
    waiting: int = 100_000
    scripts: int = 100
    crowd: crowds.Sizes = field(default_factory=crowds.Sizes)


QUICK = Sizes(
    users=200, waiting=2_000, scripts=3, crowd=crowds.Sizes(200, 0.2, processes=1, per_minute=0)
)


class Bench(RedisBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    def entered(self) -> Scenario:
        sizes = self.sizes
        url = self._redis()
        return Scenario(
            "entered",
            "users who enter one room and ask where they stand, through one connection",
            {"users": sizes.users, "at_once": list(sizes.at_once)},
            self._repeated("entered", lambda: asyncio.run(entered(url, sizes))),
            (Target("bytes_each", at_most=400),),
        )

    def crowd(self) -> Scenario:
        sizes, url = self.sizes.crowd, self._redis()

        def run() -> Run:
            event = next(EVENTS)
            names = [f"{event}-{name_of(number)}" for number in range(sizes.clients)]
            seen = asyncio.run(crowds.run(url, event, names, sizes, self._seed))
            asyncio.run(forgotten(url, event))
            return crowds.figures(seen, sizes)

        return Scenario(
            "crowd",
            "clients who come within some seconds and ask as they are told to until they are in",
            asdict(sizes),
            self._repeated("crowd", run),
            (
                Target("lost", at_most=0),
                Target("not_let_in", at_most=0),
                Target("entered_all_s", at_most=sizes.within_s + 1),
            ),
        )

    def script(self) -> Scenario:
        sizes = self.sizes
        url = self._redis()
        return Scenario(
            "script",
            f"{LOOKED_AT_MAX} looks, {PROMOTED_MAX} promotions, {REAPED_MAX} given up, "
            f"{RESTORED_MAX} put back: the server's own time of each script",
            {"waiting": sizes.waiting, "scripts": sizes.scripts},
            self._repeated("script", lambda: asyncio.run(script(url, sizes))),
            tuple(Target(f"{name}_us", at_most=SCRIPT_US_MAX) for name in SCRIPTS),
        )


@asynccontextmanager
async def fresh_room(url: str) -> AsyncIterator[tuple[WaitingRooms, int, Redis]]:
    """Give a pod's way to the rooms, the event of a new one, and a client beside it."""
    client, event = client_of(url, timeout_s=30.0), next(EVENTS)
    try:
        async with patient_line(url) as line:
            rooms = WaitingRooms(line.ask)
            await rooms.configure(event, state=RoomState.OPEN, cap=CAP)
            # As its promoter would: nothing was told of a new one.
            await rooms.restore_all(event, (), life=await rooms.life(event))
            yield rooms, event, client
            await client.unlink(*waiting_room(event))
    finally:
        await client.aclose()


async def forgotten(url: str, event: int) -> None:
    """Take a room away: the next crowd finds an empty server."""
    client = client_of(url, timeout_s=30.0)
    try:
        await client.unlink(*waiting_room(event))
    finally:
        await client.aclose()


def name_of(number: int) -> str:
    """Return a name as long as most pseudonymous ids are."""
    return f"{number:08x}-aaaa-bbbb-cccc-dddddddddddd"


async def entered(url: str, sizes: Sizes) -> Run:
    """Return operations a second and their latency, by kind and how many are at once."""
    found: dict[str, float] = {}
    for at_once in sizes.at_once:
        async with fresh_room(url) as (rooms, event, client):
            before = await client.info("memory")

            async def enter(user: str, rooms: WaitingRooms = rooms, event: int = event) -> None:
                await rooms.enter(event, user)

            async def look(user: str, rooms: WaitingRooms = rooms, event: int = event) -> None:
                await rooms.look(event, (user,))

            for kind, operation in (("enter", enter), ("look", look)):
                measured = await _each(operation, at_once, sizes.users)
                found |= {f"{kind}_{at_once}_at_once_{name}": measured[name] for name in measured}
            # As pods do before they answer.
            await client.delete(waiting_room(event)[-1])
            after = await client.info("memory")
            taken = after["used_memory_dataset"] - before["used_memory_dataset"]
            found["bytes_each"] = taken / sizes.users
    return found


async def _each(
    operation: Callable[[str], Awaitable[None]], at_once: int, users: int
) -> dict[str, float]:
    took_ms: list[float] = []

    async def some(first: int) -> None:
        for number in range(first, users, at_once):
            began_s = time.perf_counter()
            await operation(name_of(number))
            took_ms.append((time.perf_counter() - began_s) * 1000)

    began_s = time.perf_counter()
    await asyncio.gather(*map(some, range(at_once)))
    lasted_s = time.perf_counter() - began_s
    told = latencies(sorted(took_ms))
    return {"per_s": users / lasted_s, "p50_ms": told["p50_ms"], "p99_ms": told["p99_ms"]}


async def script(url: str, sizes: Sizes) -> Run:
    """Return the server's own time of each script at its limit, us."""
    async with fresh_room(url) as (rooms, event, client):
        for first in range(0, sizes.waiting, 1_000):
            numbers = range(first, min(first + 1_000, sizes.waiting))
            await asyncio.gather(*(rooms.enter(event, name_of(number)) for number in numbers))
        # Nobody is given up for not asking meanwhile: twice the time is decades from now.
        await client.zunionstore(waiting_room(event)[2], {waiting_room(event)[2]: 2.0})
        users = [name_of(number) for number in range(LOOKED_AT_MAX)]
        took = dict.fromkeys(SCRIPTS, 0.0)
        seen, line = waiting_room(event)[2], waiting_room(event)[1]
        for turn in range(sizes.scripts):
            behind: Any = await client.zrange(line, -REAPED_MAX, -1)
            took["enter"] += await _timed(client, rooms.enter(event, f"late-{turn}"))
            took["look"] += await _timed(client, rooms.look(event, users))
            name = f"bench-{turn}"
            took["promote"] += await _timed(client, rooms.promote(event, name, PROMOTED_MAX))
            await client.zadd(seen, dict.fromkeys(behind, 1), xx=True)
            took["reap"] += await _timed(client, rooms.reap(event))
            # As many wait again.
            gone = [user.decode() for user in behind]
            await asyncio.gather(*(rooms.enter(event, user) for user in gone))
            # Each stands further back than they were told, as in an older file.
            later: Any = await client.hget(waiting_room(event)[0], "turn")
            told = [
                Stands(name_of(turn * RESTORED_MAX + at), int(later) + at, Step.ADMITTED, FAR_MS)
                for at in range(RESTORED_MAX)
            ]
            took["restore"] += await _timed(client, rooms.restore(event, told))
        return {f"{name}_us": spent / sizes.scripts for name, spent in took.items()}


async def _timed(client: Any, asking: Awaitable[Any]) -> float:
    """Return the time that the server spent in scripts meanwhile, us."""
    before = await script_us(client)
    await asking
    return await script_us(client) - before


# In the order they are run.
SCENARIOS = measuring.by_name(Bench.entered, Bench.crowd, Bench.script)


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add what only the crowd asks for."""
    clients = f"of the crowd, 1 to {CLIENTS_MAX:,} (default 100,000)"
    parser.add_argument("--clients", type=measuring.whole(1, CLIENTS_MAX), help=clients)
    parser.add_argument(
        "--per-minute", type=int, help="of the crowd, most that are let in (default 60,000)"
    )


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return how much is asked for."""
    sizes = QUICK if options.quick else Sizes()
    asked = {"clients": options.clients, "per_minute": options.per_minute}
    changes = {name: value for name, value in asked.items() if value is not None}
    return replace(sizes, crowd=replace(sizes.crowd, **changes))


COMMAND = measuring.Command(
    "waiting_room", __doc__, "users", Bench, sizes_of, SCENARIOS, more_options
)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
