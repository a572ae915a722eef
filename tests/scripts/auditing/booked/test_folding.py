"""The booking queue in Kafka is folded, and what pods cannot have meant is flagged."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.logs.audit_logs import WIRE, value_of

from scripts.auditing.booked.folding import Lines, event_of, folded
from scripts.auditing.booked.judging import judge_bookings
from scripts.auditing.log import Log
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.report import Report, as_text
from scripts.auditing.topics import LogRecord, Records

EVENT, KEY = 7, b"7"
START_MS = 1_900_000_000_000
Step = tuple[float, str, dict[str, Any]]
Steps = list[Step]


def of(user: str) -> str:
    return f"{user:a<26}-{EVENT}"


def enqueue(at_s: float, user: str) -> Step:
    return at_s, "EnqueueItem", {"item": of(user), "userId": user, "request": b"{}"}


def take(at_s: float, user: str, token: str = "") -> Step:
    return at_s, "TakeItem", {"item": of(user), "token": token or f"t-{user}"}


def settle(at_s: float, user: str, outcome: str | None = None, **more: Any) -> Step:
    fields = {
        "item": of(user),
        "token": f"t-{user}",
        "hasOutcome": outcome is not None,
        "outcome": (outcome or "").encode(),
        "reason": "" if outcome is not None else "service_error",
        "isFinal": False,
    }
    return at_s, "SettleItem", fields | more


def held(reservation: str) -> str:
    return f'{{"reason":"","reservation_id":"{reservation}"}}'


REFUSED = '{"reason":"SOLD_OUT","reservation_id":""}'

# ann has seats, ben was refused, cy pauses, dan died and was tried anew, the worker of eve came
# too late and said the same as the second one, flo gave up, gus waits.
STEPS: Steps = [
    *(
        enqueue(at, user)
        for at, user in enumerate(("ann", "ben", "cy", "dan", "eve", "flo", "gus"))
    ),
    *(take(10, user) for user in ("ann", "ben", "dan", "eve")),
    settle(11, "ann", held("r-ann")),
    settle(11, "ben", REFUSED),
    settle(11, "dan", isFinal=True),
    (20, "CancelItem", {"item": of("flo"), "userId": "flo"}),
    (131, "CleanLine", {"eventId": EVENT}),
    take(132, "cy"),
    settle(133, "cy"),
    take(133, "eve", "t-eve-2"),
    settle(134, "eve", held("r-eve")),
    settle(135, "eve", held("r-eve"), token="t-eve-2"),
    (136, "RequeueItem", {"item": of("dan"), "userId": "dan", "request": b"{}", "round": 1}),
]
BOOKED = {"r-ann": (EVENT, "ann"), "r-eve": (EVENT, "eve"), "r-dan": (EVENT, "dan")}


def records_of(steps: Sequence[Step], partitions: int = 1, first: int = 0) -> Records:
    records: Records = {part: [] for part in range(partitions)}
    lying = records[partition_of(KEY, partitions)]
    for offset, (at_s, name, fields) in enumerate(steps, first):
        told = fields if "eventId" in fields else {"callId": "", **fields}
        value = value_of(name, {"callId": ""} | told)
        lying.append(LogRecord(offset, START_MS + int(1000 * at_s), KEY, value))
    return records


def lines_of(steps: Sequence[Step]) -> Lines:
    return folded(WIRE, records_of(steps), {})


def judged(lines: Lines | None, booked: Any = BOOKED) -> Report:
    log, report = Log(WIRE, 1), Report()
    log.lines = lines
    judge_bookings(log, booked, report)
    assert {one.invariant for one in report.violations} <= {"I22"}
    return report


def found_in(steps: Sequence[Step], booked: Any = BOOKED) -> set[str]:
    return {one.anomaly for one in judged(lines_of(steps), booked).violations}


def test_i22_a_queue_in_kafka_as_pods_keep_it_is_passed_and_counted() -> None:
    lines = lines_of(STEPS)
    line = lines.by_event[EVENT][1]
    assert {of[:3].rstrip("a"): item.status for of, item in line.items.items()} == {
        "ann": "completed",
        "ben": "completed",
        "cy": "later",
        "dan": "waiting",
        "eve": "completed",
        "flo": "cancelled",
        "gus": "waiting",
    }
    assert lines.named() == {"r-ann", "r-eve"}
    report = judged(lines)
    assert not report.violations
    assert (report.queues, report.queued, report.is_at_rest) == (1, 3, True)
    assert any("1 booking queues, in which 3 items" in line for line in as_text(report))


def test_i22_where_the_topic_was_not_read_nothing_is_said_of_it() -> None:
    assert judged(None) == Report()


def test_a_queue_that_was_written_meanwhile_is_not_at_rest() -> None:
    log, report = Log(WIRE, 1, lines=lines_of(STEPS), lines_moved=frozenset({0})), Report()
    judge_bookings(log, BOOKED, report)
    assert report.verdict == "not at rest"


def with_(*more: Step) -> Callable[[Steps], Steps]:
    return lambda steps: [*steps, *more]


def instead(index: int, step: Step) -> Callable[[Steps], Steps]:
    return lambda steps: [*steps[:index], step, *steps[index + 1 :]]


LATE, RIGHT = STEPS.index(settle(134, "eve", held("r-eve"))), -2
PASSED = (enqueue(140, "hal"), enqueue(141, "ida"), enqueue(142, "joe"))

MUTANTS: dict[str, tuple[Callable[[Steps], Steps], str]] = {
    "a worker records what it never had": (
        with_(settle(140, "gus", REFUSED)),
        "settled and never taken",
    ),
    "a worker took in vain, and records all the same": (
        with_(take(140, "ann", "t-ann-2"), settle(141, "ann", REFUSED, token="t-ann-2")),
        "settled and never taken",
    ),
    "a worker records of an item that paused when it was taken": (
        with_(take(137, "cy", "t-cy-2"), settle(139, "cy", REFUSED, token="t-cy-2")),
        "settled and never taken",
    ),
    "a worker records under another item's token": (
        with_(take(140, "gus"), settle(141, "gus", REFUSED, token="t-ann")),
        "settled and never taken",
    ),
    "an item of nobody's": (with_(settle(140, "kim", REFUSED)), "settled and never taken"),
    "a worker names two items": (with_(take(140, "gus", "t-ann")), "one token for two items"),
    "two attempts have two reservations": (
        instead(LATE, settle(134, "eve", held("r-ann-2"))),
        "two reservations of one item",
    ),
    "the reservation of nobody": (
        with_(take(140, "gus"), settle(141, "gus", held("r-gus"))),
        "no such reservation in the log",
    ),
    "the reservation of another user": (
        with_(take(140, "gus"), settle(141, "gus", held("r-dan"))),
        "no such reservation in the log",
    ),
    "an outcome that is none": (
        with_(take(140, "gus"), settle(141, "gus", "held")),
        "no such reservation in the log",
    ),
    "two have one reservation": (
        with_(take(140, "gus"), settle(141, "gus", held("r-ann"))),
        "one reservation of two items",
    ),
    "a late worker names a reservation of nobody": (
        with_(
            *(take(140, "gus"), (265, "CleanLine", {"eventId": EVENT})),
            *(take(266, "gus", "t-gus-2"), settle(267, "gus", REFUSED, token="t-gus-2")),
            settle(268, "gus", held("r-gus")),
        ),
        "no such reservation in the log",
    ),
    "later ones are taken for a minute, and the first one is not": (
        with_(*PASSED, take(150, "hal"), take(160, "ida"), take(211, "joe")),
        "overtaken",
    ),
    "a round is left out": (
        instead(
            len(STEPS) - 1,
            (136, "RequeueItem", {**STEPS[-1][2], "round": 2}),
        ),
        "a round that does not follow",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_i22_what_pods_cannot_have_meant_is_flagged(name: str) -> None:
    mutate, anomaly = MUTANTS[name]
    assert anomaly in found_in(mutate(STEPS))


def test_i22_a_reservation_that_the_log_lost_is_flagged() -> None:
    without = {of: who for of, who in BOOKED.items() if of != "r-ann"}
    assert found_in(STEPS, without) == {"no such reservation in the log"}


@pytest.mark.parametrize(
    "more",
    [
        # One record of a pod was lost, and it asks again for the first of the line.
        [*PASSED, take(150, "hal"), take(160, "ida"), take(161, "gus"), take(300, "joe")],
        # Whoever comes back to a place in front was not passed by.
        [*PASSED, take(150, "gus"), take(151, "hal"), take(152, "ida"), settle(153, "gus")],
        # A record that comes twice has the effect of once.
        [STEPS[7], STEPS[11], STEPS[-1]],
    ],
)
def test_i22_what_pods_do_in_trouble_is_passed(more: Steps) -> None:
    assert not found_in([*STEPS, *more])


def test_i22_of_items_whose_first_records_are_gone_nothing_is_said() -> None:
    cut = STEPS[LATE + 1 :]
    assert found_in(cut) == {"settled and never taken"}
    lines = folded(WIRE, records_of(cut, first=900), {0: 900})
    assert not judged(lines).violations


FOREIGN: dict[str, LogRecord] = {
    "no value": LogRecord(0, 0, KEY, None),
    "no header": LogRecord(0, 0, KEY, b"{}"),
    "another topic's": LogRecord(0, 0, KEY, value_of("Tick", {"timerMs": 0})),
    "key": LogRecord(0, 0, b"8", value_of("CleanLine", {"callId": "", "eventId": EVENT})),
    "no event": LogRecord(0, 0, b"-1", value_of("CleanLine", {"callId": "", "eventId": -1})),
    "no id": LogRecord(0, 0, KEY, value_of("RemoveItem", {"callId": "", "item": "gus-7"})),
    "no token": LogRecord(
        0, 0, KEY, value_of("TakeItem", {"callId": "", "item": of("gus"), "token": ""})
    ),
    "too long": LogRecord(
        0,
        0,
        KEY,
        value_of("EnqueueItem", {"callId": "", **enqueue(0, "gus")[2], "request": b"x" * 8_193}),
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_no_pod_heeds_is_counted_and_passed_over(name: str) -> None:
    report = judged(folded(WIRE, {0: [FOREIGN[name]]}, {}))
    assert not report.violations
    assert report.foreign["booking-queue"].count == 1
    assert report.queues == 0


def test_an_event_on_a_partition_that_is_not_its_own_is_a_strangers() -> None:
    right = records_of(STEPS, partitions=2)
    assert not folded(WIRE, right, {}).foreign
    wrong = {0: right[1], 1: right[0]}
    assert len(folded(WIRE, wrong, {}).foreign) == len(STEPS)


@pytest.mark.parametrize(
    ("item", "event"),
    [
        (of("ann"), EVENT),
        (f"{'a' * 26}-0", 0),
        (f"{'a' * 26}-07", -1),
        (f"{'a' * 26}-", -1),
        (f"{'a' * 26}-7 ", -1),
        (f"{'a' * 26}-\u0667", -1),
        (f"{'a' * 25}1-7", -1),
        (f"{'a' * 26}-{'9' * 20}", -1),
        ("", -1),
    ],
)
def test_an_id_tells_its_event_or_is_none(item: str, event: int) -> None:
    assert event_of(item) == event
