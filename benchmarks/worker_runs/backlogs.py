"""How fast workers take a backlog of events, and what that costs them.

What is counted are events that are done, as the workers' own metrics tell: where a call is to be
answered first, the group's offsets run ahead. The backlog is one transaction, so that workers see
all of it at once. Its first tenth is left out.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import Producer

from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.figures import Run
from benchmarks.measuring.process import labelled
from benchmarks.measuring.progress import Progress
from benchmarks.seat_runs.drained import rates, watch
from benchmarks.seat_runs.worker import Workers
from benchmarks.worker_runs.events import Event
from schemas.topics import Topic
from state.domain.keys import partition_of

DONE = "DONE"
_DECISIONS = "seatstream_decisions_total"
_DEAD = "seatstream_dead_letters_total"
_FLUSH_S = 60.0


@dataclass(slots=True)
class Count:
    """How many events are done; asked of the workers no more often than every `look_s`."""

    workers: Workers
    look_s: float
    known: int = 0
    asked_s: float = 0.0

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self.asked_s >= self.look_s:
            self.asked_s = now
            told = labelled(self.workers.metrics(), _DECISIONS)
            # Of a worker that does not answer just now nothing is known.
            self.known = max(self.known, int(told.get(DONE, 0)))
        return self.known


def fill(cluster: Cluster, topic: Topic, events: Iterable[Event]) -> int:
    """Append events to the partitions of their keys in one transaction; return how many."""
    failed: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": cluster.brokers,
            "linger.ms": 20,
            "log_level": 2,
            "transactional.id": "backlog",
        }
    )
    producer.init_transactions(_FLUSH_S)
    producer.begin_transaction()
    count = 0
    for count, (key, value) in enumerate(events, 1):
        place = partition_of(key, topic.partitions)
        while True:
            try:
                producer.produce(
                    topic.name,
                    value,
                    key,
                    place,
                    on_delivery=lambda error, _: failed.append(str(error)) if error else None,
                )
            except BufferError:
                producer.poll(0.1)
            else:
                break
        if not count & 1023:
            producer.poll(0)
    if producer.flush(_FLUSH_S) or failed:
        raise BenchmarkFailed(f"events are not acknowledged: {failed[:3]}")
    producer.commit_transaction(_FLUSH_S)
    return count


def measure(
    cluster: Cluster,
    workers: Workers,
    count: int,
    progress: Progress,
    look_s: float,
    beside_cpu_s: Callable[[], float] = lambda: 0.0,
) -> Run:
    """Watch workers until they have done all that their topic holds.

    beside_cpu_s: processor time of what they call.
    """
    done = Count(workers, look_s)
    before = [0.0]
    window = watch(
        cluster,
        workers,
        done,
        count,
        progress,
        at_window_start=lambda: before.__setitem__(0, beside_cpu_s()),
    )
    beside_s = beside_cpu_s() - before[0]
    if dead := labelled(workers.metrics(), _DEAD):
        raise workers.failed(f"dead letters in a benchmark: {dead}")
    found = rates(window)
    took_s = window[-1].at_s - window[0].at_s
    return {
        "per_s": found["decisions_per_s"],
        "cpu_us": found["worker_cpu_us"],
        "broker_cpu_us": found["broker_cpu_us"],
        "cpu_percent": found["worker_cpu_us"] * found["decisions_per_s"] / 1e4,
        "called_cpu_percent": beside_s / took_s * 100,
        "rss_mb": max(sample.rss_mb for sample in window),
    }
