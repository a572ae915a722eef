"""Measure the four workers after the money on a real broker, all started for the purpose.

Scenarios (all, without any named), each of one worker, and of two:
  issue_purchases     confirmed payments to purchases and tickets
  allocate_purchases  purchases to allocations, by an allocation service that answers at once
  schedule_slots      allocations to windows of seven slots
  invalidate_caches   purchases to keys deleted in Redis

A backlog lies in the topic; what is measured is how many of its events are done a second, and the
processor time of each. Every figure is the median of the runs, with the least and the most.
Nothing is asserted. The machine should do nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.workers schedule_slots --runs 3 --out /tmp/workers.json
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import psutil

from benchmarks.measuring import bench as measuring
from benchmarks.measuring import machine
from benchmarks.measuring.cluster import BenchmarkFailed
from benchmarks.measuring.figures import Run, Scenario
from benchmarks.seat_runs.worker import Worker, Workers
from benchmarks.worker_runs.backlogs import fill, measure
from benchmarks.worker_runs.events import Events
from infra.stack.processes import wait_until
from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED, Topic
from scripts.processes.allocation import AllocationService
from streams import allocate_purchases, invalidate_caches, issue_purchases
from streams.schedule_slots import handler as slots

INSTANCES = (1, 2)
READY_S = 180.0
SERVICE_S = 60.0


class Kind(NamedTuple):
    """One kind of worker: the topic that it reads, and what a figure of it is of."""

    source: Topic
    what: str


KINDS: Mapping[str, Kind] = {
    issue_purchases.ROLE: Kind(PURCHASE_CONFIRMED, "confirmed payments to issued purchases"),
    allocate_purchases.ROLE: Kind(PURCHASE_CREATED, "purchases to allocations, one call each"),
    slots.ROLE: Kind(SEATS_ALLOCATED, "allocations to windows of seven slots"),
    invalidate_caches.ROLE: Kind(PURCHASE_CREATED, "purchases to keys deleted in Redis"),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    events: of each backlog, by role. look_s: how often workers are asked how far they are.
    transaction_records: most events of one transaction.
    """

    events: Mapping[str, int] = field(
        default_factory=lambda: {
            issue_purchases.ROLE: 300_000,
            allocate_purchases.ROLE: 12_000,
            slots.ROLE: 150_000,
            invalidate_caches.ROLE: 20_000,
        }
    )
    look_s: float = 0.5
    transaction_records: int = 10_000


QUICK = Sizes(
    events=dict.fromkeys(KINDS, 6_000)
    | dict.fromkeys((allocate_purchases.ROLE, invalidate_caches.ROLE), 1_200),
    look_s=0.05,
    transaction_records=100,
)


class Bench(measuring.BrokerBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    PARTS: ClassVar[frozenset[str]] = frozenset({"kafka", "registry", "redis"})
    PACKAGES: ClassVar[tuple[str, ...]] = (*machine.PACKAGES, "aiohttp", "redis")

    def measured(self, role: str) -> Scenario:
        """Measure one kind of worker."""
        broker, count = self._fresh_broker(), self.sizes.events[role]
        return Scenario(
            role,
            KINDS[role].what,
            {"events": count, "instances": list(INSTANCES)},
            self._repeated(role, lambda: self._run(broker, role, count)),
        )

    def _run(self, broker: measuring.Broker, role: str, count: int) -> Run:
        run: dict[str, float] = {}
        for instances in INSTANCES:
            found = self._drained(broker, role, count, instances)
            name = {1: "one", 2: "two"}[instances]
            run |= {f"{name}_{figure}": value for figure, value in found.items()}
            self.progress.step(
                f"  {instances} of {role}: {found['per_s']:,.0f} events/s,"
                f" {found['cpu_us']:,.0f} us of the workers each"
            )
        return run

    def _drained(self, broker: measuring.Broker, role: str, count: int, instances: int) -> Run:
        """Measure one backlog on empty topics and stores; nothing of it runs afterwards."""
        cluster, source = broker.cluster, KINDS[role].source
        self._serial += 1
        place = broker.directory / f"workers-{self._seed}-{self._serial}"
        cluster.fresh_topics()
        events = list(Events(cluster.ids).of(source, count))
        with ExitStack() as running:
            service = (
                running.enter_context(serving(place)) if role == allocate_purchases.ROLE else None
            )
            settings = {
                "SEATSTREAM_ROLES": role,
                "REDIS_URL": cluster.redis_url,
                "SEATSTREAM_TRANSACTION_RECORDS": str(self.sizes.transaction_records),
            }
            if service is not None:
                settings["ADMIN_SERVICE_URL"] = service.url
            group = place.name
            start = partial(Worker.of_topology, cluster, group)
            each = [
                running.enter_context(start(place / name, instance=name, **settings))
                for name in (f"bench-{number}" for number in range(1, instances + 1))
            ]
            workers = Workers(each)
            if not wait_until(workers.share, READY_S):
                raise workers.failed("not each of them has its part of the partitions")
            fill(cluster, source, events)
            cpu_s = service.cpu_s if service else lambda: 0.0
            found = measure(cluster, workers, count, self.progress, self.sizes.look_s, cpu_s)
            workers.stop()
        shutil.rmtree(place)
        return found


@dataclass(frozen=True, slots=True)
class Service:
    """The allocation service that is called."""

    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        times = self.process.cpu_times()
        return times.user + times.system


@contextmanager
def serving(place: Path) -> Iterator[Service]:
    """Give an allocation service with books of its own; it has ended when the block is left."""
    started = AllocationService(place / "allocation")
    started.start()
    try:
        if not wait_until(started.is_ready, SERVICE_S):
            raise BenchmarkFailed(f"the allocation service does not answer:\n{started.log()}")
        yield Service(started.url, psutil.Process(started.pid))
    finally:
        started.terminate()
        started.finish()


SCENARIOS: Mapping[str, Callable[[Bench], Scenario]] = {
    role: partial(Bench.measured, role=role) for role in KINDS
}


COMMAND = measuring.Command(
    "workers", __doc__, "names of groups", Bench, measuring.either(Sizes(), QUICK), SCENARIOS
)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
