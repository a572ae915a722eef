"""Publishes statuses at a rate, in transactions as a worker does: a process apart from the pod.

Started by the benchmarks, one line of JSON a phase on the output:

    {"phase": "ready"}                  the first transaction is committed; from now on it flows
    {"phase": "done", "sent": ...}      all is committed, or SIGTERM came

Sections come in a shuffled order, each as often as the others, with rising versions; what was
published when goes to the file `--out` (`ages.Publications`).
"""

import argparse
import gc
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from confluent_kafka import Producer

from benchmarks.measuring.ages import Publications
from benchmarks.measuring.phases import parser_of_part, tell
from benchmarks.pod_runs.statuses import Form, Hall, StatusWriter
from serdes.registry.client import Registry, fetch_ids

TIMEOUT_S = 60.0
QUEUE_MB = 256
# Most that one transaction takes, whatever is owed: as many records, or as many bytes.
RECORDS_AT_ONCE = 2_000
BYTES_AT_ONCE = 8_000_000


class Flow:
    """One flow of statuses."""

    def __init__(self, options: argparse.Namespace) -> None:
        ids = fetch_ids(Registry(options.registry))
        form = Form(options.form)
        hall = Hall(options.events, options.sections_per_event)
        self._topic = form.topic
        self._writer = StatusWriter(hall, form, ids)
        self._order = list(range(hall.sections))
        Random(options.seed).shuffle(self._order)
        self._versions = [options.first_version - 1] * hall.sections
        self._sent = 0
        size = len(self._writer.value(0, 1, 0))
        self._at_once = max(1, min(RECORDS_AT_ONCE, BYTES_AT_ONCE // size))
        self.published = Publications.none()
        self.is_ended = False
        self._producer = Producer(
            {
                "bootstrap.servers": options.brokers,
                "transactional.id": f"benchmark-statuses-{options.form}",
                "linger.ms": 2,
                "message.max.bytes": 1_000_000,
                "queue.buffering.max.kbytes": QUEUE_MB * 1024,
                "log_level": 2,
            }
        )
        self._producer.init_transactions(TIMEOUT_S)

    def paced(self, rate: int, transaction_s: float) -> int:
        """Publish when it is due, until ended; return the worst lateness of an append, in ns."""
        begin_ns = time.monotonic_ns()
        late_ns = 0
        tick_ns = int(transaction_s * 1e9)
        next_ns = begin_ns
        while not self.is_ended:
            now_ns = time.monotonic_ns()
            if now_ns < next_ns:
                time.sleep((next_ns - now_ns) / 1e9)
                continue
            owed = (now_ns - begin_ns) * rate // 1_000_000_000 + 1 - self._sent
            turns = range(self._sent, self._sent + min(owed, self._at_once))
            due_ns = [begin_ns + turn * 1_000_000_000 // rate for turn in turns]
            if due_ns:
                late_ns = max(late_ns, now_ns - due_ns[0] - tick_ns)
                self.publish(due_ns)
            # No catching up with ticks that were missed: what they owed is in the next one.
            next_ns = max(next_ns + tick_ns, time.monotonic_ns())
        return late_ns

    def flood(self, count: int) -> int:
        """Publish so many as fast as it goes; return when the first was begun, in ns."""
        begin_ns = time.monotonic_ns()
        while self._sent < count and not self.is_ended:
            self.publish([begin_ns] * min(self._at_once, count - self._sent))
        return begin_ns

    def publish(self, due_ns: list[int]) -> None:
        """Publish one status for each in one transaction; note when it was committed."""
        producer, writer = self._producer, self._writer
        as_of_ms = time.time_ns() // 1_000_000
        told = []
        producer.begin_transaction()
        for due in due_ns:
            number = self._order[self._sent % len(self._order)]
            self._versions[number] += 1
            version = self._versions[number]
            value = writer.value(number, version, as_of_ms)
            producer.produce(self._topic, value, writer.keys[number], writer.partitions[number])
            self._sent += 1
            told.append((number, version, due))
        producer.commit_transaction(TIMEOUT_S)
        acked_ns = time.monotonic_ns()
        for number, version, due in told:
            self.published.add(number, version, due, acked_ns)

    @property
    def sent(self) -> int:
        return self._sent


def main() -> int:
    """Do what the command line says."""
    parser = parser_of_part(__doc__)
    parser.add_argument("--form", choices=[form.value for form in Form], required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--sections-per-event", type=int, required=True)
    parser.add_argument("--first-version", type=int, required=True)
    parser.add_argument("--rate", type=int, default=0, help="a second; 0: as fast as it goes")
    parser.add_argument("--count", type=int, default=0, help="of a flow without a rate")
    parser.add_argument("--transaction-s", type=float, default=0.025)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    flow = Flow(options)

    def end(*_: Any) -> None:
        flow.is_ended = True

    signal.signal(signal.SIGTERM, end)
    gc.collect()
    gc.freeze()
    tell("ready")
    late_ns, begin_ns = 0, 0
    if options.rate:
        late_ns = flow.paced(options.rate, options.transaction_s)
    else:
        begin_ns = flow.flood(options.count)
    flow.published.write(options.out)
    tell("done", sent=flow.sent, late_ms=late_ns / 1e6, begin_ns=begin_ns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
