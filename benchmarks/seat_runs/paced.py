"""Latency at an offered rate, and how long a killed worker's partitions are without one."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.measuring.cluster import Cluster
from benchmarks.measuring.figures import Run, latencies
from benchmarks.measuring.latency import Sightings
from benchmarks.measuring.phases import Phased
from benchmarks.measuring.progress import Progress
from benchmarks.pod_runs.arena import Arena, openings
from benchmarks.seat_runs.worker import Worker
from schemas.topics import SECTION_COMMANDS

POLL_S = 0.02
START_TIMEOUT_S = 120.0
OPENED_TIMEOUT_S = 60.0
SHARED_TIMEOUT_S = 60.0

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a load process is asked to do.

    first: number of the first command; no two offers of a stack may overlap.
    """

    rate: int
    warm_up_s: float
    seconds: float
    arena: Arena
    seed: str
    first: int

    @property
    def count(self) -> int:
        """Return how many commands are sent."""
        return int(self.rate * (self.warm_up_s + self.seconds))


class OfferedLoad(Phased):
    """A running `benchmarks.measuring.offered_load`; killed when the block is left."""

    def __init__(self, cluster: Cluster, offer: Offer, directory: Path) -> None:
        self._out = directory / f"outcomes-{offer.first}"
        command = [
            *(sys.executable, "-m", "benchmarks.measuring.offered_load"),
            *("--brokers", cluster.brokers, "--registry", cluster.registry_url),
            *("--rate", str(offer.rate), "--warm-up", str(offer.warm_up_s)),
            *("--seconds", str(offer.seconds), "--sections", str(offer.arena.sections)),
            *("--seed", offer.seed, "--first", str(offer.first), "--out", str(self._out)),
        ]
        super().__init__("the load process", command, directory / f"load-{offer.first}.log")

    def sightings(self) -> Sightings:
        """Return all outcomes; call after "done"."""
        return Sightings.read(self._out)


def measure_rate(
    cluster: Cluster, worker: Worker, offer: Offer, directory: Path, progress: Progress
) -> Run:
    """Offer one rate to a ready worker; return latencies and processor use of each part."""
    with OfferedLoad(cluster, offer, directory) as load:
        load.wait("ready", START_TIMEOUT_S, worker)
        warm = load.wait("warm", offer.warm_up_s + 30, worker)
        began_s, metrics = time.monotonic(), worker.metrics()
        began = (worker.cpu_s(), cluster.cpu_s(), load.cpu_s())
        sent = load.wait("sent", offer.seconds + 60, worker)
        took_s = time.monotonic() - began_s
        commits = commits_between(metrics, worker.metrics())
        ended = (worker.cpu_s(), cluster.cpu_s(), load.cpu_s())
        done = load.wait("done", 120, worker)
        ordered_ms = load.sightings().ordered_ms(warm["from_ns"], sent["until_ns"])
    use = [(end - begin) / took_s * 100 for begin, end in zip(began, ended, strict=True)]
    run = {
        **latencies(ordered_ms),
        "missing": float(done["missing"]),
        "twice": float(done["twice"]),
        "generator_late_ms": done["late_ms"],
        **commits,
        "worker_cpu_percent": use[0],
        "broker_cpu_percent": use[1],
        "load_cpu_percent": use[2],
    }
    if ordered_ms:
        progress.step(
            f"  {offer.rate:,}/s: p50 {run['p50_ms']:.1f} ms, p99 {run['p99_ms']:.1f} ms"
        )
    return run


def commits_between(before: Metrics, after: Metrics) -> dict[str, float]:
    """Return number, size and duration of the transactions between two looks at the metrics."""

    def rise(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    transactions = rise("seatstream_commit_seconds_count")
    if not transactions:
        return {}
    return {
        "transactions": transactions,
        "records_per_transaction": rise("seatstream_transaction_records_sum") / transactions,
        "commit_mean_ms": rise("seatstream_commit_seconds_sum") / transactions * 1e3,
    }


def open_sections(cluster: Cluster, arena: Arena, group: str, *workers: Worker) -> None:
    """Open all sections and wait until the workers have committed that."""
    cluster.preload(openings(arena, cluster.encoders))
    targets = cluster.ends()
    deadline = time.monotonic() + OPENED_TIMEOUT_S
    with cluster.positions(group) as positions:
        while any(map(int.__lt__, positions.committed(), targets)):
            for worker in workers:
                worker.must_live()
            if time.monotonic() > deadline:
                raise workers[0].failed("the sections were not opened")
            time.sleep(POLL_S)


def measure_rates(
    cluster: Cluster, group: str, offers: Sequence[Offer], directory: Path, progress: Progress
) -> Run:
    """Offer one rate after another to one worker on empty topics."""
    cluster.fresh_topics()
    run: dict[str, float] = {}
    with Worker.of_topology(cluster, group, directory / "worker") as worker:
        worker.wait_ready()
        open_sections(cluster, offers[0].arena, group, worker)
        for offer in offers:
            measured = measure_rate(cluster, worker, offer, directory, progress)
            run |= {f"rate_{offer.rate}_{name}": value for name, value in measured.items()}
        worker.stop()
    return run


class Pair:
    """Two workers that share the partitions; either can be killed and started again."""

    def __init__(self, cluster: Cluster, group: str, directory: Path) -> None:
        self._cluster = cluster
        self._group = group
        self._directory = directory
        self.workers = [self._start(0), self._start(1)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()

    def _start(self, number: int) -> Worker:
        return Worker.of_topology(
            self._cluster,
            self._group,
            self._directory / f"worker-{number}",
            instance=f"bench-{number}",
        )

    def restart(self, number: int) -> None:
        """Start a killed worker again, on the stores it left."""
        self.workers[number] = self._start(number)

    def wait_shared(self) -> None:
        """Return when both own partitions and all partitions are owned."""
        deadline = time.monotonic() + SHARED_TIMEOUT_S
        while True:
            owned = [
                worker.metrics().get("seatstream_partitions_owned", 0) for worker in self.workers
            ]
            if min(owned) > 0 and sum(owned) == SECTION_COMMANDS.partitions:
                return
            for worker in self.workers:
                worker.must_live()
            if time.monotonic() > deadline:
                raise self.workers[0].failed(f"the partitions are owned {owned}")
            time.sleep(POLL_S)


def measure_failover(
    cluster: Cluster, pair: Pair, offer: Offer, victim: int, directory: Path, progress: Progress
) -> Run:
    """Kill one of two workers under load; return how long until every partition is served.

    The survivor's partitions pause too while the group agrees anew, but the killed worker's are
    the last ones back.
    """
    pair.wait_shared()
    survivor = pair.workers[1 - victim]
    with OfferedLoad(cluster, offer, directory) as load:
        load.wait("ready", START_TIMEOUT_S, *pair.workers)
        load.wait("warm", offer.warm_up_s + 30, *pair.workers)
        killed_ns = time.monotonic_ns()
        pair.workers[victim].kill()
        done = load.wait("done", offer.seconds + 120, survivor)
        back = load.sightings().back_after_s(killed_ns)
    pair.restart(victim)
    if len(back) < SECTION_COMMANDS.partitions:
        raise survivor.failed(f"only partitions {sorted(back)} came back")
    run = {
        "failover_s": max(back.values()),
        "first_partition_s": min(back.values()),
        "missing": float(done["missing"]),
        "twice": float(done["twice"]),
    }
    progress.step(f"  every partition served again after {run['failover_s']:.2f} s")
    return run
