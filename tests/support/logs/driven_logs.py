"""Logs that the real handlers write, in batches of any size, as they would lie on a broker."""

import random
from collections import defaultdict
from collections.abc import Sequence

from support.logs.audit_logs import AVRO, RandomBuyers, letter_headers

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    PAYMENT_COMMANDS,
    RESERVATION_OUTCOMES,
    SEAT_UNLOCK,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.auditing.log import Log
from scripts.auditing.schemas import WireFormat
from scripts.auditing.topics import LogRecord
from serdes.registry.ids import counted_ids
from state.records.seat_codecs import SeatCodecs
from state.stores.envelope import order_of
from state.stores.memory import MemoryStore
from streams.change_sections import change_sections
from streams.driver import PipedRecord, TopologyDriver
from streams.route import Route

IDS = counted_ids()
ID_BY_NAME = {
    subject.rpartition(".")[2]: schema_id for subject, schema_id in IDS.id_by_subject.items()
}
WIRE = WireFormat(AVRO, {schema_id: (name, None) for name, schema_id in ID_BY_NAME.items()})


def log_of_driver(commands: dict[int, list[PipedRecord]], batches: random.Random) -> Log:
    """Run commands through the handlers and return all topics as they would lie on a broker."""
    route = Route(
        role="seats",
        source=SECTION_COMMANDS.name,
        handler=change_sections(SeatCodecs.of(IDS)),
        to=(
            RESERVATION_OUTCOMES.name,
            SECTION_STATUS.name,
            PAYMENT_COMMANDS.name,
            SEAT_UNLOCK.name,
        ),
        changelog=SEATS_CHANGELOG.name,
        dead_letters=DEAD_LETTER_QUEUE.name,
    )
    partitions = max(commands) + 1
    driver = TopologyDriver([route], partitions=partitions)
    log = Log(WIRE, partitions)
    for partition, records in commands.items():
        at = 0
        while at < len(records):
            size = batches.randint(1, 12)
            driver.replay(SECTION_COMMANDS.name, partition, records[at : at + size])
            at += size
        log.commands[partition] = logged(records)
        log.outcomes[partition] = logged(driver.log(RESERVATION_OUTCOMES.name, partition))
        log.payments[partition] = logged(driver.log(PAYMENT_COMMANDS.name, partition))
        log.statuses[partition] = logged(driver.log(SECTION_STATUS.name, partition))
        store = driver.state(SECTION_COMMANDS.name, partition).store
        assert isinstance(store, MemoryStore)
        log.changelog[partition] = [
            LogRecord(offset, 0, key, value)
            for offset, (key, value) in enumerate(
                # As compaction would leave them: in the order in which they were written.
                sorted(store.stored.items(), key=lambda stored: order_of(stored[1]))
            )
        ]
        log.dead_letters[partition] = [
            LogRecord(
                offset,
                0,
                letter.record.key,
                letter.record.value,
                letter_headers(partition, letter.record.offset, letter.reason.encode()),
            )
            for offset, letter in enumerate(driver.dead_letters)
        ]
        driver.dead_letters.clear()
    return log


def logged(records: Sequence[PipedRecord]) -> list[LogRecord]:
    return [
        LogRecord(record.offset, record.timestamp, record.key, record.value) for record in records
    ]


def drawn(seed: int, count: int, partitions: int) -> dict[int, list[PipedRecord]]:
    """Return random commands, with gaps where markers of transactions lie."""
    draw = random.Random(seed)
    commands: dict[int, list[PipedRecord]] = defaultdict(list)
    for number in range(partitions):
        commands[number] = []
    buyers = RandomBuyers(seed, partitions, ids=ID_BY_NAME)
    for partition, key, value, timestamp in buyers.commands(count):
        records = commands[partition]
        offset = records[-1].offset + 1 + (draw.random() < 0.05) if records else 0
        records.append(
            PipedRecord(SECTION_COMMANDS.name, partition, offset, timestamp, key, value)
        )
    return commands
