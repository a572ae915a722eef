"""Offers commands at a rate and sees their committed outcomes: a process apart from the worker.

Started by the benchmarks, one line of JSON a phase on the output:

    {"phase": "ready"}                         commands are made, the reader is in place
    {"phase": "warm", "from_ns": ...}          warm-up over; what is due from now on is measured
    {"phase": "sent", "until_ns": ...}         the last command is sent
    {"phase": "done", "sent": ..., ...}        the outcomes have come or were waited for

The outcomes go to the file `--out` (`latency.Sightings`). Commands are made before the first is
sent, so that sending costs as little as it can on the machine that also runs what is measured.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from confluent_kafka import Consumer, Message, TopicPartition

from benchmarks.measuring.latency import Sightings
from benchmarks.measuring.phases import parser_of_part, tell
from benchmarks.pod_runs.arena import Arena, Command, Holds
from schemas.topics import RESERVATION_OUTCOMES, Topic
from scripts.traffic.sending import CommandEncoders, CommandSender
from serdes.registry.client import Registry, fetch_ids

PAUSE_S = 0.001
REQUEST_TIMEOUT_S = 20.0
OUTCOMES_PER_POLL = 10_000

Batch = tuple[list[tuple[bytes, int]], int]
"""Key and partition of outcomes that came together, and when they did, in ns."""


class Reader(threading.Thread):
    """Notes when each committed outcome came; their key is the reservation id.

    is_noted: asked of each record whether it counts; all do, where it is None.
    topic:    another one, under whose keys records are noted.
    """

    def __init__(
        self,
        brokers: str,
        is_noted: Callable[[Message], bool] | None = None,
        topic: Topic = RESERVATION_OUTCOMES,
    ) -> None:
        super().__init__(name="outcomes", daemon=True)
        self.seen: list[Batch] = []
        self.count = 0
        self.stopping = False
        self._is_noted = is_noted or (lambda *_: True)
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "benchmarks-never-commit",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "log_level": 2,
            }
        )
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, REQUEST_TIMEOUT_S)[1]
        self._consumer.assign(places)

    def run(self) -> None:
        consumer = self._consumer
        while not self.stopping:
            # `consume` would wait until it has as many as asked for, or for its whole timeout.
            first = consumer.poll(0.1)
            if first is None:
                continue
            messages = [first, *consumer.consume(OUTCOMES_PER_POLL, 0)]
            seen_ns = time.monotonic_ns()
            batch = [
                (one.key() or b"", one.partition() or 0)
                for one in messages
                if one.error() is None and self._is_noted(one)
            ]
            self.seen.append((batch, seen_ns))
            self.count += len(batch)
        consumer.close()


def offer(
    sender: CommandSender,
    commands: Sequence[Command],
    rate: int,
    warm_up_s: float,
    at_warm: Callable[[int], None],
) -> tuple[int, int]:
    """Send every command when it is due; return when the first was due, and the worst lateness.

    rate:    commands a second.
    at_warm: called once, behind the warm-up, with the moment of its end.
    """
    begin_ns = time.monotonic_ns()
    warm_ns = begin_ns + int(warm_up_s * 1e9)
    late_ns, sent, is_warm = 0, 0, False
    total = len(commands)
    while sent < total:
        now = time.monotonic_ns()
        due = min(total, (now - begin_ns) * rate // 1_000_000_000 + 1)
        if sent < due:
            late_ns = max(late_ns, now - due_ns(begin_ns, sent, rate))
        for number in range(sent, due):
            command = commands[number]
            sender.send(command.key, command.value)
        sent = due
        sender.poll()
        if not is_warm and now >= warm_ns:
            is_warm, late_ns = True, 0
            at_warm(warm_ns)
        time.sleep(PAUSE_S)
    return begin_ns, late_ns


def due_ns(begin_ns: int, number: int, rate: int) -> int:
    """Return when a command is due."""
    return begin_ns + number * 1_000_000_000 // rate


def sighted(
    seen: Iterable[Batch], commands: Sequence[Command], begin_ns: int, rate: int
) -> tuple[Sightings, list[int]]:
    """Return what a reader saw of commands at this rate, and how often it saw each."""
    number_by_id = {one.reservation_id.encode(): n for n, one in enumerate(commands)}
    sightings = Sightings.none()
    times_seen = [0] * len(commands)
    for batch, seen_ns in seen:
        for key, partition in batch:
            number = number_by_id.get(key)
            if number is not None:
                times_seen[number] += 1
                sightings.add(partition, due_ns(begin_ns, number, rate), seen_ns)
    return sightings, times_seen


def main() -> int:
    """Do what the command line says."""
    parser = parser_of_part(__doc__)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--sections", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--wait", type=float, default=20.0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    encoders = CommandEncoders(fetch_ids(Registry(options.registry)))
    count = int(options.rate * (options.warm_up + options.seconds))
    holds = Holds(Arena(options.sections), count, options.seed, options.first)
    commands = list(holds.commands(encoders))
    reader = Reader(options.brokers)
    sender = CommandSender(options.brokers, linger_ms=5)
    # What is made now lives to the end; looking it over again and again would be our latency.
    gc.collect()
    gc.freeze()
    reader.start()
    tell("ready")
    begin_ns, late_ns = offer(
        sender,
        commands,
        options.rate,
        options.warm_up,
        lambda warm_ns: tell("warm", from_ns=warm_ns),
    )
    tell("sent", until_ns=due_ns(begin_ns, count, options.rate))
    unsent = sender.flush()
    deadline = time.monotonic() + options.wait
    while reader.count < count and time.monotonic() < deadline:
        time.sleep(0.05)
    reader.stopping = True
    reader.join(30)

    sightings, times_seen = sighted(reader.seen, commands, begin_ns, options.rate)
    sightings.write(options.out)
    tell(
        "done",
        sent=count - unsent,
        missing=times_seen.count(0),
        twice=sum(times > 1 for times in times_seen),
        late_ms=late_ns / 1e6,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
