"""The oracle's seats: the first place that fits, by rows, and no single seat left where it counts.

In a row, `.` is a free seat, `x` a taken one, and `|` an aisle.
"""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import open_section, prices, row_plan
from support.seats.seatmap import section as shown

from scripts.auditing.oracle.seats import (
    AMOUNT_MAX,
    BLOCKED,
    HOLD_MS_MAX,
    PAYMENT_MS_MAX,
    TIME_MS_MAX,
    Row,
    Section,
    as_many_in_pieces,
    best_available,
    category_of,
    in_pieces,
    is_sound,
    is_window,
    places_of,
    price_of,
    ranges,
)
from state.domain.carts import splitting
from state.domain.layout import OrphanRule
from state.domain.reasons import Reason


def section_of(*rows: str, rule: str = "PREFER") -> Section:
    made = []
    for text in rows:
        seats: list[str | None] = []
        aisles = set()
        for sign in text:
            if sign == "|":
                aisles.add(len(seats))
            else:
                seats.append(None if sign == "." else "somebody")
        made.append(Row(seats, frozenset(aisles)))
    plans = [row_plan(str(at), len(row.seats), *row.aisles) for at, row in enumerate(made)]
    section = Section(open_section("A", 7, plans, orphanRule=rule), made)
    section.free = sum(seat is None for row in made for seat in row.seats)
    return section


def runs_before(row: Row) -> list[int]:
    """Return how many free seats end at each seat without a border, seen one by one."""
    runs: list[int] = []
    for seat, holder in enumerate(row.seats):
        before = 0 if seat in row.aisles or not runs else runs[-1]
        runs.append(0 if holder is not None else before + 1)
    return runs


@given(
    st.text(".x|", min_size=1, max_size=30).map(lambda text: re.sub(r"\|+", "|", text).strip("|")),
    st.lists(st.tuples(st.integers(0, 29), st.sampled_from((None, "ann", BLOCKED))), max_size=20),
)
def test_a_row_searched_as_a_text_is_the_row_looked_at_seat_by_seat(
    text: str, changes: list[tuple[int, str | None]]
) -> None:
    section = section_of(text or ".")
    [row] = section.rows
    for at, holder in ((-1, None), *changes):
        if 0 <= at < len(row.seats):
            section.give([(0, at)], holder)
        runs = runs_before(row)
        assert section.longest == [row.longest] == [max(runs)]
        for count in range(1, len(row.seats) + 2):
            ends = [seat for seat, run in enumerate(runs) if run >= count]
            assert list(row.places(count)) == [seat - count + 1 for seat in ends]
        free = sum(1 << seat for seat, run in enumerate(runs) if run)
        assert section.bitmap(None) == free.to_bytes((len(row.seats) + 7) // 8, "little")


@pytest.mark.parametrize(
    ("rows", "count", "place"),
    [
        (["...", "..."], 3, (0, 0)),
        (["x..", "..."], 3, (1, 0)),
        # Seats 0 and 1 would leave seat 2 on its own.
        (["...", ".."], 2, (1, 0)),
        # An aisle is a border: the seat behind it is not left single by what is before it.
        (["..|."], 2, (0, 0)),
        ([".|.."], 2, (0, 1)),
        # Nothing fits without a single seat: the first place, then.
        (["..."], 2, (0, 0)),
    ],
)
def test_the_first_place_from_the_front_that_leaves_no_single_seat(
    rows: list[str], count: int, place: tuple[int, int]
) -> None:
    found = best_available(section_of(*rows), count)
    assert found == [(place[0], place[1] + more) for more in range(count)]


@given(
    st.lists(st.text("..x|", min_size=1, max_size=9), min_size=1, max_size=5),
    st.integers(1, 9),
    st.sampled_from(OrphanRule),
    st.booleans(),
)
def test_d12_pieces_are_those_that_sections_give(
    rows: list[str], count: int, rule: OrphanRule, or_fewer: bool
) -> None:
    lines = [row for text in rows if (row := re.sub(r"\|+", "|", text).strip("|"))] or ["."]
    choose, given_by = {
        False: (in_pieces, splitting.in_pieces),
        True: (as_many_in_pieces, splitting.as_many_in_pieces),
    }[or_fewer]
    found = choose(section_of(*lines, rule=rule.name), count)
    given_ = given_by(shown("\n".join(lines), rule), count)
    if isinstance(given_, Reason):
        assert found == (given_.name, None)
    else:
        assert found == [
            (row, seat) for row, first, length in given_ for seat in range(first, first + length)
        ]


def test_rules_decide_what_a_single_seat_is_worth() -> None:
    assert best_available(section_of("...", rule="STRICT"), 2) == ("ORPHAN_SEAT", None)
    assert best_available(section_of("...", "..", rule="OFF"), 2) == [(0, 0), (0, 1)]


def test_what_is_not_there_is_refused() -> None:
    assert best_available(section_of("x."), 2) == ("SOLD_OUT", None)
    assert best_available(section_of(".x.", ".|."), 2) == ("NO_ADJACENT_SEATS", None)


@given(
    st.lists(st.text(".x|", min_size=1, max_size=12), min_size=1, max_size=4), st.integers(1, 4)
)
def test_a_place_is_free_and_without_an_aisle_inside(rows: list[str], count: int) -> None:
    section = section_of(*rows)
    found = best_available(section, count)
    if isinstance(found, tuple):
        assert all(row.longest < count for row in section.rows)
        return
    [index] = {row for row, _ in found}
    first = found[0][1]
    assert [seat for _, seat in found] == list(range(first, first + count))
    assert all(section.rows[index].free(seat) for _, seat in found)
    assert not section.rows[index].aisles & set(range(first + 1, first + count))


@given(st.lists(st.text(".|", min_size=1, max_size=9), min_size=1, max_size=3), st.data())
def test_ranges_name_the_same_seats(rows: list[str], data: st.DataObject) -> None:
    section = section_of(*rows)
    every = [(at, seat) for at, row in enumerate(section.rows) for seat in range(len(row.seats))]
    if not every:
        return
    chosen = sorted(data.draw(st.sets(st.sampled_from(every))))
    assert places_of(ranges(section, chosen)) == chosen


def test_bits_are_rounded_up_row_by_row() -> None:
    section = section_of("." * 9, "x.")
    assert section.bitmap(None) == b"\xff\x01\x02"
    section.give([(0, 0), (1, 1)], "r1")
    assert section.bitmap("r1") == b"\x01\x00\x02"
    assert (section.holder((0, 0)), section.rows[0].longest) == ("r1", 8)
    assert section.exists((1, 1))
    assert not section.exists((1, 2))
    assert not section.exists((-1, 0))


PLAN = open_section("A", 7, [row_plan("1", 5, 2)], blocked=[{"row": 0, "first": 0, "count": 2}])


@pytest.mark.parametrize(
    "changes",
    [
        {"layoutVersion": 0},
        {"rows": []},
        {"rows": [row_plan("1", 0)]},
        {"rows": [row_plan("1", 1001)]},
        {"rows": [row_plan("1", 5, 5)]},
        {"rows": [row_plan("1", 5, 3, 2)]},
        {"rows": [row_plan("1", 5) | {"numberStep": 0}]},
        {"rows": [row_plan("1", 5) | {"seatLabels": ["a"]}]},
        {"blocked": [{"row": 1, "first": 0, "count": 1}]},
        {"blocked": [{"row": 0, "first": 4, "count": 2}]},
        {"blocked": [{"row": 0, "first": 0, "count": 2}, {"row": 0, "first": 1, "count": 1}]},
        {"maxSeatsPerHold": 17},
        {"holdMs": 0},
        {"holdMs": 9, "maxHoldMs": 8},
        {"maxHoldMs": HOLD_MS_MAX + 1},
        {"paymentMs": 0},
        {"paymentMs": PAYMENT_MS_MAX + 1},
        {"saleStartsMs": 5, "saleEndsMs": 5},
    ],
)
def test_a_layout_with_one_fault_is_not_sound(changes: dict[str, Any]) -> None:
    assert is_sound(PLAN)
    assert not is_sound(PLAN | changes)


MIXED = row_plan("2", 3) | {"seatCategories": ["b", "a", "b"]}
PRICED = open_section(
    "A", 7, [row_plan("1", 2, category="a"), MIXED], **prices("EUR", a=4_500, b=0)
)


@pytest.mark.parametrize(
    "changes",
    [
        prices(""),
        prices("EUR"),
        prices("eur", a=4_500, b=0),
        prices("", a=4_500, b=0),
        prices("EUR", a=4_500),
        prices("EUR", a=4_500, b=0, c=1),
        prices("EUR", a=4_500, b=-1),
        prices("EUR", a=AMOUNT_MAX + 1, b=0),
        {"prices": [*PRICED["prices"], PRICED["prices"][0]]},
        {"rows": [row_plan("1", 2), MIXED]},
    ],
)
def test_b58_every_seat_has_one_price_or_none_has(changes: dict[str, Any]) -> None:
    assert is_sound(PRICED)
    is_unpriced = not changes.get("prices", True) and not changes["currency"]
    assert is_sound(PRICED | changes) == is_unpriced


def test_seats_cost_what_their_categories_cost_one_by_one() -> None:
    section = Section(PRICED, [])
    assert [category_of(MIXED, seat) for seat in range(3)] == ["b", "a", "b"]
    assert price_of(section, [(0, 0), (1, 0), (1, 1)]) == {"amount": 9_000, "currency": "EUR"}
    assert price_of(Section(PLAN, []), [(0, 0)]) == {"amount": 0, "currency": ""}


def test_a_window_without_an_end_stays_open() -> None:
    assert is_window(5, 0)
    assert is_window(0, TIME_MS_MAX)
    assert not is_window(6, 5)
    assert not is_window(-1, 0)
    assert not is_window(0, TIME_MS_MAX + 1)


@given(st.integers(-2, 4), st.integers(-2, 8), st.integers(-2, 8))
def test_a_range_is_there_where_each_of_its_seats_is(row: int, first: int, count: int) -> None:
    section = section_of("....", ".....")
    part = {"row": row, "first": first, "count": count}
    assert section.has(part) == all(map(section.exists, places_of([part])))
