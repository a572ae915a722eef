"""The auditor passes a line as pods keep it, and flags each thing that cannot be (I22)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.logs.audit_logs import WIRE, value_of

from scripts.auditing.log import Log
from scripts.auditing.report import Report, as_text
from scripts.auditing.topics import LogRecord
from scripts.auditing.waiting.judging import PER_S, ROOM_KEPT_S, TURNS_KEPT_S, judge_lines
from scripts.auditing.waiting.reading import SeenRoom

NOW_S = 1_800_000_000
T = (NOW_S - 60) * PER_S
EVENT = 7
Step = tuple[str, int, str, int]

# ann is in, ben waits, cy left, dan was in before him and waits again, eve was given up.
TOLD: tuple[Step, ...] = (
    ("ann", T + 1, "GIVEN", 0),
    ("ann", T + 1, "ADMITTED", 9),
    ("ben", T + 2, "GIVEN", 0),
    ("cy", T + 3, "GIVEN", 0),
    ("cy", T + 3, "ENDED", 0),
    ("dan", T, "ADMITTED", 8),
    ("dan", T, "ENDED", 0),
    ("dan", T + 4, "GIVEN", 0),
    ("eve", T + 5, "GIVEN", 0),
)
ROOM = SeenRoom(
    EVENT,
    "",
    {"joined": 7, "left": 1, "expired": 1, "done": 1},
    # flo has just come, and nobody has told her so.
    {"ben": T + 2, "dan": T + 4, "flo": T + 6},
    frozenset({"ann"}),
    {"ann": T + 1, "ben": T + 2, "cy": T + 3, "dan": T + 4, "eve": T + 4, "flo": T + 6},
    frozenset({f"1:{T + 6}:flo"}),
)


def log_of(*rooms: SeenRoom, told: tuple[Step, ...] = TOLD, before: int | None = None) -> Log:
    log = Log(WIRE, 1)
    values = [
        value_of(
            "TurnChanged",
            {"eventId": EVENT, "userId": user, "turn": turn, "step": step, "lastMs": last_ms},
        )
        for user, turn, step, last_ms in told
    ]
    seed = {"eventId": EVENT, "opensMs": 1, "commitment": "ab", "seed": ""}
    values.append(value_of("SeedTold", seed))
    log.turns = {0: [LogRecord(at, 0, b"7", value) for at, value in enumerate(values)]}
    log.turns_before = {0: len(values) if before is None else before}
    log.rooms, log.rooms_read_ms = rooms, NOW_S * 1_000
    return log


def found_in(log: Log) -> list[str]:
    report = Report()
    judge_lines(log, report)
    assert {one.invariant for one in report.violations} <= {"I22"}
    return [one.anomaly for one in report.violations]


def test_i22_a_line_as_pods_keep_it_is_passed_and_counted() -> None:
    report = Report()
    log = log_of(ROOM)
    log.turns[0].append(LogRecord(99, 0, b"x", b"a stranger's"))
    judge_lines(log, report)
    assert not report.violations
    assert (report.rooms, report.waiting) == (1, 3)
    assert "1 waiting rooms, in which 3 wait" in as_text(report)
    assert report.foreign["waiting-turns"].count == 1


def test_i22_where_redis_is_not_named_nothing_is_said() -> None:
    log = log_of(ROOM)
    log.rooms = None
    assert not found_in(log)


def test_i22_what_was_written_while_redis_was_read_is_no_fault() -> None:
    """Ben was let in after the look: the topic says more than Redis had."""
    told = (*TOLD, ("ben", T + 2, "ADMITTED", 10), ("gus", T + 7, "GIVEN", 0))
    assert not found_in(log_of(ROOM, told=told, before=len(TOLD)))
    assert found_in(log_of(ROOM, told=told)) == [
        "waits at a turn that was used up",
        "lost in the line",
    ]


MUTANTS: list[tuple[str, Callable[[], dict[str, Any]]]] = [
    ("turns do not add up", lambda: {"counts": {**ROOM.counts, "left": 2}}),
    ("turns do not add up", lambda: {"counts": {**ROOM.counts, "joined": 6}}),
    ("waits and is in", lambda: {"admitted": frozenset({"ann", "ben"})}),
    ("waits at a turn that was used up", lambda: {"waiting": {**ROOM.waiting, "dan": T}}),
    ("not written down", lambda: {"unsaid": frozenset()}),
    ("not written down", lambda: {"unsaid": frozenset({f"2:{T + 6}:flo"})}),
    ("not written down", lambda: {"turns": {**ROOM.turns, "ann": T + 7}}),
    ("not written down", lambda: {"waiting": {**ROOM.waiting, "ben": T + 9}}),
    ("lost in the line", lambda: {"turns": {**ROOM.turns, "eve": T + 3}}),
    ("no room of ours", lambda: {"fault": "WRONGTYPE"}),
]


@pytest.mark.parametrize(("anomaly", "change"), MUTANTS)
def test_i22_each_mutant_of_a_room_is_found(
    anomaly: str, change: Callable[[], dict[str, Any]]
) -> None:
    assert anomaly in found_in(log_of(replace(ROOM, **change())))


def test_i22_a_turn_that_let_somebody_in_twice_is_found_and_one_told_twice_is_none() -> None:
    again = ("ann", T + 1, "ADMITTED", 9)
    assert not found_in(log_of(ROOM, told=(*TOLD, again)))
    twice = ("ann", T + 1, "ADMITTED", 10)
    assert found_in(log_of(ROOM, told=(*TOLD, twice))) == ["admitted twice"]


def test_i22_a_line_without_a_room_is_lost_until_it_is_too_old_for_one() -> None:
    log = log_of()
    assert found_in(log) == ["line lost"]
    log.rooms_read_ms += ROOM_KEPT_S * 1_000
    assert not found_in(log)
    # What is older than the topic keeps is not written down any more.
    log = log_of(ROOM, told=())
    log.rooms_read_ms += TURNS_KEPT_S * 1_000
    assert not found_in(log)
