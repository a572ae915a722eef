"""I21: at rest no lock is left of a seat whose hold is over; each has an end, and a holder.

A lock goes with the end of its hold, or within a minute: then whoever looks through all of them
has found it. So one of a hold that has just ended is waited for, and no violation.
"""

import re
from dataclasses import dataclass, field

from scripts.auditing.facts import Facts, Fields
from scripts.auditing.locks.reading import SeenLock
from scripts.auditing.log import Log
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.report import Notes, Report

LOCK = re.compile(rb"seatstream:lock:\{([0-9]{1,19}-[^{}]+)\}:[0-9]{1,10}-[0-9]{1,10}")
OWNER = re.compile(rb"([A-Za-z0-9_-]{1,64}):([1-9][0-9]{0,9})")
HOLDING = {"HELD", "PAYING"}
# Within a minute it is gone: and no longer than that lasts one of what the log does not know yet.
PATIENCE_MS = 60_000


@dataclass(frozen=True, slots=True)
class OwnedLock:
    """A lock of our form."""

    seen: SeenLock
    section: str
    reservation_id: str
    epoch: int


@dataclass(slots=True)
class Locks:
    """All locks. formless: those that are none of ours. owned: by the section's partition.

    truth: reservations that have locks, as the oracle has them.
    """

    formless: list[SeenLock] = field(default_factory=list)
    owned: dict[int, list[OwnedLock]] = field(default_factory=dict)
    truth: dict[str, Fields] = field(default_factory=dict)


def sorted_out(log: Log) -> Locks:
    """Return the locks of a log by who has to know of them."""
    locks = Locks()
    for seen in log.locks or ():
        place, owner = LOCK.fullmatch(seen.key), OWNER.fullmatch(seen.owner or b"")
        if place is None or owner is None:
            locks.formless.append(seen)
            continue
        partition = partition_of(place[1], log.partitions)
        one = OwnedLock(seen, place[1].decode(), owner[1].decode(), int(owner[2]))
        locks.owned.setdefault(partition, []).append(one)
    return locks


def add_owners(facts: Facts, locks: Locks) -> None:
    """Note how the owners of locks in a partition's sections stand."""
    for one in locks.owned.get(facts.partition, ()):
        held = facts.oracle.reservations.get(one.reservation_id)
        request = {} if held is None else held.record["request"]
        if held and f"{request['eventId']}-{request['section']}" == one.section:
            locks.truth[one.reservation_id] = held.record


def judge_locks(log: Log, locks: Locks, report: Report) -> None:
    """Judge every lock; only what is at rest, for locks are read after the log."""
    report.locks = len(log.locks or ())
    is_at_rest = report.is_at_rest
    for seen in locks.formless:
        report.locks_left += 1
        Notes(0, report).bad("I21", "no lock of ours", -1, f"{seen.key!r} of {seen.owner!r}")
    for partition, owned in locks.owned.items():
        for one in owned:
            notes = Notes(partition, report)
            message = judge_lock(one, log, locks, notes)
            if message and is_at_rest:
                where = {"reservation_id": one.reservation_id, "section": one.section}
                notes.bad("I21", "lock left behind", -1, message, **where)


def judge_lock(one: OwnedLock, log: Log, locks: Locks, notes: Notes) -> str:
    """Count one lock by its owner; return why it should not be there, empty where it may be."""
    report, record = notes.report, locks.truth.get(one.reservation_id)
    if one.seen.left_ms < 0:
        where = {"reservation_id": one.reservation_id, "section": one.section}
        notes.bad("I21", "lock without end", -1, f"{one.seen.key!r} never ends", **where)
    if record is not None and record["status"] in HOLDING and record["epoch"] == one.epoch:
        return ""
    report.locks_left += 1
    if record is None:
        is_waited_for = 0 <= one.seen.left_ms <= PATIENCE_MS
        message = f"{one.seen.key!r}: the log knows no {one.reservation_id}"
    else:
        ended_ms = record["later"][-1]["atMs"] if record["later"] else record["heldAtMs"]
        is_waited_for = log.locks_read_ms - ended_ms <= PATIENCE_MS
        message = f"{one.seen.key!r} of epoch {one.epoch}; {record['status']} of {record['epoch']}"
    report.locks_waiting += is_waited_for
    return "" if is_waited_for else message
