"""What a worker makes of commands, seen by the records that it commits for them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Message

from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.figures import Run, latencies
from benchmarks.measuring.offered_load import Reader, due_ns, offer, sighted
from benchmarks.pod_runs.arena import Command
from benchmarks.seat_runs.worker import Worker
from schemas.topics import RESERVATION_OUTCOMES, Topic
from scripts.traffic.sending import CommandSender
from serdes.wire import header_of

SOLD = "ReservationConfirmed"
POLL_S = 0.05
PATIENCE_S = 120.0


@contextmanager
def reading(
    brokers: str, is_noted: Callable[[Message], bool], topic: Topic = RESERVATION_OUTCOMES
) -> Iterator[Reader]:
    """Give a reader of what is committed from now on; it has ended when the block is left."""
    reader = Reader(brokers, is_noted, topic)
    reader.start()
    try:
        yield reader
    finally:
        reader.stopping = True
        reader.join(30)


@contextmanager
def outcomes_named(cluster: Cluster, name: str) -> Iterator[Reader]:
    """Give a reader of the outcomes of one kind from now on; name: of their record."""
    subject = f"{RESERVATION_OUTCOMES.name}-io.seatstream.outcomes.{name}"
    header = header_of(cluster.ids.id_by_subject[subject])

    def is_one(record: Message) -> bool:
        return (record.value() or b"").startswith(header)

    with reading(cluster.brokers, is_one) as reader:
        yield reader


def wait_seen(reader: Reader, count: int, worker: Worker) -> None:
    """Return when there are so many; raises BenchmarkFailed where none comes for two minutes."""
    last, moved_s = -1, time.monotonic()
    while reader.count < count:
        worker.must_live()
        now = time.monotonic()
        if reader.count != last:
            last, moved_s = reader.count, now
        elif now - moved_s > PATIENCE_S:
            raise worker.failed(f"{last:,} of {count:,} outcomes have come, and no more")
        time.sleep(POLL_S)


def measure_paced(
    sender: CommandSender,
    reader: Reader,
    worker: Worker,
    commands: Sequence[Command],
    rate: int,
    warm_up_s: float,
) -> tuple[Run, list[int]]:
    """Offer commands at a rate; return what was measured, and how often each of them was seen.

    The clock of a command starts when it is due to be appended.
    """
    count = len(commands)
    warm: list[tuple[int, float]] = []
    begin_ns, late_ns = offer(
        sender,
        commands,
        rate,
        warm_up_s,
        lambda warm_ns: warm.append((warm_ns, worker.cpu_s())),
    )
    until_ns = due_ns(begin_ns, count, rate)
    must_be_acknowledged(sender)
    cpu_s = worker.cpu_s()
    wait_seen(reader, count, worker)
    sightings, times_seen = sighted(reader.seen, commands, begin_ns, rate)
    warm_ns, warm_cpu_s = warm[0]
    run = {
        **latencies(sightings.ordered_ms(warm_ns, until_ns)),
        "generator_late_ms": late_ns / 1e6,
        "worker_cpu_percent": (cpu_s - warm_cpu_s) / ((until_ns - warm_ns) / 1e9) * 100,
    }
    return run, times_seen


def must_be_acknowledged(sender: CommandSender) -> None:
    """Raise BenchmarkFailed where brokers do not acknowledge all that was sent."""
    if sender.flush() or sender.failed:
        raise BenchmarkFailed(f"commands are not acknowledged: {sender.failed[:3]}")
