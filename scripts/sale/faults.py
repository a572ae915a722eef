"""More that can happen to the demo's workers: one fault for the group, one for a store, by seed.

A fault is a function of a `Stage`; the buyers go on buying while it runs, and when it returns all
workers are ready again. What hurts the files of a store are plain functions over its folder.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from scripts.processes.workers import Worker

# Short of half a session, so that nobody has to end itself.
SHORT_FREEZE_S = 1.5
WHILE_S = 2.0


class Stage(Protocol):
    """A sale that goes on while something happens to its workers."""

    workers: Sequence[Worker]

    def say(self, text: str) -> None: ...
    def for_seconds(self, seconds: float) -> None: ...
    def end(self, worker: Worker) -> None: ...
    def leave(self, worker: Worker) -> None: ...
    def again(self, worker: Worker) -> None: ...


Fault = Callable[[Stage, random.Random], None]


# The group.


def leave_and_return(stage: Stage, draw: random.Random) -> None:
    """Let a worker leave in order, and come back while the others take over."""
    worker = draw.choice(stage.workers)
    stage.leave(worker)
    stage.again(worker)


def all_die(stage: Stage, draw: random.Random) -> None:
    """Kill every worker, so that nobody is left to take over."""
    for worker in draw.sample(stage.workers, len(stage.workers)):
        stage.end(worker)
    stage.for_seconds(WHILE_S)
    for worker in stage.workers:
        stage.again(worker)


def die_in_takeover(stage: Stage, draw: random.Random) -> None:
    """Kill a worker, and soon after it starts again kill it once more, amid the rebalance."""
    worker = draw.choice(stage.workers)
    stage.end(worker)
    worker.start()
    stage.for_seconds(draw.uniform(1.0, 4.0))
    stage.end(worker)
    stage.again(worker)


def freeze_shortly(stage: Stage, draw: random.Random) -> None:
    """Freeze every worker, one after the other, for less than it takes to lose the session."""
    for worker in draw.sample(stage.workers, len(stage.workers)):
        stage.say(f"{worker.name} is frozen for {SHORT_FREEZE_S} s, less than its session")
        worker.pause()
        stage.for_seconds(SHORT_FREEZE_S)
        worker.wake()


# Stores.


def lose_a_disk(stage: Stage, draw: random.Random) -> None:
    """Kill a worker and delete its stores."""
    worker = draw.choice(stage.workers)
    stage.end(worker)
    stage.say(f"the stores of {worker.name} are deleted")
    lose_stores(worker.stores)
    stage.again(worker)


def damage_a_store(stage: Stage, draw: random.Random) -> None:
    """Let a worker leave, so that its stores are written out, and flip bytes in their files."""
    worker = draw.choice(stage.workers)
    stage.leave(worker)
    count = damage_stores(worker.stores, draw)
    stage.say(f"a byte is flipped in {count} files of the stores of {worker.name}")
    stage.again(worker)


def bring_an_old_store_back(stage: Stage, draw: random.Random) -> None:
    """Give a worker the copy of its stores that was made a while ago, as from a backup."""
    worker = draw.choice(stage.workers)
    copy = worker.stores.with_name("stores-copy")
    stage.leave(worker)
    copy_stores(worker.stores, copy)
    stage.again(worker)
    stage.for_seconds(WHILE_S)
    stage.end(worker)
    stage.say(f"{worker.name} gets an older copy of its stores")
    copy_stores(copy, worker.stores)
    stage.again(worker)


GROUP_FAULTS: dict[str, Fault] = {
    "a worker leaves and comes back": leave_and_return,
    "all workers die at once": all_die,
    "a worker dies again in its takeover": die_in_takeover,
    "each worker is frozen shortly": freeze_shortly,
}
STORE_FAULTS: dict[str, Fault] = {
    "a worker loses its disk": lose_a_disk,
    "a worker's stores are damaged": damage_a_store,
    "a worker gets an older copy of its stores": bring_an_old_store_back,
}


def draw_faults(draw: random.Random) -> tuple[str, str]:
    """Return the names of one fault for the group and one for a store."""
    return draw.choice(sorted(GROUP_FAULTS)), draw.choice(sorted(STORE_FAULTS))


def strike(name: str, stage: Stage, draw: random.Random) -> None:
    """Let a fault happen."""
    (GROUP_FAULTS | STORE_FAULTS)[name](stage, draw)


# Files of stores that nobody has open.


def lose_stores(stores: Path) -> None:
    """Delete all stores of a worker."""
    shutil.rmtree(stores, ignore_errors=True)


def damage_stores(stores: Path, draw: random.Random) -> int:
    """Flip one bit in each file that holds values, or else in each manifest; return how many."""
    files = sorted(stores.rglob("*.sst")) or sorted(stores.rglob("MANIFEST-*"))
    for file in files:
        body = bytearray(file.read_bytes())
        body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        file.write_bytes(body)
    return len(files)


def copy_stores(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`, whatever was there."""
    lose_stores(target)
    if source.exists():
        shutil.copytree(source, target)
