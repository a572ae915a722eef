"""Topology driver: run handlers over records, log time and stores in memory, without a broker.

For tests and for trying a handler out; in the spirit of Kafka Streams' TopologyTestDriver:

    driver = TopologyDriver(routes, partitions=4)
    driver.pipe("section-commands", key, value)          # one record, at the driver's log time
    driver.advance(60_000)                               # a minute passes: ticks are piped
    outcomes = driver.read("reservation-outcomes")       # committed records, in log order
    stored = driver.get("section-commands", key, b"s1-A")
    [pending] = driver.intents("payment-commands")       # what a worker would perform
    driver.answer(pending, Answer(result=Result.ANSWERED, payload=b"..."))

The handlers, the changes-over-a-store state and the value envelope are those of the real worker.
What the driver leaves out is what only a broker shows: transactions, rebalances, restores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from state.domain.keys import partition_of
from state.stores import envelope
from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState, last_of
from streams.batch import Batch, DeadLetter
from streams.intents import INTENT, Answer, Intent, changed_intents, open_intents
from streams.placing import placed
from streams.route import Route


@dataclass(frozen=True, slots=True)
class PipedRecord:
    """A record in the driver's log."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Pending(NamedTuple):
    """An open intent, and the partition whose handler opened it."""

    topic: str
    partition: int
    intent: Intent


class TopologyDriver:
    """Routes, a log for each topic, and a store for each partition of a source topic.

    start_ms: log time of the first record, Unix ms.
    relays:   whether what one route publishes for another is decided at once; else `relay` does.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        partitions: int = 1,
        start_ms: int = 1_700_000_000_000,
        relays: bool = True,
    ) -> None:
        self.relays = relays
        self.partitions = partitions
        self.log_time_ms = start_ms
        self.dead_letters: list[DeadLetter] = []
        self.given_up: list[DeadLetter] = []
        self._routes = {route.source: route for route in routes}
        self._log: dict[tuple[str, int], list[PipedRecord]] = defaultdict(list)
        self._read_to: dict[tuple[str, int], int] = defaultdict(int)
        self._decided_to: dict[tuple[str, int], int] = defaultdict(int)
        self._states: dict[tuple[str, int], PartitionState] = {}
        self._applied_ms: dict[tuple[str, int], int] = defaultdict(int)

    def pipe(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> PipedRecord:
        """Append one record at the present log time and run the topic's handler over it."""
        return self.pipe_batch(topic, [(key, value)], partition=partition, headers=headers)[0]

    def pipe_batch(
        self,
        topic: str,
        pairs: Iterable[tuple[bytes | None, bytes | None]],
        *,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> list[PipedRecord]:
        """Append (key, value) records and run the handler once for each partition they touch.

        What other routes have published there before is decided with them.
        """
        touched: dict[int, None] = {}
        piped = []
        for key, value in pairs:
            number = self._partition(key) if partition is None else partition
            record = self._append(topic, number, key, value, headers)
            touched[number] = None
            piped.append(record)
        for number in touched:
            self.relay(topic, number)
        return piped

    def relay(self, topic: str, partition: int) -> int:
        """Run a topic's handler over what nobody has decided yet; return how many records."""
        decided_to = self._decided_to[topic, partition]
        records = self._log[topic, partition][decided_to:]
        self._decided_to[topic, partition] += len(records)
        if records:
            self.replay(topic, partition, records)
        return len(records)

    def pass_over(self, topic: str, partition: int) -> int:
        """Lose what nobody has decided yet, as brokers may; return how many records."""
        decided_to = self._decided_to[topic, partition]
        self._decided_to[topic, partition] = len(self._log[topic, partition])
        return len(self._log[topic, partition]) - decided_to

    def replay(self, topic: str, partition: int, records: Sequence[PipedRecord]) -> None:
        """Run the handler over records that are in the log already, as after a rewind."""
        route = self._routes.get(topic)
        if route is None:
            return
        where = topic, partition
        state = self.state(topic, partition)
        batch = Batch(topic, partition, self.partitions, records)
        effects = route.handler(batch, state, self._applied_ms[where])
        self._applied_ms[where] = max(
            self._applied_ms[where], *(record.timestamp for record in records)
        )
        changes = state.seal()
        route.check_intents(changed_intents(last_of(changes, INTENT, state.seed)))
        state.write(changes, None)
        state.release()
        self.dead_letters.extend(effects.dead_letters)
        self.given_up.extend(effects.given_up)
        written: dict[tuple[str, int], None] = {}
        for name, outgoing in effects.outgoing.items():
            if name not in route.to:
                message = f"{route.source} may not publish to {name}: not in its route"
                raise ValueError(message)
            by_number = placed(route, name, outgoing, partition, self.partitions, self.partitions)
            for number, pairs in by_number.items():
                written[name, number] = None
                for record in pairs:
                    self._append(name, number, record[0], record[1], *record[2:3])
        # Only now: what a batch publishes becomes visible at once.
        for name, number in written if self.relays else ():
            self.relay(name, number)

    def advance(self, ms: int, *, step_ms: int | None = None) -> None:
        """Let log time pass, in steps of `step_ms` (all at once by default), and tick."""
        step_ms = ms if step_ms is None else step_ms
        while ms > 0:
            passed = min(ms, step_ms)
            self.log_time_ms += passed
            ms -= passed
            for topic, route in self._routes.items():
                if route.tick is None:
                    continue
                key, value = route.tick.record(self.log_time_ms)
                for partition in range(self.partitions):
                    self.pipe(topic, key, value, partition=partition)

    def intents(
        self, topic: str, partition: int | None = None, *, due: bool = False
    ) -> list[Pending]:
        """Return the open intents of a source topic, those that are due first come first.

        due: only those that are due by now. A worker begins a retry a little later (`begins_ms`).
        """
        numbers = range(self.partitions) if partition is None else (partition,)
        pending = [
            Pending(topic, number, intent)
            for number in numbers
            for intent in open_intents(self.state(topic, number))
            if not due or intent.due_ms <= self.log_time_ms
        ]
        return sorted(pending, key=lambda one: (one.intent.due_ms, one.partition, one.intent.id))

    def answer(self, pending: Pending, answer: Answer) -> PipedRecord:
        """Append what became of an intent, as a worker does; also twice, late or out of order."""
        tell = self._routes[pending.topic].answer
        assert tell is not None
        key, value = tell(pending.intent, answer)
        return self.pipe(
            pending.topic, key, value, partition=pending.partition, headers=pending.intent.trace
        )

    def read(self, topic: str, partition: int | None = None) -> list[PipedRecord]:
        """Return the records of a topic that were not read before, partition by partition."""
        numbers = range(self.partitions) if partition is None else (partition,)
        records: list[PipedRecord] = []
        for number in numbers:
            log = self._log[topic, number]
            records.extend(log[self._read_to[topic, number] :])
            self._read_to[topic, number] = len(log)
        return records

    def log(self, topic: str, partition: int) -> list[PipedRecord]:
        """Return every record of one partition."""
        return list(self._log[topic, partition])

    def state(self, topic: str, partition: int) -> PartitionState:
        """Return the state of a source topic's partition."""
        where = topic, partition
        if where not in self._states:
            changelog = self._routes[topic].changelog
            store = MemoryStore(envelope.seed_of(changelog, partition))
            self._states[where] = PartitionState(store)
        return self._states[where]

    def get(self, topic: str, record_key: bytes, store_key: bytes) -> bytes | None:
        """Return a stored value from the partition that a record key belongs to."""
        return self.state(topic, self._partition(record_key)).get(store_key)

    def stored(self, topic: str, partition: int) -> dict[bytes, bytes]:
        """Return the payload of every key of a partition, in key order."""
        store = self.state(topic, partition).store
        return {key: envelope.unpack(value, store.seed)[0] for key, value in store.items()}

    def _append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> PipedRecord:
        log = self._log[topic, partition]
        record = PipedRecord(
            topic, partition, len(log), self.log_time_ms, key, value, tuple(headers)
        )
        log.append(record)
        return record

    def _partition(self, key: bytes | None) -> int:
        return 0 if key is None else partition_of(key, self.partitions)
