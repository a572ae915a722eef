from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.layout import (
    TIME_MS_MAX,
    Layout,
    Plan,
    Row,
    Rules,
    SeatRange,
    invalid,
    invalid_window,
)

PLAN = Plan(
    layout_version=1,
    rows=(
        Row("A", 5, aisles=(2, 4)),
        Row("B", 2, seat_labels=("1a", "1b"), seat_categories=("x", "y")),
    ),
    blocked=(SeatRange(0, 0, 2), SeatRange(1, 1, 1)),
)


def with_row(**changes: object) -> Plan:
    return replace(PLAN, rows=(replace(PLAN.rows[0], **changes), PLAN.rows[1]))  # type: ignore[arg-type]


def with_rules(**changes: int) -> Plan:
    return replace(PLAN, rules=Rules(**changes))  # type: ignore[arg-type]


def test_a_consistent_plan_has_no_fault() -> None:
    assert invalid(PLAN) is None
    assert invalid(replace(PLAN, rows=(Row("", 1), Row("", 1000)), blocked=())) is None
    assert invalid(with_rules(max_seats_per_hold=16, hold_ms=1, max_hold_ms=1)) is None
    assert invalid(with_rules(sale_starts_ms=5, sale_ends_ms=6)) is None
    assert invalid(with_rules(sale_starts_ms=5)) is None


@pytest.mark.parametrize(
    ("plan", "path"),
    [
        (replace(PLAN, layout_version=0), "layoutVersion"),
        (replace(PLAN, rows=()), "rows"),
        (with_row(seat_count=0), "rows[0].seatCount"),
        (with_row(seat_count=1001), "rows[0].seatCount"),
        (with_row(number_step=0), "rows[0].numberStep"),
        (with_row(seat_labels=("1",)), "rows[0].seatLabels"),
        (with_row(aisles=(0,)), "rows[0].aisles[0]"),
        (with_row(aisles=(2, 2)), "rows[0].aisles[1]"),
        (with_row(aisles=(3, 5)), "rows[0].aisles[1]"),
        (with_row(seat_categories=("x",) * 6), "rows[0].seatCategories"),
        (replace(PLAN, blocked=(SeatRange(0, 4, 2),)), "blocked[0]"),
        (replace(PLAN, blocked=(SeatRange(2, 0, 1),)), "blocked[0]"),
        (replace(PLAN, blocked=(SeatRange(0, 0, 0),)), "blocked[0]"),
        (replace(PLAN, blocked=(SeatRange(-1, 0, 1),)), "blocked[0]"),
        (replace(PLAN, blocked=(SeatRange(0, -1, 1),)), "blocked[0]"),
        (replace(PLAN, blocked=(SeatRange(0, 0, 2), SeatRange(0, 1, 2))), "blocked[1]"),
        (with_rules(max_seats_per_hold=0), "maxSeatsPerHold"),
        (with_rules(max_seats_per_hold=17), "maxSeatsPerHold"),
        (with_rules(hold_ms=0), "holdMs"),
        (with_rules(hold_ms=31 * 86_400_000), "holdMs"),
        (with_rules(hold_ms=2, max_hold_ms=1), "maxHoldMs"),
        (with_rules(max_hold_ms=31 * 86_400_000), "maxHoldMs"),
        (with_rules(payment_ms=0), "paymentMs"),
        # A day on, a gateway has forgotten the key, and would charge once more.
        (with_rules(payment_ms=86_400_000), "paymentMs"),
        (with_rules(sale_starts_ms=-1), "saleStartsMs"),
        (with_rules(sale_ends_ms=2**62), "saleEndsMs"),
        (with_rules(sale_starts_ms=5, sale_ends_ms=5), "saleEndsMs"),
    ],
)
def test_the_first_fault_is_named_by_its_path(plan: Plan, path: str) -> None:
    fault = invalid(plan)
    assert fault is not None
    assert fault.split(":")[0] == path


def test_seats_are_named_by_number_or_by_label() -> None:
    left = Row("A", 3, first_number=11, number_step=-2)
    assert [left.seat_label(seat) for seat in range(3)] == ["11", "9", "7"]
    assert PLAN.rows[1].seat_label(1) == "1b"


def test_sections_with_equal_rows_share_their_layout() -> None:
    assert Layout.of([Row("A", 9, aisles=(3,))]) is Layout.of([Row("B", 9, aisles=(3,))])


def test_a_mask_becomes_ranges_that_neither_gaps_nor_aisles_part() -> None:
    layout = Layout.of([Row("", 8, aisles=(4,))])
    # Seats 0, 1, 3, 4, 5 and an aisle before seat 4.
    assert layout.ranges(0, 0b0011_1011) == [
        SeatRange(0, 0, 2),
        SeatRange(0, 3, 1),
        SeatRange(0, 4, 2),
    ]


times = st.one_of(
    st.integers(-3, 3),
    st.integers(TIME_MS_MAX - 2, TIME_MS_MAX + 2),
    st.integers(-(2**63), 2**63 - 1),
)


@given(times, times)
def test_a_window_is_sound_exactly_when_some_time_lies_in_it_and_its_bounds_are_times(
    starts_ms: int, ends_ms: int
) -> None:
    bounds_are_times = min(starts_ms, ends_ms) >= 0 and max(starts_ms, ends_ms) <= TIME_MS_MAX
    # The first moment at which a hold may come is the start itself.
    has_room = ends_ms == 0 or starts_ms < ends_ms
    assert (invalid_window(starts_ms, ends_ms) is None) == (bounds_are_times and has_room)
    plan = with_rules(sale_starts_ms=starts_ms, sale_ends_ms=ends_ms)
    assert invalid(plan) == invalid_window(starts_ms, ends_ms)
