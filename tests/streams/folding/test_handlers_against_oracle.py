"""The handlers, run by the topology driver in batches of any size, do what the oracle expects."""

import random
from collections import defaultdict
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.logs.audit_logs import (
    AVRO,
    START_MS,
    RandomBuyers,
    identity,
    letter_headers,
    open_section,
    row_plan,
)

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    PAYMENT_COMMANDS,
    RESERVATION_OUTCOMES,
    SEAT_UNLOCK,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.auditing.checks import audit
from scripts.auditing.log import Log, LogRecord
from scripts.auditing.report import Report
from scripts.auditing.schemas import WireFormat
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


def judged(seed: int, count: int, partitions: int) -> Report:
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
    return audit(log_of_driver(commands, draw))


@settings(max_examples=of_whole(25))
@given(st.integers(0, 1_000_000))
def test_handlers_and_oracle_agree_to_the_byte(seed: int) -> None:
    report = judged(seed, 300, 3)
    assert report.first_by_invariant() == {}


def test_a_hold_lapses_even_when_an_earlier_one_lapsed_in_the_same_batch() -> None:
    buyers = RandomBuyers(0, 1, ids=ID_BY_NAME)
    section = open_section("S0", 7, [row_plan("1", 8)])
    inputs = [(0, buyers.send("OpenSection", section))]
    for at_ms, name in ((0, "r1"), (10_100, "r2")):
        hold = {"request": identity(name, "u", "S0", 7), "seatCount": 2}
        inputs.append((at_ms, buyers.send("HoldBestAvailable", hold)))
        tick_ms = at_ms + 10_050
        tick = buyers.value_of("Tick", {"timerMs": START_MS + tick_ms})
        inputs.append((tick_ms, (0, b"tick", tick, 0)))
    records = [
        PipedRecord(SECTION_COMMANDS.name, 0, offset, START_MS + at_ms, key, value)
        for offset, (at_ms, (_, key, value, _)) in enumerate(inputs)
    ]
    # One batch up to the second hold, then the tick that must end it.
    log = log_of_driver({0: records}, Batches(4, 1))
    report = audit(log)
    assert report.is_exact
    assert report.reasons["ReservationReleased"] == 2
    assert report.free == 8


def test_s3_8_both_forget_the_seats_of_a_list_that_no_section_takes() -> None:
    buyers = RandomBuyers(0, 1, ids=ID_BY_NAME)
    inputs = [buyers.send("OpenSection", open_section("S0", 7, [row_plan("1", 60)]))]
    for name, listed in (("r1", 16), ("r2", 17), ("r2", 17), ("r2", 16), ("r3", 5_000)):
        hold = {
            "request": identity(name, "u", "S0", 7),
            "seatCount": listed,
            "seats": [{"row": 0, "seat": at % 60} for at in range(listed)],
        }
        inputs.append(buyers.send("HoldChosenSeats", hold))
    records = [
        PipedRecord(SECTION_COMMANDS.name, 0, offset, START_MS, key, value)
        for offset, (_, key, value, _) in enumerate(inputs)
    ]
    report = audit(log_of_driver({0: records}, Batches(3, 3)))
    assert report.first_by_invariant() == {}
    assert report.reasons["BAD_COUNT"] >= 3


class Batches(random.Random):
    """Gives batch sizes as they are listed."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(0)
        self.sizes = list(sizes)

    def randint(self, a: int, b: int) -> int:  # noqa: ARG002
        return self.sizes.pop(0)
