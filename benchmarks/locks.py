"""Measure locks at a real Redis, started for the purpose.

Scenarios (all, without any named):
  locked  one lock after another, taken and given up by so many at once: operations a second and
          their latency, for 1 seat and for 8
  script  100 seats in one lock: time of the script itself, as the server counts it

Locks go through the client that workers have, and through a pod's one connection. Every figure is
the median of the runs, with the least and the most. Nothing is asserted; targets stand beside the
figures. The machine should do nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.locks locked --runs 3 --out /tmp/locks.json
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.measuring import bench as measuring
from benchmarks.measuring.figures import Run, Scenario, Target, latencies
from benchmarks.measuring.redis_bench import (
    PatientLine,
    RedisBench,
    patient_line,
    script_us,
)
from state.redis.client import client_of
from state.redis.keys import SEATS_MAX, seat_locks
from state.redis.seat_lock import Granted, SeatLock, owner_of

TTL_MS = 60_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    seats:  of one lock, one after the other. at_once: locks under way, one after the other.
    grants: taken and given up in each measurement. scripts: of 100 seats.
    """

    seats: tuple[int, ...] = (1, 8)
    at_once: tuple[int, ...] = (1, 16)
    grants: int = 10_000
    scripts: int = 1_000


QUICK = Sizes(grants=200, scripts=20)


class Bench(RedisBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    def locked(self) -> Scenario:
        sizes = self.sizes
        url = self._redis()
        return Scenario(
            "locked",
            "locks taken and given up at one Redis; an operation is one of the two",
            {
                "seats": list(sizes.seats),
                "at_once": list(sizes.at_once),
                "claims": sizes.grants,
            },
            self._repeated("locked", lambda: asyncio.run(locked(url, sizes))),
        )

    def script(self) -> Scenario:
        sizes = self.sizes
        url = self._redis()
        return Scenario(
            "script",
            f"{SEATS_MAX} seats in one lock: the server's own time of each script",
            {"seats": SEATS_MAX, "scripts": sizes.scripts},
            self._repeated("script", lambda: asyncio.run(script(url, sizes))),
            (Target("acquire_us", at_most=5_000),),
        )


@asynccontextmanager
async def lockers(url: str) -> AsyncIterator[tuple[Mapping[str, SeatLock], PatientLine]]:
    """Give locks over both ways to the server, by what they are called, and the second way."""
    client = client_of(url, timeout_s=30.0)
    try:
        async with patient_line(url) as line:
            yield {"client": SeatLock(client.execute_command), "line": SeatLock(line.ask)}, line
    finally:
        await client.aclose()


async def locked(url: str, sizes: Sizes) -> Run:
    """Return operations a second and their latency, by way, seats and how many are at once."""
    found: dict[str, float] = {}
    async with lockers(url) as (ways, line):
        for way, locks in ways.items():
            for seats in sizes.seats:
                for at_once in sizes.at_once:
                    measured = await _taken_and_given_up(locks, seats, at_once, sizes.grants)
                    name = f"{way}_{seats}_seats_{at_once}_at_once"
                    found |= {f"{name}_{figure}": value for figure, value in measured.items()}
        found["unanswered"] = line.unanswered
    return found


async def _taken_and_given_up(
    locks: SeatLock, seats: int, at_once: int, grants: int
) -> dict[str, float]:
    taken_ms: list[float] = []

    async def buyer(number: int) -> None:
        # Each has its own seats, as most buyers have.
        keys = seat_locks(number, "A", [(0, seat) for seat in range(seats)])
        for turn in range(grants // at_once):
            began_s = time.perf_counter()
            grant = await locks.acquire(keys, owner_of(f"r{number}-{turn}", 1), TTL_MS)
            taken_ms.append((time.perf_counter() - began_s) * 1000)
            assert isinstance(grant, Granted), grant
            await locks.release(grant)

    began_s = time.perf_counter()
    await asyncio.gather(*(buyer(number) for number in range(at_once)))
    lasted_s = time.perf_counter() - began_s
    told = latencies(sorted(taken_ms))
    return {
        "operations_per_s": 2 * len(taken_ms) / lasted_s,
        "acquire_p50_ms": told["p50_ms"],
        "acquire_p99_ms": told["p99_ms"],
    }


async def script(url: str, sizes: Sizes) -> Run:
    """Return the server's own time of a script over 100 seats, us."""
    keys = seat_locks(1_000_000, "A", [(row, seat) for row in range(10) for seat in range(10)])
    client = client_of(url, timeout_s=30.0)
    locks = SeatLock(client.execute_command)
    try:
        took: dict[str, float] = {"acquire": 0.0, "extend": 0.0, "release": 0.0}
        for turn in range(sizes.scripts):
            before = await script_us(client)
            grant = await locks.acquire(keys, owner_of(f"r{turn}", 1), TTL_MS)
            assert isinstance(grant, Granted), grant
            taken = await script_us(client)
            await locks.extend(grant, TTL_MS)
            extended = await script_us(client)
            await locks.release(grant)
            took["acquire"] += taken - before
            took["extend"] += extended - taken
            took["release"] += await script_us(client) - extended
        return {f"{name}_us": spent / sizes.scripts for name, spent in took.items()}
    finally:
        await client.aclose()


# In the order they are run.
SCENARIOS = measuring.by_name(Bench.locked, Bench.script)


COMMAND = measuring.Command(
    "locks", __doc__, "reservations", Bench, measuring.either(Sizes(), QUICK), SCENARIOS
)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
