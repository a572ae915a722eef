"""The auditor passes every sound log and flags every mutant of one."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.logs.audit_logs import (
    AVRO,
    ID_BY_NAME,
    WIRE,
    append,
    bury,
    name_in_state,
    sealed,
    sound_log,
    stored,
    value_of,
)
from support.payments.shop import whole_sale

from scripts.auditing import families
from scripts.auditing.checks import FAMILIES, audit
from scripts.auditing.facts import Traces
from scripts.auditing.log import Log
from scripts.auditing.report import Report, as_json, as_text
from scripts.auditing.schemas import Unreadable, WireFormat
from scripts.auditing.stored import opened
from scripts.auditing.topics import LogRecord, Records
from serdes.avro.schema_files import SCHEMA_ROOT, load

Mutation = Callable[[Log], None]
Picked = Callable[[str, dict[str, Any]], bool]

SEED = 36


@pytest.fixture(scope="module")
def sound() -> Log:
    return sound_log(SEED, 280)


def own_copy(log: Log) -> Log:
    """Return a log that may be changed; the records themselves cannot."""
    own = replace(log, committed=dict(log.committed))
    for topic in (
        "commands",
        "outcomes",
        "statuses",
        "changelog",
        "dead_letters",
        "payments",
    ):
        records: Records = getattr(log, topic)
        setattr(own, topic, {partition: list(each) for partition, each in records.items()})
    return own


@settings(max_examples=of_whole(15))
@given(st.integers(0, 10_000))
def test_a_sound_log_passes(seed: int) -> None:
    report = audit(sound_log(seed, 250))
    assert report.violations == []
    assert report.free + report.held + report.sold + report.blocked == report.seats


def test_the_payments_of_the_wanted_alone_are_traced() -> None:
    traces = Traces(frozenset({"refunded", "nobody"}))
    audit(whole_sale().log(), traces=traces)
    assert list(traces.payments) == ["refunded"]
    payment = traces.payments["refunded"]
    assert (payment.status, "refund asked" in payment.heard) == ("REFUNDED", True)


def test_the_log_that_is_mutated_holds_every_kind_of_outcome(sound: Log) -> None:
    report = audit(sound)
    assert report.is_exact
    assert report.dead_letters > report.set_aside > 0
    assert report.duplicate_commands
    assert report.reasons.keys() >= {
        "SeatsHeld",
        "ReservationConfirmed",
        "ReservationReleased",
        "HoldExtended",
        "PaymentStarted",
        "ReservationRefunded",
        "SectionOpened",
        "SeatsBlocked",
        "SaleWindowChanged",
        "SALE_CLOSED",
        "CONFLICT",
        "SEAT_TAKEN",
        "WRONG_PARTITION",
        "KEY_MISMATCH",
        "INTERNAL",
        "NOT_PRICED",
        "PAYMENT_IN_PROGRESS",
        "PAYMENT_FAILED",
        "ALREADY_REFUNDED",
        "NOT_PAID",
    }


def test_two_runs_under_two_hash_seeds_expect_the_same_bytes() -> None:
    program = (
        "from support.logs.audit_logs import sound_log\n"
        "from scripts.auditing.checks import audit\n"
        "print(audit(sound_log(5, 200)).digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def decoded(record: LogRecord) -> tuple[str, dict[str, Any]]:
    try:
        return WIRE.decode(record.value or b"")
    except Unreadable:
        return "", {}


def find(records: Records, wanted: Picked, skip: int = 0) -> tuple[int, int]:
    """Return (partition, index) of the first record that is wanted, after skipping some."""
    for partition, log in records.items():
        for index, record in enumerate(log):
            name, fields = decoded(record)
            if name and wanted(name, fields):
                if not skip:
                    return partition, index
                skip -= 1
    raise AssertionError("the log has no such record")


def named(*names: str) -> Picked:
    return lambda name, _: name in names


def drop(topic: str, wanted: Picked, skip: int = 0) -> Mutation:
    def mutate(log: Log) -> None:
        records: Records = getattr(log, topic)
        partition, index = find(records, wanted, skip)
        del records[partition][index]

    return mutate


def double(topic: str, wanted: Picked) -> Mutation:
    def mutate(log: Log) -> None:
        records: Records = getattr(log, topic)
        partition, index = find(records, wanted)
        record = records[partition][index]
        records[partition].append(replace(record, offset=records[partition][-1].offset + 1))

    return mutate


def alter(topic: str, wanted: Picked, **changes: Any) -> Mutation:
    """Change fields of one record; a function gets the old value."""

    def mutate(log: Log) -> None:
        records: Records = getattr(log, topic)
        partition, index = find(records, wanted)
        record = records[partition][index]
        name, fields = decoded(record)
        for field, change in changes.items():
            fields[field] = change(fields[field]) if callable(change) else change
        records[partition][index] = replace(record, value=value_of(name, fields))

    return mutate


def swap_outcomes(log: Log) -> None:
    partition, index = find(log.outcomes, named("SeatsHeld"), skip=3)
    records = log.outcomes[partition]
    first, second = records[index], records[index + 4]
    records[index] = replace(second, offset=first.offset)
    records[index + 4] = replace(first, offset=second.offset)


def swap_statuses(log: Log) -> None:
    """Swap the first status of a section with its last."""
    records = log.statuses[0]
    same = [index for index, record in enumerate(records) if record.key == records[0].key]
    first, last = records[same[0]], records[same[-1]]
    records[same[0]] = replace(last, offset=first.offset)
    records[same[-1]] = replace(first, offset=last.offset)


def sell_a_seat_twice(log: Log) -> None:
    """Give a second reservation the seats of the first, in its hold and in its confirmation."""
    partition, index = find(log.outcomes, named("ReservationConfirmed"))
    _, sold = decoded(log.outcomes[partition][index])
    for at, record in enumerate(log.outcomes[partition][index:], start=index):
        name, fields = decoded(record)
        same_section = fields["request"]["section"] == sold["request"]["section"]
        if name == "SeatsHeld" and same_section:
            fields["seats"] = sold["seats"]
            log.outcomes[partition][at] = replace(record, value=value_of(name, fields))
            return
    raise AssertionError("no hold after the sale")


def last_of(log: Log, tag: bytes) -> tuple[int, int]:
    """Return (partition, index) of the last changelog record of a store."""
    for partition, records in log.changelog.items():
        for index in reversed(range(len(records))):
            if (records[index].key or b"")[:1] == tag:
                return partition, index
    raise AssertionError("no such state")


def drop_state(tag: bytes) -> Mutation:
    def mutate(log: Log) -> None:
        partition, index = last_of(log, tag)
        key = log.changelog[partition][index].key
        log.changelog[partition] = [
            record for record in log.changelog[partition] if record.key != key
        ]

    return mutate


def drop_last_state(tag: bytes) -> Mutation:
    def mutate(log: Log) -> None:
        partition, index = last_of(log, tag)
        del log.changelog[partition][index]

    return mutate


def last_paying(log: Log) -> tuple[int, int]:
    """Return (partition, index) of the last changelog record of a hold that waits for money."""
    waiting = {
        record.key
        for records in log.changelog.values()
        for record in {one.key: one for one in records if (one.key or b"")[:1] == b"r"}.values()
        if AVRO.decode("Reservation", (record.value or b"")[9:-4])["status"] == "PAYING"
    }
    for partition, records in log.changelog.items():
        for index in reversed(range(len(records))):
            if records[index].key in waiting:
                return partition, index
    raise AssertionError("nothing waits for money")


def alter_paying(**changes: Any) -> Mutation:
    return alter_state(b"r", last_paying, **changes)


def alter_state(
    tag: bytes, where: Callable[[Log], tuple[int, int]] | None = None, **changes: Any
) -> Mutation:
    def mutate(log: Log) -> None:
        partition, index = last_of(log, tag) if where is None else where(log)
        record = log.changelog[partition][index]
        key, value = record.key or b"", record.value or b""
        name = name_in_state(key)
        fields = AVRO.decode(name, value[9:-4])
        due_ms = changes.get("due_ms", int.from_bytes(value[1:9], "big"))
        for field, change in changes.items():
            if field != "due_ms":
                fields[field] = change(fields[field]) if callable(change) else change
        log.changelog[partition][index] = replace(record, value=stored(name, fields, due_ms))

    return mutate


def restore_an_older_state(log: Log) -> None:
    """Write an early section state again at the end, as a paused worker would."""
    for record in log.changelog[0]:
        if (record.key or b"")[:1] == b"s":
            append(log.changelog, 0, record.key, record.value)
            return
    raise AssertionError("no section state")


def flip_a_bit(log: Log) -> None:
    partition, index = last_of(log, b"s")
    record = log.changelog[partition][index]
    assert record.value is not None
    value = bytes([*record.value[:20], record.value[20] ^ 1, *record.value[21:]])
    log.changelog[partition][index] = replace(record, value=value)


def flip_a_free_seat(bitmap: bytes) -> bytes:
    return bytes([bitmap[0] ^ 1]) + bitmap[1:]


def add_phantom_reservation(log: Log) -> None:
    partition, index = last_of(log, b"r")
    append(log.changelog, partition, b"rnobody", log.changelog[partition][index].value)


def extend_what_has_lapsed(log: Log) -> None:
    """Put an extension in the place of a lapse, for no longer than that."""
    partition, index = find(log.outcomes, lapsed)
    record = log.outcomes[partition][index]
    _, fields = decoded(record)
    names = ("request", "outcomeId", "version", "decidedAtMs", "epoch", "amount", "currency")
    extended = {name: fields[name] for name in names} | {"deadlineMs": fields["decidedAtMs"]}
    log.outcomes[partition][index] = replace(record, value=value_of("HoldExtended", extended))


def publish_under_another_key(log: Log) -> None:
    partition, index = find(log.outcomes, named("SeatsHeld"))
    records = log.outcomes[partition]
    records[index] = replace(records[index], key=b"someone-else")


def move_outcome_to_another_partition(log: Log) -> None:
    partition, index = find(log.outcomes, named("SeatsHeld"))
    record = log.outcomes[partition].pop(index)
    append(log.outcomes, (partition + 1) % log.partitions, record.key, record.value)


def one_command_more(log: Log) -> int:
    """Append a command that nobody has decided; return its partition."""
    for partition, records in log.commands.items():
        name, fields = decoded(records[-1])
        if name == "HoldBestAvailable":
            append(log.commands, partition, records[-1].key, value_of(name, fields))
            return partition
    last = log.commands[0][-1]
    log.commands[0].append(replace(last, offset=last.offset + 1))
    return 0


def commit_a_command_that_is_not_applied(log: Log) -> None:
    partition = one_command_more(log)
    log.committed[partition] = log.commands[partition][-1].offset + 1


def forget_a_dead_letter(log: Log) -> None:
    for records in log.dead_letters.values():
        for index, record in enumerate(records):
            if ("dead-letter-cause", b"QUARANTINED") not in record.headers:
                del records[index]
                return
    raise AssertionError("no dead letter of an unreadable command")


def shorten_a_dead_letter(log: Log) -> None:
    for records in log.dead_letters.values():
        for index, record in enumerate(records):
            if record.value:
                records[index] = replace(record, value=record.value[:-1])
                return
    raise AssertionError("no dead letter with a value")


def bury_a_readable_command(cause: bytes) -> Mutation:
    def mutate(log: Log) -> None:
        partition, index = find(log.commands, named("HoldBestAvailable"))
        bury(log, partition, log.commands[partition][index], cause)

    return mutate


def set_aside(name: str, fields: dict[str, Any]) -> bool:
    return name == "CommandRefused" and fields["reason"] == "INTERNAL"


def lapsed(name: str, fields: dict[str, Any]) -> bool:
    return name == "ReservationReleased" and fields["cause"] == "LAPSED"


def failed(name: str, fields: dict[str, Any]) -> bool:
    return name == "ReservationReleased" and fields["cause"] in {"DECLINED", "EXPIRED"}


def refused_to_payments(name: str, fields: dict[str, Any]) -> bool:
    return name == "SaleDecided" and fields["decision"] == "REFUSED"


def of_another_reservation(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"reservationId": "thief"}


def of_another_user(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"userId": "thief"}


def plus(amount: int) -> Callable[[int], int]:
    return lambda value: value + amount


MUTANTS: dict[str, tuple[Mutation, set[str]]] = {
    "a hold's outcome is lost": (drop("outcomes", named("SeatsHeld")), {"I8"}),
    "a sale's outcome is lost": (drop("outcomes", named("ReservationConfirmed")), {"I8"}),
    "a lapse is lost": (drop("outcomes", lapsed), {"I8", "I9"}),
    "a rejection is lost": (drop("outcomes", named("ReservationRejected")), {"I8"}),
    "the hold command of an outcome is gone": (
        drop("commands", named("HoldBestAvailable"), skip=2),
        {"I8"},
    ),
    "an outcome is there twice": (double("outcomes", named("SeatsHeld")), {"I8"}),
    "a refusal is there twice": (double("outcomes", named("CommandRefused")), {"I8"}),
    "an outcome has another key": (publish_under_another_key, {"I8"}),
    "an outcome is on another partition": (move_outcome_to_another_partition, {"I8"}),
    "two outcomes are swapped": (swap_outcomes, {"I19"}),
    "a seat is sold twice": (sell_a_seat_twice, {"I3", "I4"}),
    "a hold has one seat more": (
        alter(
            "outcomes",
            named("SeatsHeld"),
            seats=lambda seats: [seats[0] | {"count": seats[0]["count"] + 1}, *seats[1:]],
        ),
        {"I4"},
    ),
    "a hold has a seat that no row has": (
        alter("outcomes", named("SeatsHeld"), seats=[{"row": 0, "first": 99, "count": 1}]),
        {"I2"},
    ),
    "a sale lacks a seat": (alter("outcomes", named("ReservationConfirmed"), seats=[]), {"I4"}),
    "a version is left out": (alter("outcomes", named("SeatsHeld"), version=plus(1)), {"I5"}),
    "an epoch is wrong": (alter("outcomes", named("ReservationConfirmed"), epoch=7), {"I7"}),
    "a hold costs another amount": (
        alter("outcomes", named("SeatsHeld"), amount=plus(1)),
        {"I8"},
    ),
    "a hold is paid in another currency": (
        alter("outcomes", named("SeatsHeld"), currency="USD"),
        {"I8"},
    ),
    "a sale costs another amount than its hold": (
        alter("outcomes", named("ReservationConfirmed"), amount=plus(1)),
        {"I8"},
    ),
    "a deadline is later": (alter("outcomes", named("SeatsHeld"), deadlineMs=plus(1)), {"I8"}),
    "a time is not the log's": (
        alter("outcomes", named("SeatsHeld"), decidedAtMs=plus(1)),
        {"I8"},
    ),
    "a reason is another": (
        alter("outcomes", named("ReservationRejected"), reason="SOLD_OUT"),
        {"I8"},
    ),
    "a hold goes on after its lapse": (extend_what_has_lapsed, {"I9"}),
    "a lapse is called a cancellation": (alter("outcomes", lapsed, cause="CANCELLED"), {"I8"}),
    "an outcome names a command that is none": (
        alter("outcomes", named("SeatsHeld"), outcomeId="section-commands:0:99999:0"),
        {"I8"},
    ),
    "a command was changed after its outcome": (
        alter("commands", named("HoldBestAvailable"), request=of_another_user),
        {"I8"},
    ),
    "the start of a payment is lost": (drop("outcomes", named("PaymentStarted")), {"I8"}),
    "the start of a payment is there twice": (
        double("outcomes", named("PaymentStarted")),
        {"I8"},
    ),
    "a payment has a later deadline": (
        alter("outcomes", named("PaymentStarted"), deadlineMs=plus(1)),
        {"I8"},
    ),
    "a payment is of another amount than its hold": (
        alter("outcomes", named("PaymentStarted"), amount=plus(1)),
        {"I8"},
    ),
    "a payment is at another gateway": (
        alter("outcomes", named("PaymentStarted"), gateway="elsewhere"),
        {"I8"},
    ),
    "a payment is of another epoch than its hold": (
        alter("outcomes", named("PaymentStarted"), epoch=plus(1)),
        {"I7"},
    ),
    "a payment that failed is called a lapse": (
        alter("outcomes", failed, cause="LAPSED"),
        {"I7", "I8"},
    ),
    "a lapse is called a payment that failed": (
        alter("outcomes", lapsed, cause="EXPIRED"),
        {"I7", "I8"},
    ),
    "payments are not told what to charge": (
        drop("payments", named("PaymentRequested")),
        {"I8"},
    ),
    "payments are told twice what to charge": (
        double("payments", named("PaymentRequested")),
        {"I8"},
    ),
    "payments are told another amount": (
        alter("payments", named("PaymentRequested"), amount=plus(1)),
        {"I8"},
    ),
    "payments are told another deadline": (
        alter("payments", named("PaymentRequested"), deadlineMs=plus(1)),
        {"I8"},
    ),
    "payments are not told what became of seats": (
        drop("payments", named("SaleDecided")),
        {"I8"},
    ),
    "payments are told of seats that were not sold": (
        alter("payments", refused_to_payments, decision="SOLD"),
        {"I8"},
    ),
    "payments are told by a command that is none": (
        alter("payments", named("SaleDecided"), outcomeId="section-commands:0:99999:0"),
        {"I8"},
    ),
    "a refund is lost": (drop("outcomes", named("ReservationRefunded")), {"I8"}),
    "a refund is there twice": (double("outcomes", named("ReservationRefunded")), {"I8"}),
    "a refund leaves a seat sold": (
        alter("outcomes", named("ReservationRefunded"), seats=[]),
        {"I4"},
    ),
    "what is refunded was never sold": (
        alter("outcomes", named("ReservationConfirmed"), request=of_another_reservation),
        {"I7"},
    ),
    "a refund left a version out": (
        alter("outcomes", named("ReservationRefunded"), version=plus(1)),
        {"I5"},
    ),
    "what is paid for is due to lapse": (alter_paying(due_ms=12), {"I14"}),
    "what is paid for is stored as held": (alter_paying(status="HELD"), {"I14"}),
    "what is paid for is stored at another gateway": (
        alter_paying(gateway="elsewhere"),
        {"I14"},
    ),
    "a change of a window is lost": (drop("outcomes", named("SaleWindowChanged")), {"I8"}),
    "a window is told otherwise": (
        alter("outcomes", named("SaleWindowChanged"), saleEndsMs=plus(1)),
        {"I8"},
    ),
    "a change of a window left a version out": (
        alter("outcomes", named("SaleWindowChanged"), version=plus(1)),
        {"I5"},
    ),
    "the stored window is another": (alter_state(b"l", saleEndsMs=plus(1)), {"I14"}),
    "a command was committed and not applied": (commit_a_command_that_is_not_applied, {"I13"}),
    "a section's state is missing": (drop_state(b"s"), {"I13"}),
    "a layout is missing": (drop_state(b"l"), {"I13"}),
    "a reservation's state is missing": (drop_state(b"r"), {"I13"}),
    "the last section state is an older one": (drop_last_state(b"s"), {"I14"}),
    "the last progress is an older one": (drop_last_state(b"p"), {"I8"}),
    "an old state was written over a new one": (restore_an_older_state, {"I14"}),
    "a bit of a state is flipped": (flip_a_bit, {"I14"}),
    "a free seat is not free": (alter_state(b"s", free=flip_a_free_seat), {"I13", "I14"}),
    "a held count is one too many": (alter_state(b"s", heldCount=plus(1)), {"I14"}),
    "a reservation has no due time": (alter_state(b"r", due_ms=12), {"I14"}),
    "a reservation has another epoch": (alter_state(b"r", epoch=plus(1)), {"I14"}),
    "a reservation costs another amount": (alter_state(b"r", amount=plus(1)), {"I14"}),
    "a reservation is in another currency": (alter_state(b"r", currency="USD"), {"I14"}),
    "a layout is in another currency": (alter_state(b"l", currency="USD"), {"I14"}),
    "a reservation that nobody made": (add_phantom_reservation, {"I14"}),
    "a status counts one seat too many": (
        alter("statuses", named("SectionStatusEvent"), availableCount=plus(1)),
        {"I18"},
    ),
    "a status has a version ahead of the state": (
        alter("statuses", named("SectionStatusEvent"), version=plus(1000)),
        {"I18"},
    ),
    "a largest block is wrong": (
        alter("statuses", named("SectionStatusEvent"), largestBlock=plus(1)),
        {"I18"},
    ),
    "statuses go back in time": (swap_statuses, {"I18"}),
    "a dead letter is lost": (forget_a_dead_letter, {"I23"}),
    "a dead letter is cut": (shorten_a_dead_letter, {"I23"}),
    "a readable command is a dead letter": (bury_a_readable_command(b"NOT_A_RECORD"), {"I23"}),
    "a decided command is called set aside": (bury_a_readable_command(b"QUARANTINED"), {"I8"}),
    "a command set aside has no refusal": (drop("outcomes", set_aside), {"I8"}),
}


def test_every_family_that_has_a_file_judges() -> None:
    files = {path.stem for path in Path(families.__file__).parent.glob("*.py")} - {"__init__"}
    # Carts are judged when all partitions are read.
    assert {check.__module__.rpartition(".")[2] for check in FAMILIES} == files - {"carts"}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_flagged(sound: Log, name: str) -> None:
    mutate, invariants = MUTANTS[name]
    log = own_copy(sound)
    mutate(log)
    report = audit(log)
    flagged = {violation.invariant for violation in report.violations}
    assert invariants <= flagged, flagged


def repeat_the_last_batch(log: Log) -> None:
    """Write outcomes and state once more, as a zombie that nobody fenced would."""
    for record in log.outcomes[0][-9:]:
        append(log.outcomes, 0, record.key, record.value)
    restore_an_older_state(log)


def answer_a_confirm_with_a_release(log: Log) -> None:
    partition, index = find(log.outcomes, named("ReservationConfirmed"))
    record = log.outcomes[partition][index]
    _, fields = decoded(record)
    del fields["reacquired"]
    value = value_of("ReservationReleased", fields | {"cause": "CANCELLED"})
    log.outcomes[partition][index] = replace(record, value=value)


def lose_the_last_commands(log: Log) -> None:
    """Cut the log of commands, as a restored broker would, and let the rest stand."""
    for records in log.commands.values():
        del records[len(records) // 2 :]


def keep_a_reservation_of_another_timeline(log: Log) -> None:
    """Let the log know nothing of a command that the state has decided."""
    drop("commands", named("HoldBestAvailable"), skip=2)(log)


def lose_the_status_of_a_section(log: Log) -> None:
    records = log.statuses[0]
    log.statuses[0] = [record for record in records if record.key != records[0].key]


# What each kind of fault leaves in a log, and the names that it goes by.
FAULTS: dict[str, tuple[Mutation, set[str]]] = {
    "s1 a zombie's outcomes and state": (
        repeat_the_last_batch,
        {"duplicate effect", "stale restore"},
    ),
    "s2 a confirm read as a release": (
        answer_a_confirm_with_a_release,
        {"wrong outcome"},
    ),
    "s3 state and offsets ahead of a log that was cut": (
        lose_the_last_commands,
        {"other timeline", "phantom outcome", "phantom state"},
    ),
    "s3 a reservation of another timeline": (
        keep_a_reservation_of_another_timeline,
        {"phantom outcome"},
    ),
    "s6 a section without a status": (lose_the_status_of_a_section, {"missing status"}),
    "s9 a command that was committed and not applied": (
        commit_a_command_that_is_not_applied,
        {"lost write"},
    ),
    "a state that was damaged": (flip_a_bit, {"corrupt value"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_flagged_by_its_name(sound: Log, name: str) -> None:
    mutate, anomalies = FAULTS[name]
    log = own_copy(sound)
    mutate(log)
    report = audit(log)
    assert report.verdict == "wrong"
    assert anomalies <= {violation.anomaly for violation in report.violations}


# What is still to come, and what loses nothing.


def test_s9_ticks_behind_the_state_lose_nothing(sound: Log) -> None:
    log = own_copy(sound)
    for partition in range(log.partitions):
        append(log.commands, partition, b"tick", value_of("Tick", {"timerMs": 1}))
        append(log.commands, partition, None, None)
    report = audit(log)
    assert (report.verdict, report.lost, report.pending) == ("exact", 0, 0)


def test_s9_a_command_that_nobody_committed_is_no_loss_and_no_end(sound: Log) -> None:
    log = own_copy(sound)
    one_command_more(log)
    report = audit(log)
    assert report.violations == []
    assert (report.verdict, report.lost, report.pending) == ("not at rest", 0, 1)
    assert not report.is_exact


def test_s9_what_was_decided_while_the_log_was_read_is_no_phantom(sound: Log) -> None:
    log = own_copy(sound)
    for partition in range(log.partitions):
        # The state as it was read: from before the last batches.
        records = log.changelog[partition]
        before = [index for index, record in enumerate(records) if record.key == b"p"][-4]
        del records[before + 1 :]
    log.committed = {}
    assert audit(log).verdict == "wrong"
    log.moved = frozenset(range(log.partitions))
    report = audit(log)
    assert report.violations == []
    assert report.verdict == "not at rest"
    assert report.ahead > 0


# Strangers.

ANY_BYTES = st.none() | st.binary(max_size=40)
OF_OTHER_TOPICS = st.sampled_from(
    [
        value_of("Tick", {"timerMs": 1}),
        b"\x01" + value_of("Tick", {"timerMs": 1})[1:],
        b"\0\xff\xff\xff\xff" + b"x" * 10,
        b"\0\0\0\0\x07",
        stored("Progress", {"nextOffset": 1, "logTimeMs": 1, "timerMs": 1, "logicVersion": 1}),
    ]
)
HEADERS = st.lists(st.tuples(st.text(max_size=30), st.binary(max_size=30)), max_size=3)


@st.composite
def strange_records(draw: st.DrawFn) -> tuple[str, int, bytes | None, bytes | None, Any]:
    topic = draw(
        st.sampled_from(["outcomes", "statuses", "changelog", "dead_letters", "payments"])
    )
    key = draw(ANY_BYTES)
    if topic == "changelog" and (key or b"")[:1] in {b"s", b"l", b"b", b"r", b"p"}:
        key = b"?" + (key or b"")
    return topic, draw(st.integers(0, 2)), key, draw(ANY_BYTES | OF_OTHER_TOPICS), draw(HEADERS)


SOUND = sound_log(SEED, 120)


@settings(max_examples=of_whole(40))
@given(st.lists(strange_records(), min_size=1, max_size=5))
@example([("changelog", 0, b"\xffdue", None, [])])
def test_what_strangers_write_is_counted_and_never_taken_for_ours(records: list[Any]) -> None:
    log = own_copy(SOUND)
    for topic, partition, key, value, headers in records:
        append(getattr(log, topic), partition, key, value, tuple(headers))
    report = audit(log)
    assert report.violations == []
    assert sum(found.count for found in report.foreign.values()) == len(records)


def test_s7_state_of_another_partition_is_foreign(sound: Log) -> None:
    log = own_copy(sound)
    partition, _ = last_of(log, b"s")
    elsewhere = (partition + 1) % log.partitions
    # The same reservation id may have been sent to both: there it is theirs.
    theirs = {record.key for record in log.changelog[elsewhere]}
    kinds = {}
    for record in log.changelog[partition]:
        if record.key != b"p" and record.key is not None and record.key not in theirs:
            kinds[record.key[:1]] = record
    for record in kinds.values():
        append(log.changelog, elsewhere, record.key, record.value)
    report = audit(log)
    assert report.violations == []
    found = report.foreign["seats-changelog"]
    assert (found.count, found.partition) == (len(kinds), elsewhere)


# Values that cannot be read under keys of ours.

UNREADABLE = st.sampled_from([b"", b"garbage", b"\x02" + bytes(40), b"\x01" + bytes(20)])


@settings(max_examples=of_whole(30))
@given(st.integers(0, 10_000), UNREADABLE, st.data())
def test_s9_only_an_unreadable_value_that_is_the_last_of_its_key_is_a_violation(
    at: int, noise: bytes, data: st.DataObject
) -> None:
    log = own_copy(SOUND)
    partition = data.draw(st.sampled_from([n for n, each in log.changelog.items() if each]))
    records = log.changelog[partition]
    index = at % len(records)
    key = records[index].key
    # In place of a marker or an aborted record: before a value of the key, or behind its last.
    follows = data.draw(st.integers(0, 2))
    records[index:index] = [replace(records[index], value=noise)] * follows
    before = audit(log)
    assert before.violations == []
    remarked = before.superseded.get("seats-changelog")
    assert (remarked.count if remarked else 0) == follows
    assert before.is_exact
    append(log.changelog, partition, key, noise)
    after = audit(log)
    assert [each.anomaly for each in after.violations] == ["corrupt value"]
    assert after.violations[0].offset == log.changelog[partition][-1].offset


def test_s9_a_remark_names_the_first_value_that_was_replaced(sound: Log) -> None:
    log = own_copy(sound)
    partition, index = last_of(log, b"s")
    last = log.changelog[partition][index]
    append(log.changelog, partition, last.key, b"\x02 of nobody")
    damaged = log.changelog[partition][-1].offset
    append(log.changelog, partition, last.key, last.value)
    report = audit(log)
    assert report.is_exact
    found = report.superseded["seats-changelog"]
    assert (found.count, found.partition, found.offset) == (1, partition, damaged)
    assert repr(last.key) in found.why
    assert as_json(report)["superseded"]["seats-changelog"]["offset"] == damaged
    assert f"1, first at partition {partition}, offset {damaged}: {last.key!r}" in "\n".join(
        as_text(report)
    )


@pytest.mark.parametrize("tag", [b"s", b"p"])
def test_s9_a_sealed_value_that_no_worker_can_decode_is_no_state_to_end_with(
    sound: Log, tag: bytes
) -> None:
    log = own_copy(sound)
    partition, index = last_of(log, tag)
    last = log.changelog[partition][index]
    append(log.changelog, partition, last.key, sealed(b"\xff" * 12))
    assert "I14 corrupt value" in audit(log).first_by_invariant()
    append(log.changelog, partition, last.key, last.value)
    assert audit(log).is_exact


V1 = load(SCHEMA_ROOT / "history" / "v1")
FORMER_ID = 999


def as_v1(full_name: str, fields: dict[str, Any]) -> bytes:
    """Return the body as the first release wrote it."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(V1.inlined(full_name)), fields)
    return body.getvalue()


@pytest.mark.parametrize("has_price", [False, True])
def test_f89_what_a_former_release_wrote_is_right_where_it_had_nothing_else_to_say(
    sound: Log, has_price: bool
) -> None:
    def is_wanted(name: str, fields: dict[str, Any]) -> bool:
        # Of the others the first release could not have told what became.
        is_never_paid_for = fields["request"]["reservationId"].startswith("r")
        has_amount = name == "SeatsHeld" and fields["amount"] > 0
        return name == "SeatsHeld" and is_never_paid_for and has_amount == has_price

    held, reservation = "io.seatstream.outcomes.SeatsHeld", "io.seatstream.state.Reservation"
    writers = {number: (name, None) for name, number in ID_BY_NAME.items()}
    log = own_copy(sound)
    former = AVRO.own_record(V1.text(held))
    assert former is not None
    log.wire = WireFormat(AVRO, {**writers, FORMER_ID: former})
    partition, index = find(log.outcomes, is_wanted)
    record = log.outcomes[partition][index]
    _, fields = decoded(record)
    header = b"\0" + FORMER_ID.to_bytes(4, "big")
    log.outcomes[partition][index] = replace(record, value=header + as_v1(held, fields))
    key = b"r" + fields["request"]["reservationId"].encode()
    changelog = log.changelog[partition]
    at = max(number for number, one in enumerate(changelog) if one.key == key)
    body, due_ms = opened(changelog[at].value or b"")
    kept = AVRO.decode("Reservation", body)
    changelog[at] = replace(changelog[at], value=sealed(as_v1(reservation, kept), due_ms))
    found = {one.partition(" ")[0] for one in audit(log).first_by_invariant()}
    assert found == ({"I8", "I14"} if has_price else set())


@pytest.mark.parametrize("digits", ["²", "1" * 5_000, "-1", "", "٣"])
def test_an_outcome_that_names_no_offset_is_a_phantom_and_no_traceback(
    sound: Log, digits: str
) -> None:
    log = own_copy(sound)
    outcome_id = f"section-commands:0:{digits}:0"
    alter("outcomes", named("SeatsHeld"), outcomeId=outcome_id)(log)
    headers = (
        ("dead-letter-topic", b"section-commands"),
        ("dead-letter-partition", b"0"),
        ("dead-letter-offset", digits.encode()),
    )
    append(log.dead_letters, 0, None, None, headers)
    report = audit(log)
    assert "I8 phantom outcome" in report.first_by_invariant()
    assert report.foreign["dead-letter-queue"].count == 1


def test_an_outcome_with_billions_of_seats_is_refused_without_counting_them(sound: Log) -> None:
    log = own_copy(sound)
    many = [{"row": 0, "first": 0, "count": 2**31 - 1}]
    alter("outcomes", named("SeatsHeld"), seats=many)(log)
    assert "I2 unknown seat" in audit(log).first_by_invariant()


def test_a_seat_sold_twice_is_counted_without_the_oracle(sound: Log) -> None:
    log = own_copy(sound)
    partition, index = find(log.outcomes, named("ReservationConfirmed"))
    name, fields = decoded(log.outcomes[partition][index])
    fields["request"] = fields["request"] | {"reservationId": "thief"}
    fields["outcomeId"] = "section-commands:0:99998:0"
    append(log.outcomes, partition, b"thief", value_of(name, fields))
    report = audit(log)
    assert report.sold_twice == sum(part["count"] for part in fields["seats"])
    assert "I3 sold twice" in report.first_by_invariant()


def test_the_excerpt_shows_what_happened_to_the_reservation(sound: Log) -> None:
    log = own_copy(sound)
    drop("outcomes", named("ReservationConfirmed"))(log)
    report: Report = audit(log)
    lines = "\n".join(report.excerpts["I8 lost write"])
    assert "ConfirmReservation" in lines
    assert "SeatsHeld" in lines


def test_repeats_of_a_rewound_group_are_counted_and_allowed_when_told_so(sound: Log) -> None:
    log = own_copy(sound)
    double("outcomes", named("SeatsHeld"))(log)
    report = audit(log, allow_repeats=True)
    assert report.is_exact
    assert report.repeated == 1
