"""Maps show each seat once, histories tell every change, and refusals say what was the case."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import identity, row_plan

from scripts.auditing.topics import LogRecord
from scripts.history import rendering
from scripts.history.rules import Rules
from scripts.history.section import Layout
from scripts.history.timeline import FREE, Event, Position, Seat, Timeline, Use
from state.domain.reasons import Reason

LAYOUT = Layout([row_plan("A", 4, 2), row_plan("BB", 2)])
PLACES = LAYOUT.places()
RULES = Rules(((0, 2),), {1: "HoldBestAvailable"})


def event(offset: int, name: str, who: str = "r1", **fields: Any) -> Event:
    told = {"request": identity(who, "ann", "S", 1), "version": offset, **fields}
    return Event(Position(offset, True, 0), 1_800_000_000_000 + offset, name, told)


def seats(first: int, count: int = 1, row: int = 0) -> list[dict[str, int]]:
    return [{"row": row, "first": first, "count": count}]


@given(st.lists(st.sampled_from(Use), min_size=6, max_size=6))
def test_a_map_has_a_mark_for_each_seat_and_counts_that_add_up(uses: list[Use]) -> None:
    stood = {place: Seat(use) for place, use in zip(PLACES, uses, strict=True)}
    *rows, last = rendering.seat_map(LAYOUT, stood)
    marks = "".join(row.split()[1].replace("|", "") for row in rows)
    assert marks == "".join(uses)
    assert sum(rendering.counts_of(stood).values()) == 6
    assert last.startswith("6 seats: ")


def test_a_map_shows_rows_by_their_labels_with_aisles() -> None:
    stood = dict.fromkeys(PLACES, FREE) | {(0, 1): Seat(Use.SOLD, "r1")}
    assert list(rendering.seat_map(LAYOUT, stood)) == [
        " A .S|..",
        "BB ..",
        "6 seats: 5 free, 0 held, 0 paying, 1 sold, 0 blocked; 2 free in a row",
    ]


def test_u9_the_history_of_a_seat_says_who_had_it_from_when_and_why_no_more() -> None:
    events = [
        event(1, "SeatsHeld", seats=seats(0, 2)),
        event(5, "ReservationReleased", seats=seats(0, 2), cause="LAPSED"),
        event(7, "SeatsHeld", "r2", seats=seats(1)),
        event(8, "ReservationConfirmed", "r2", seats=seats(1)),
    ]
    lines = list(
        rendering.seat_history(Timeline(dict.fromkeys(PLACES, FREE), events), (0, 1), RULES)
    )
    assert lines[0] == "before: free"
    assert [line.split("  ")[2].split(" of")[0] for line in lines[1:]] == [
        "held by r1: SeatsHeld",
        "free: ReservationReleased LAPSED",
        "held by r2: SeatsHeld",
        "sold by r2: ReservationConfirmed",
    ]


def test_a_seat_without_outcomes_says_how_it_stands() -> None:
    timeline = Timeline({(0, 0): Seat(Use.SOLD, "old")}, [])
    [line] = rendering.seat_history(timeline, (0, 0), RULES)
    assert "sold by old" in line


def test_u9_a_seat_that_was_taken_is_told_with_who_had_it_then() -> None:
    refused = event(
        3, "ReservationRejected", "r2", reason="SEAT_TAKEN", seat={"row": 0, "seat": 1}
    )
    events = [
        event(1, "SeatsHeld", seats=seats(0, 2)),
        refused,
        event(5, "ReservationReleased", seats=seats(0, 2), cause="CANCELLED"),
    ]
    timeline = Timeline(dict.fromkeys(PLACES, FREE), events)
    first, second = rendering.reason_of(refused, LAYOUT, timeline)
    assert "SEAT_TAKEN: somebody else had the seat" in first
    assert second.strip() == "seat A/2 was held by r1"


@pytest.mark.parametrize("reason", ["SOLD_OUT", "NO_ADJACENT_SEATS", "ORPHAN_SEAT"])
def test_u9_a_refusal_for_want_of_seats_is_told_with_the_counts_of_that_moment(
    reason: str,
) -> None:
    refused = event(3, "ReservationRejected", "r2", reason=reason, seat=None)
    events = [
        event(1, "SeatsHeld", seats=seats(1, 2)),
        refused,
        event(9, "ReservationReleased", seats=seats(1, 2)),
    ]
    timeline = Timeline(dict.fromkeys(PLACES, FREE), events)
    _, counts = rendering.reason_of(refused, LAYOUT, timeline)
    assert "4 free, 2 held" in counts
    assert counts.endswith("2 free in a row")


def test_what_was_not_refused_has_no_reason() -> None:
    timeline = Timeline({}, [])
    assert list(rendering.reason_of(event(1, "SeatsHeld", seats=[]), LAYOUT, timeline)) == []
    unspecified = event(1, "CommandRefused", reason="UNSPECIFIED")
    assert list(rendering.reason_of(unspecified, LAYOUT, timeline)) == []


def test_an_outcome_is_told_with_seats_deadline_and_price() -> None:
    held = event(
        1,
        "SeatsHeld",
        seats=seats(0, 2, row=1),
        epoch=1,
        deadlineMs=1_800_000_600_000,
        amount=500,
        currency="EUR",
    )
    line = rendering.outcome_line(held, LAYOUT, RULES)
    for part in (
        "SeatsHeld",
        "epoch 1",
        "seats BB/1 BB/2",
        "until 2027",
        "500 EUR",
        "by best available, rules 2",
    ):
        assert part in line
    assert "seats" not in rendering.outcome_line(held, None, RULES)


def test_a_command_is_told_with_who_asked() -> None:
    record = LogRecord(4, 1_800_000_000_000, b"k", b"v")
    line = rendering.command_line(
        record, "HoldBestAvailable", {"request": identity("r", "ann", "S", 1)}
    )
    assert "command 4  asked: HoldBestAvailable by ann, correlation id c" in line


def test_every_reason_that_is_explained_exists() -> None:
    assert rendering.WHY.keys() <= {reason.name for reason in Reason}


def test_u9_a_refusal_has_its_reason_where_nobody_has_opened_the_section() -> None:
    """There is no map then to tell more by; `explain reservation` told no reason at all."""
    refused = event(3, "ReservationRejected", "r2", reason="UNKNOWN_SECTION", seat=None)
    (told,) = rendering.refusal_of(refused)
    assert told.strip() == "UNKNOWN_SECTION: the section was not open at that time"
