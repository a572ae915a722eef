"""The auditor passes a booking queue as pods keep it, and flags what cannot be (I22)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.logs.audit_logs import WIRE

from scripts.auditing.booked.judging import judge_queues
from scripts.auditing.booked.reading import SeenItem, SeenQueue
from scripts.auditing.log import Log
from scripts.auditing.report import Report, as_text

BOOKED = {"r-ann": (7, "ann")}
# ann has seats, ben is worked on, cy and dan wait, eve pauses, flo is dead, gus was refused.
QUEUE = SeenQueue(
    7,
    line={"cy-7": 3, "dan-7": 4},
    later=frozenset({"eve-7"}),
    taken=frozenset({"ben-7"}),
    dead=frozenset({"flo-7"}),
    leases={"t": "ben-7"},
    # One that was cancelled is forgotten by now, and so is one that an operator had tried anew.
    counts={"number": 9, "completed": 2, "expired": 0, "cancelled": 1, "dead": 2},
    items={
        "ann-7": SeenItem("ann", "completed", 1, "", "r-ann"),
        "ben-7": SeenItem("ben", "processing", 2, "t"),
        "cy-7": SeenItem("cy", "waiting", 3),
        "dan-7": SeenItem("dan", "waiting", 4),
        "eve-7": SeenItem("eve", "waiting", 5),
        "flo-7": SeenItem("flo", "dead", 6),
        "gus-7": SeenItem("gus", "completed", 7),
    },
)


def judged(queue: SeenQueue) -> Report:
    log, report = Log(WIRE, 1), Report()
    log.queues = (queue,)
    judge_queues(log, BOOKED, report)
    assert {one.invariant for one in report.violations} <= {"I22"}
    return report


def found_in(queue: SeenQueue) -> set[str]:
    return {one.anomaly for one in judged(queue).violations}


def test_i22_a_queue_as_pods_keep_it_is_passed_and_counted() -> None:
    report = judged(QUEUE)
    assert not report.violations
    assert (report.queues, report.queued, report.is_at_rest) == (1, 4, True)
    assert any("1 booking queues, in which 4 items" in line for line in as_text(report))


def test_i22_where_redis_is_not_named_nothing_is_said_of_queues() -> None:
    report = Report()
    judge_queues(Log(WIRE, 1), {}, report)
    assert report == Report()


def with_item(item_id: str, **changes: Any) -> Callable[[SeenQueue], SeenQueue]:
    return lambda queue: replace(
        queue, items=queue.items | {item_id: replace(queue.items[item_id], **changes)}
    )


def with_(**changes: Any) -> Callable[[SeenQueue], SeenQueue]:
    return lambda queue: replace(queue, **changes)


def without_item(item_id: str) -> Callable[[SeenQueue], SeenQueue]:
    return lambda queue: replace(
        queue, items={of: item for of, item in queue.items.items() if of != item_id}
    )


def counting(**counts: int) -> Callable[[SeenQueue], SeenQueue]:
    return lambda queue: replace(queue, counts=queue.counts | counts)


MUTANTS: dict[str, tuple[Callable[[SeenQueue], SeenQueue], str]] = {
    "one waits and is worked on": (
        with_(taken=frozenset({"ben-7", "cy-7"})),
        "twice in the queue",
    ),
    "one waits and pauses": (with_(later=frozenset({"eve-7", "dan-7"})), "twice in the queue"),
    "one is out of the line": (with_(line={"cy-7": 3}), "lost in the queue"),
    "one that pauses is nowhere": (with_(later=frozenset()), "lost in the queue"),
    "a lease is gone": (with_(leases={}), "processing without a lease"),
    "a lease is another's": (with_(leases={"t": "cy-7"}), "processing without a lease"),
    "a token is gone": (with_item("ben-7", token=""), "processing without a lease"),
    "one worked on is not listed": (with_(taken=frozenset()), "processing without a lease"),
    "an item is gone": (without_item("dan-7"), "listed and not there"),
    "two stand at one place": (with_(line={"cy-7": 3, "dan-7": 3}), "two items at one place"),
    "places are exchanged": (
        with_(line={"cy-7": 4, "dan-7": 3}),
        "at a place that is not its own",
    ),
    "one that was refused waits still": (
        with_(line={"cy-7": 3, "dan-7": 4, "gus-7": 7}),
        "over and still in the queue",
    ),
    "a dead one is set aside nowhere": (with_(dead=frozenset()), "dead and not set aside"),
    "a dead one waits": (with_(later=frozenset({"eve-7", "flo-7"})), "dead and not set aside"),
    "a status of nobody's": (with_item("gus-7", status="sold"), "no status of ours"),
    "the reservation of nobody": (
        with_item("gus-7", reservation_id="r-gus"),
        "no such reservation in the log",
    ),
    "the reservation of another": (
        with_item("ann-7", user="eve"),
        "no such reservation in the log",
    ),
    "an outcome that is none": (
        with_item("ann-7", reservation_id="?"),
        "no such reservation in the log",
    ),
    "two have one reservation": (
        with_item("gus-7", user="ann", reservation_id="r-ann"),
        "one reservation of two items",
    ),
    "seats and cancelled": (with_item("ann-7", status="cancelled"), "reserved and not completed"),
    "one came and is nowhere": (counting(number=10), "items do not add up"),
    "one ended twice": (counting(completed=3), "items do not add up"),
    "more ended than were counted": (
        counting(completed=1, cancelled=2),
        "ended more often than counted",
    ),
    "a number from nowhere": (with_item("gus-7", number=10), "a number that was never given out"),
    "no queue": (with_(fault="WRONGTYPE"), "no queue of ours"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_i22_what_cannot_be_is_flagged(name: str) -> None:
    mutate, anomaly = MUTANTS[name]
    assert anomaly in found_in(mutate(QUEUE))


def test_i22_a_queue_that_moves_is_not_at_rest_and_judged_by_its_reservations_alone() -> None:
    moved = with_(moved=True)
    report = judged(moved(with_(line={}, counts=dict.fromkeys(QUEUE.counts, 0))(QUEUE)))
    assert not report.violations
    assert report.verdict == "not at rest"
    wrong = with_item("gus-7", reservation_id="r-gus")(moved(QUEUE))
    assert found_in(wrong) == {"no such reservation in the log"}
