"""Measure the audit on a real broker, started for the purpose: records a second, memory.

Scenarios (all, without any named):
  judged       the log of a sale, holds and releases over 800 sections of 5,000 seats, as one
               worker left it: records a second by `scripts.audit`, from its start to its end
  judged_once  the same log by one process
  judged_4     a log of four times as many commands: memory against the size of the log

A record is one that is committed in a topic that the audit reads. Every figure is the median of
the runs, with the least and the most. Nothing is asserted; the target stands beside its figure.
The machine should do nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.audit judged --runs 3 --out /tmp/audit.json
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil

from benchmarks.measuring import bench as measuring
from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.figures import Run, Scenario, Target
from benchmarks.pod_runs.arena import PARTY_SIZES, Arena, Holds
from benchmarks.seat_runs.drained import preload_and_drain
from infra.paths import ROOT
from infra.stack.processes import Child, child_environment, tail
from schemas.topics import (
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.auditing.topics import read_topic, reading
from scripts.brokers.addresses import Servers

READ = (SECTION_COMMANDS, RESERVATION_OUTCOMES, SEATS_CHANGELOG, SECTION_STATUS)
"""Of seats; nothing lies in the topics of money here."""

LOOK_S = 0.05
TIMEOUT_S = 1800.0
COMMANDS_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    commands:    holds and releases of the log. outstanding: holds that are not released.
    times:       of the large log.
    processes:   of the audit.
    """

    commands: int = 400_000
    sections: int = 800
    outstanding: int = 50_000
    times: int = 4
    processes: int = 2


QUICK = Sizes(commands=20_000, sections=20, outstanding=2_000, times=2)


@dataclass(frozen=True, slots=True)
class Filled:
    """A log at rest. group: of the worker that made it. records: in the topics of the audit."""

    broker: measuring.Broker
    group: str
    commands: int
    records: Mapping[str, int]


class Bench(measuring.BrokerBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._filled: Filled | None = None

    def judged(self) -> Scenario:
        targets = (Target("records_per_s", at_least=100_000),)
        return self._judged("judged", self.sizes.processes, targets=targets)

    def judged_once(self) -> Scenario:
        return self._judged("judged_once", 1)

    def judged_4(self) -> Scenario:
        return self._judged("judged_4", self.sizes.processes, self.sizes.times)

    def _judged(
        self, name: str, processes: int, times: int = 1, *, targets: Sequence[Target] = ()
    ) -> Scenario:
        filled = self._fill(self.sizes.commands * times)
        runs = [self._audit(filled, processes) for _ in self._counted(name)]
        sizes = {
            "commands": filled.commands,
            "sections": self.sizes.sections,
            "party_sizes": list(PARTY_SIZES),
            "outstanding": self.sizes.outstanding * times,
            "processes": processes,
            "records": dict(filled.records),
        }
        what = f"a log at rest judged by {processes} processes, reading and start included"
        return Scenario(name, what, sizes, runs, targets)

    def _audit(self, filled: Filled, processes: int) -> Run:
        cluster = filled.broker.cluster
        command = (
            *(sys.executable, "-m", "scripts.audit", "--json"),
            *("--group", filled.group, "--processes", str(processes)),
        )
        environment = {
            "KAFKA_BROKERS": cluster.brokers,
            "SCHEMA_REGISTRY_URL": cluster.registry_url,
        }
        broker_before, began_s = cluster.cpu_s(), time.monotonic()
        log = filled.broker.directory / "audit.log"
        child = Child(command, ROOT, log, {**child_environment(), **environment})
        rss_mb = one_mb = cpu_s = 0.0
        try:
            while child.is_alive():
                now = looked_at(child.pid)
                rss_mb, one_mb = max(rss_mb, sum(now.rss_mb)), max(one_mb, *now.rss_mb, 0.0)
                cpu_s = max(cpu_s, now.cpu_s)
                if time.monotonic() - began_s > TIMEOUT_S:
                    raise BenchmarkFailed(f"the audit takes more than {TIMEOUT_S:.0f} s")
                time.sleep(LOOK_S)
            took_s = time.monotonic() - began_s
            output = child.output()
            if child.exit_code() != 0:
                raise BenchmarkFailed(f"the audit ended with {child.exit_code()}:\n{tail(output)}")
        finally:
            child.kill()
        records = sum(filled.records.values())
        verdict = json.loads(output[output.index("{") :])
        if not verdict["exact"] or verdict["commands"] < filled.commands:
            raise BenchmarkFailed(f"not the log that was made: {tail(output)}")
        self.progress.step(f"  {records / took_s:,.0f} records/s, {rss_mb:,.0f} MB")
        return {
            "records_per_s": records / took_s,
            "took_s": took_s,
            "cpu_us_per_record": cpu_s / records * 1e6,
            "broker_cpu_us_per_record": (cluster.cpu_s() - broker_before) / records * 1e6,
            "rss_most_mb": rss_mb,
            "rss_most_of_one_process_mb": one_mb,
        }

    def _fill(self, commands: int) -> Filled:
        """Return a broker with the log of so many commands, the same for all who ask in a row."""
        if self._filled is not None and self._filled.commands == commands:
            return self._filled
        sizes = self.sizes
        broker = self._fresh_broker()
        self._serial += 1
        group = f"audited-{self._serial}"
        place = broker.directory / group
        holds = Holds(
            Arena(sizes.sections),
            commands,
            str(self._seed),
            outstanding=sizes.outstanding * commands // sizes.commands,
        )
        self.progress.step("filling the log, not counted")
        preload_and_drain(broker.cluster, holds, group, place, self.progress, settle_s=0.0)
        shutil.rmtree(place)
        self._filled = Filled(broker, group, commands, records_in(broker.cluster))
        return self._filled


@dataclass(frozen=True, slots=True)
class Look:
    """A process and its children at one moment."""

    rss_mb: tuple[float, ...]
    cpu_s: float


def looked_at(pid: int) -> Look:
    """Return what a process and all its children have; nothing of those that end meanwhile."""
    rss_mb: list[float] = []
    cpu_s = 0.0
    with suppress(psutil.Error):
        first = psutil.Process(pid)
        for each in (first, *first.children(recursive=True)):
            with suppress(psutil.Error), each.oneshot():
                rss_mb.append(each.memory_info().rss / 2**20)
                cpu_s += each.cpu_times().user + each.cpu_times().system
    return Look(tuple(rss_mb), cpu_s)


def records_in(cluster: Cluster) -> dict[str, int]:
    """Return by topic how many committed records it has."""
    counts = {}
    with reading(Servers(cluster.brokers, cluster.registry_url)) as consumer:
        for topic in READ:
            counts[topic.name] = sum(
                len(read_topic(consumer, topic, [part])[part]) for part in range(topic.partitions)
            )
    return counts


# In the order they are run: those that share a log stand together.
SCENARIOS = measuring.by_name(Bench.judged, Bench.judged_once, Bench.judged_4)


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add how large the log is."""
    commands = "of the smaller log (default 400,000)"
    parser.add_argument("--commands", type=measuring.whole(1, COMMANDS_MAX), help=commands)


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return how much is asked for."""
    sizes = QUICK if options.quick else Sizes()
    if not options.commands:
        return sizes
    kept = options.commands * sizes.outstanding // sizes.commands
    return replace(sizes, commands=options.commands, outstanding=kept)


COMMAND = measuring.Command("audit", __doc__, "commands", Bench, sizes_of, SCENARIOS, more_options)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
