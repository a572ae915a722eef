"""Promoters in processes of their own, killed again and again: the product's cycles, nothing else.

    python killed_promoters.py URL FOLDER SEED KILLS

A program by itself, for it forks. Each promoter writes whom it was told of to a file in the
folder. It ends when nobody waits any more in any room and as many were killed as demanded.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from api.admission import cycle as cycling
from api.admission.cycle import PromotionCycles
from api.admission.pool import Pool
from state.domain.waiting.line import Turn
from state.redis.client import client_of
from state.redis.waiting import tasks as promotion_tasks
from state.redis.waiting.rooms import WaitingRooms
from state.redis.waiting.tasks import PromotionTasks

PROMOTERS = 6
PLENTY = 1_000_000
BOUND_S = 400.0


async def promote(url: str, told: int) -> None:
    """Run cycles until nobody waits and no cycle is left; each lets in a few at a time."""
    for module, name, value in (
        (cycling, "PROMOTED_MAX", 2),
        (cycling, "ROUNDS_MAX", 2),
        (promotion_tasks, "HELD_MS", 500),
    ):
        setattr(module, name, value)
    client = client_of(url, timeout_s=30.0)

    async def tell(event_id: int, turns: Sequence[Turn]) -> None:
        lines = "".join(f"{event_id} {turn.turn} {turn.user_id}\n" for turn in turns)
        os.write(told, lines.encode())

    rooms = WaitingRooms(client.execute_command)
    tasks = PromotionTasks(client.execute_command)
    cycles = PromotionCycles(rooms, tasks, Pool("kills", 3), lambda _: PLENTY, promoted=tell)
    while True:
        await cycles.run()
        looks = [await rooms.look(event, ()) for event in await rooms.events()]
        if not sum(room.waiting for room, _ in looks if room is not None):
            if not await client.zcard("seatstream:promotion-cycles"):
                break
            await asyncio.sleep(0.05)
    await client.aclose()


def fork(url: str, folder: Path, number: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    told = os.open(folder / f"{number}.told", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(promote(url, told))
    os._exit(0)


def main() -> None:
    url, folder, seed, kills = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
    chance, killed, number = random.Random(seed), 0, 0
    alive: set[int] = set()
    ends_s = time.monotonic() + BOUND_S
    while time.monotonic() < ends_s:
        while len(alive) < PROMOTERS and killed <= kills:
            number += 1
            alive.add(fork(url, folder, number))
        time.sleep(chance.uniform(0.01, 0.08))
        for pid in sorted(alive):
            if os.waitpid(pid, os.WNOHANG)[0]:
                alive.discard(pid)
        if killed < kills and alive:
            victim = chance.choice(sorted(alive))
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            alive.discard(victim)
            killed += 1
        elif killed == kills:
            killed += 1
        elif not alive:
            return
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    sys.exit("the promoters have not come to an end")


if __name__ == "__main__":
    main()
