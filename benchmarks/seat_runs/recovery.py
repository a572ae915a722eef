"""Restore from the changelog, restart on kept stores, and the sizes of what is stored."""

import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.figures import Run
from benchmarks.measuring.progress import Progress
from benchmarks.seat_runs.worker import Worker
from schemas.topics import SEATS_CHANGELOG, SECTION_STATUS, Topic
from state.stores.envelope import OVERHEAD_BYTES

READ_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 20.0
RECORDS_PER_READ = 20_000

STEPS_LEAST = 5

_RESTORED = "seatstream_restored_records_total"

NAME_BY_TAG = {b"s": "section", b"l": "layout", b"r": "reservation"}


class Step(NamedTuple):
    """What the worker's counter of restored records said at a moment."""

    at_s: float
    restored: float


def measure_restore(cluster: Cluster, group: str, data_dir: Path, progress: Progress) -> Run:
    """Start a worker without stores; return how fast it read the changelog.

    The rate is that of the worker's own counter from its first step to its last. Where the
    counter takes too few steps for that, it is over the whole takeover, fence and claim included.
    """
    steps: list[Step] = []

    def look(worker: Worker) -> None:
        restored = worker.metrics().get(_RESTORED, 0.0)
        if restored > (steps[-1].restored if steps else 0.0):
            steps.append(Step(time.monotonic(), restored))

    shutil.rmtree(data_dir, ignore_errors=True)
    with Worker.of_topology(cluster, group, data_dir) as worker:
        ready_s = worker.wait_ready(look)
        look(worker)
        metrics = worker.metrics()
        rss_mb = worker.rss_mb()
        worker.stop()
    records = metrics[_RESTORED]
    took_s = metrics["seatstream_takeover_seconds"]
    rate = rate_of(steps) or records / took_s
    progress.step(f"  {records:,.0f} records, {rate:,.0f} a second")
    return {
        "restored_records": records,
        "restore_records_per_s": rate,
        "takeover_s": took_s,
        "ready_s": ready_s,
        "rss_mb": rss_mb,
    }


def measure_warm_restart(cluster: Cluster, group: str, data_dir: Path, progress: Progress) -> Run:
    """Start a worker on the stores of one that was stopped in order."""
    with Worker.of_topology(cluster, group, data_dir) as worker:
        ready_s = worker.wait_ready()
        metrics = worker.metrics()
        stopped_s = time.monotonic()
        worker.stop()
        stopped_s = time.monotonic() - stopped_s
    progress.step(f"  ready after {ready_s:.2f} s")
    return {
        "ready_s": ready_s,
        "takeover_s": metrics["seatstream_takeover_seconds"],
        "restored_records": metrics[_RESTORED],
        "stop_s": stopped_s,
    }


def rate_of(steps: Sequence[Step]) -> float | None:
    """Return records a second from the first step to the last; None for too few of them."""
    if len(steps) < STEPS_LEAST:
        return None
    first, last = steps[0], steps[-1]
    return (last.restored - first.restored) / (last.at_s - first.at_s)


def measure_sizes(cluster: Cluster) -> Run:
    """Return bytes of each kind of record in the changelog, envelope apart, and of a status."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for key, value in _records(cluster, SEATS_CHANGELOG):
        if key[:1] in NAME_BY_TAG and value is not None:
            sizes[NAME_BY_TAG[key[:1]]].append(len(value) - OVERHEAD_BYTES)
    for _, value in _records(cluster, SECTION_STATUS):
        if value is not None:
            sizes["status"].append(len(value))
    run: dict[str, float] = {"envelope_bytes": float(OVERHEAD_BYTES)}
    for name in (*NAME_BY_TAG.values(), "status"):
        if sizes[name]:
            run[f"{name}_mean_bytes"] = mean(sizes[name])
            run[f"{name}_most_bytes"] = float(max(sizes[name]))
    return run


def _records(cluster: Cluster, topic: Topic) -> list[tuple[bytes, bytes | None]]:
    """Return key and value of every committed record of a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.brokers,
            "group.id": "benchmarks-never-commit",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 2,
        }
    )
    try:
        places = [TopicPartition(topic.name, number, 0) for number in range(topic.partitions)]
        consumer.assign(places)
        found: list[tuple[bytes, bytes | None]] = []
        ended = 0
        deadline = time.monotonic() + READ_TIMEOUT_S
        while ended < len(places):
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{topic.name}: not read within {READ_TIMEOUT_S:.0f} s")
            for message in consumer.consume(RECORDS_PER_READ, 0.5):
                if message.error() is None:
                    found.append((message.key() or b"", message.value()))
                else:
                    ended += 1  # the only error within a bounded read: the end of a partition
        return found
    finally:
        consumer.close()
