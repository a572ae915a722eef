"""A crowd of clients in a few processes, each of them a pod's own part of a waiting room.

What lies between a client and that part, HTTP and Kafka, is not there. Each client enters within
some seconds, asks again when it was told to, and leaves once let in. A process has so many
questions under way at once; who has to wait for that, or for an answer, is late, and the time
counts from the moment at which the client wanted to ask.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.admission.desk import Stand, WaitingDesk
from api.admission.passes import Passes
from api.admission.promoter import Promoter
from api.waiting_room.bodies import place_body
from api.web.problems import Problem
from benchmarks.measuring.figures import latencies
from benchmarks.room_runs.side_by_side import side_by_side
from state.domain.waiting.admission import RoomState, Standing

AGAIN_S: Final = 1.0
LIMIT_S: Final = 1_800.0
"""A crowd that is not in after half an hour is given up."""

MEMBERS: Final = 10


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a crowd is.

    clients: in all. within_s: in which they come. processes: that they are spread over. at_once:
    questions under way in each. per_minute: most that are let in.
    """

    clients: int = 100_000
    within_s: float = 10.0
    processes: int = 2
    at_once: int = 64
    per_minute: int = 60_000


@dataclass(slots=True)
class Seen:
    """What the clients of one process have seen; times in s after all had begun, or how late.

    entered: when each had its turn. let_in: when each knew that it was let in. late_entering,
    late_asking: ms from the wish to the answer. refused: answers to come back later. lost: who was
    given up though it went on asking.
    """

    entered: list[float] = field(default_factory=list)
    let_in: list[float] = field(default_factory=list)
    late_entering: list[float] = field(default_factory=list)
    late_asking: list[float] = field(default_factory=list)
    refused: int = 0
    lost: int = 0


def visited(url: str, event: int, names: Sequence[str], sizes: Sizes, seed: int) -> Seen:
    """Have some clients come and be let in, and return what they saw; in a process of its own."""
    return asyncio.run(_visited(url, event, names, sizes, seed))


async def _visited(url: str, event: int, names: Sequence[str], sizes: Sizes, seed: int) -> Seen:
    seen = Seen()
    desk = WaitingDesk(url, Passes({"bench": Ed25519PrivateKey.generate()}))
    draw = random.Random(seed)
    process = Process(desk, event, seen, asyncio.Semaphore(sizes.at_once), time.monotonic())
    try:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(process.visit(name, draw.uniform(0, sizes.within_s)))
    finally:
        await desk.close()
    return seen


@dataclass(frozen=True, slots=True)
class Process:
    """All clients of one process."""

    desk: WaitingDesk
    event: int
    seen: Seen
    gate: asyncio.Semaphore
    begun_s: float

    async def visit(self, name: str, after_s: float) -> None:
        """Enter after some time, ask as told, and leave once let in."""
        await asyncio.sleep(after_s)
        stand = await self._enter(name)
        self.seen.entered.append(time.monotonic() - self.begun_s)
        while stand.place.standing is not Standing.ADMITTED:
            await asyncio.sleep(stand.poll_after_ms / 1_000)
            stand = await self._asked(self.seen.late_asking, name, is_entering=False)
            if stand.place.standing is Standing.NONE:
                self.seen.lost += 1
                stand = await self._enter(name)
        self.seen.let_in.append(time.monotonic() - self.begun_s)
        async with self.gate:
            await self.desk.leave(self.event, name)

    async def _enter(self, name: str) -> Stand:
        return await self._asked(self.seen.late_entering, name, is_entering=True)

    async def _asked(self, late: list[float], name: str, *, is_entering: bool) -> Stand:
        wished_s = time.monotonic()
        while True:
            stand: Stand | None = None
            async with self.gate:
                with suppress(Problem):
                    if is_entering:
                        stand = await self.desk.enter(self.event, name, None)
                    else:
                        stand = await self.desk.look(self.event, name)
                    # As an answer is made: tokens are signed for whoever enters or is let in.
                    passes = self.desk.passes
                    place_body(self.event, name, stand, passes, is_entering=is_entering)
            if stand is not None:
                late.append((time.monotonic() - wished_s) * 1_000)
                return stand
            self.seen.refused += 1
            await asyncio.sleep(AGAIN_S)


async def run(url: str, event: int, names: Sequence[str], sizes: Sizes, seed: int) -> list[Seen]:
    """Have a crowd come to a room of an event while one pod lets people in; what each process saw.

    Raises BenchmarkFailed where not all of them are in within half an hour, or a process has died.
    """
    desk = WaitingDesk(url, Passes({"bench": Ed25519PrivateKey.generate()}))
    promoter = Promoter(url, lambda _: len(names), members=MEMBERS)
    parts = [names[first :: sizes.processes] for first in range(sizes.processes)]
    visits = [(url, event, part, sizes, seed + number) for number, part in enumerate(parts)]
    await desk.configure(event, RoomState.OPEN, len(names), sizes.per_minute, None)
    await promoter.start()
    try:
        return await side_by_side(visited, visits, LIMIT_S)
    finally:
        await promoter.close()
        await desk.close()


def figures(seen: Sequence[Seen], sizes: Sizes) -> dict[str, float]:
    """Return what a crowd of so many has seen, all processes together."""
    entered = sorted(moment for one in seen for moment in one.entered)
    let_in = sorted(moment for one in seen for moment in one.let_in)
    entering = latencies(sorted(late for one in seen for late in one.late_entering))
    asking = latencies(sorted(late for one in seen for late in one.late_asking))
    polls = sum(len(one.late_asking) for one in seen)
    return {
        "entered_all_s": entered[-1],
        "entered_per_s": len(entered) / entered[-1],
        "enter_p50_ms": entering["p50_ms"],
        "enter_p99_ms": entering["p99_ms"],
        "polls": polls,
        "polls_per_s_each": polls / let_in[-1] / sizes.processes,
        "poll_p50_ms": asking.get("p50_ms", 0.0),
        "poll_p99_ms": asking.get("p99_ms", 0.0),
        "in_half_s": let_in[len(let_in) // 2],
        "in_all_s": let_in[-1],
        "refused": sum(one.refused for one in seen),
        "lost": sum(one.lost for one in seen),
        "not_let_in": sizes.clients - len(let_in),
    }
