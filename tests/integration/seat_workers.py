"""Workers of the seats over a broker of a test's own, without a registry: the pinned ids count."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer
from faults.append_times import forged_append_times
from integration.workers import (
    ROOT,
    SESSION_TIMEOUT_S,
    WITHOUT_WATCHDOG,
    Worker,
    producing,
    read_committed,
    run,
)
from support.payments.shop import WIRE
from support.seats.section_commands import PARTITIONS, Pair, Told, told

from infra.stack.processes import child_environment
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from scripts.auditing.log import Log, read_topics
from state.domain.keys import partition_of


@dataclass
class Seats:
    """The topics of the seats, their workers, and commands to them."""

    brokers: str
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def create_topics(self) -> None:
        """Create what is missing of all topics, as an operator does."""
        environment = {**child_environment(), "PYTHONPATH": str(ROOT)}
        arguments = ("--brokers", self.brokers, "--partitions", str(PARTITIONS))
        assert run(environment, "scripts.create_topics", *arguments).returncode == 0

    def worker(self, name: str, **environment: str) -> Worker:
        """Return a new worker, not started."""
        everyone = {
            "KAFKA_BROKERS": self.brokers,
            "SEATSTREAM_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "SEATSTREAM_TICK_MS": "200",
            "SEATSTREAM_ROLES": "seats",
            **WITHOUT_WATCHDOG,
        }
        worker = Worker(name, self.directory, {**everyone, **self.environment, **environment})
        self.workers.append(worker)
        return worker

    def send(self, *pairs: Pair, appended_ms: int = 0) -> None:
        """Append commands; `appended_ms` counts while append times are ours to choose."""
        with producing(self.brokers) as producer:
            for key, value in pairs:
                assert key is not None
                assert isinstance(value, bytes)
                partition = partition_of(key, PARTITIONS)
                producer.produce(
                    SECTION_COMMANDS.name, value, key, partition, timestamp=appended_ms
                )

    def outcomes(self, reservation: str) -> list[Told]:
        """Return what was told of a reservation, in order."""
        records = read_committed(self.brokers, RESERVATION_OUTCOMES.name, PARTITIONS)
        return [
            told(record.value)
            for record in records
            if record.key == reservation.encode() and record.value is not None
        ]

    def names(self, reservation: str) -> list[str]:
        return [outcome.name for outcome in self.outcomes(reservation)]

    def log(self, ledger: Path | None = None) -> Log:
        """Return all topics as an audit reads them; ledger: of the gateway, if there is one."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.brokers,
                "group.id": "audit-never-commits",
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                # The brokers say at once where a partition ends.
                "fetch.wait.max.ms": 10,
            }
        )
        try:
            log = read_topics(consumer, {}, ledger)
        finally:
            consumer.close()
        log.wire = WIRE
        return log

    def forged_append_times(self) -> AbstractContextManager[None]:
        """Let whoever appends choose the append time of commands: a broker's clock as we like."""
        return forged_append_times(self.brokers, SECTION_COMMANDS.name)

    def stop(self) -> None:
        for worker in self.workers:
            if worker.child is not None:
                worker.kill()
