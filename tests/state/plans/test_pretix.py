"""A hall in the pretix format is read seat by seat, or refused with the place of its fault."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.plan_documents import (
    PITCH,
    aisles_of,
    around,
    content,
    hall,
    halls,
    plan,
    row,
    row_patterns,
    seat,
    straight_row,
    zone,
)

from state.domain.layout import Row
from state.plans.reading import parse_plan
from state.plans.seating import PlanFault, SeatPlace


@given(halls)
def test_a_plan_keeps_every_seat_and_puts_aisles_where_the_gaps_are(
    patterns: list[list[str]],
) -> None:
    read = parse_plan(content(hall(patterns)))
    assert read.seat_count == sum(p.count("x") for rows in patterns for p in rows)
    for section, rows in zip(read.sections, patterns, strict=True):
        assert [r.seat_count for r in section.rows] == [p.count("x") for p in rows]
        assert [r.aisles for r in section.rows] == [aisles_of(p) for p in rows]


@given(halls)
def test_every_guid_leads_to_the_seat_with_its_number(patterns: list[list[str]]) -> None:
    document = hall(patterns)
    read = parse_plan(content(document))
    row_by_place = {
        (section.section, index): row
        for section in read.sections
        for index, row in enumerate(section.rows)
    }
    seats = [s for z in document["zones"] for r in z["rows"] for s in r["seats"]]
    assert len(read.place_by_guid) == len(seats)
    for item in seats:
        place = read.place_by_guid[item["seat_guid"]]
        row = row_by_place[place.section, place.row]
        assert row.seat_label(place.seat) == item["seat_number"]


@given(row_patterns(), st.floats(0, 2 * math.pi), st.randoms(use_true_random=False))
def test_turning_a_row_and_listing_its_seats_in_any_order_changes_no_neighbours(
    pattern: str, angle: float, shuffler: random.Random
) -> None:
    drawn = straight_row("Z", "1", pattern)
    for item in drawn["seats"]:
        x = item["position"]["x"]
        item["position"] = {"x": x * math.cos(angle), "y": x * math.sin(angle)}
    shuffler.shuffle(drawn["seats"])
    read = parse_plan(content(plan(zone("Z", drawn))))
    (got,) = read.sections[0].rows
    forward = [str(number) for number in range(1, pattern.count("x") + 1)]
    labels = [got.seat_label(index) for index in range(got.seat_count)]
    assert labels in (forward, forward[::-1])
    mirrored = tuple(got.seat_count - aisle for aisle in reversed(got.aisles))
    assert aisles_of(pattern) in (got.aisles, mirrored)


def test_a_bent_row_is_read_from_end_to_end() -> None:
    seats = [
        seat(f"g{n}", str(n), 300 * math.sin(n * 0.07), -300 * math.cos(n * 0.07))
        for n in range(1, 30)
    ]
    (section,) = parse_plan(content(plan(zone("Z", row("1", *seats))))).sections
    assert section.rows == (Row("1", 29, category="A"),)


@pytest.mark.parametrize(
    ("distance", "aisles"), [(1.0, ()), (1.55, ()), (1.65, (3,)), (4.0, (3,))]
)
def test_a_gap_is_an_aisle_from_1_6_pitches_on(distance: float, aisles: tuple[int, ...]) -> None:
    places = [0.0, 1.0, 2.0, 2.0 + distance, 3.0 + distance, 4.0 + distance]
    seats = [seat(f"g{n}", str(n), x * PITCH) for n, x in enumerate(places)]
    (section,) = parse_plan(content(plan(zone("Z", row("1", *seats))))).sections
    assert section.rows[0].aisles == aisles


def test_mixed_categories_are_kept_by_seat_and_equal_ones_by_row() -> None:
    mixed = row("1", seat("a", "1", 0), seat("b", "2", 20, category="B"))
    equal = row("2", seat("c", "1", 0, category="B"), seat("d", "2", 20, category="B"))
    (section,) = parse_plan(content(plan(zone("Z", mixed, equal)))).sections
    assert section.rows[0].seat_categories == ("A", "B")
    assert (section.rows[1].category, section.rows[1].seat_categories) == ("B", ())


def test_zones_and_rows_without_seats_are_left_out() -> None:
    stage = zone("STAGE") | {"areas": [{"shape": "rectangle"}]}
    read = parse_plan(content(plan(stage, zone("A", row("0"), straight_row("A", "1", "xx")))))
    assert [section.section for section in read.sections] == ["A"]
    assert read.place_by_guid["A-1-2"] == SeatPlace("A", 0, 1)


def faulty(change: str) -> Any:
    """Return a sound plan of four zones with one thing changed."""
    document = hall([["xxx", "xxxx"]] * 4)
    zones = document["zones"]
    row = zones[3]["rows"][1]
    exec(change, {"plan": document, "zones": zones, "row": row, "seat": row["seats"][2]})
    return document


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("seat['seat_guid'] = 'Z0-0-2'", "zones[3].rows[1].seats[2].seat_guid"),
        ("seat['seat_guid'] = ''", "zones[3].rows[1].seats[2].seat_guid"),
        ("seat['seat_guid'] = 7", "zones[3].rows[1].seats[2].seat_guid"),
        ("del seat['seat_number']", "zones[3].rows[1].seats[2]"),
        ("seat['seat_number'] = '1'", "zones[3].rows[1].seats[2].seat_number"),
        ("seat['seat_number'] = '7\\x00'", "zones[3].rows[1].seats[2].seat_number"),
        ("seat['seat_number'] = '7' * 65", "zones[3].rows[1].seats[2].seat_number"),
        ("seat['category'] = 'C'", "zones[3].rows[1].seats[2].category"),
        ("seat['category'] = None", "zones[3].rows[1].seats[2].category"),
        ("seat['position'] = {'x': 0, 'y': 0}", "zones[3].rows[1].seats[2].position"),
        ("seat['position'] = [0, 0]", "zones[3].rows[1].seats[2].position"),
        ("seat['position'] = {'x': 1}", "zones[3].rows[1].seats[2].position"),
        ("seat['position']['x'] = '1'", "zones[3].rows[1].seats[2].position.x"),
        ("seat['position']['x'] = True", "zones[3].rows[1].seats[2].position.x"),
        ("seat['position']['x'] = 10 ** 400", "zones[3].rows[1].seats[2].position.x"),
        ("row['seats'][2] = 'x'", "zones[3].rows[1].seats[2]"),
        ("row['seats'] = None", "zones[3].rows[1].seats"),
        ("seat['seat_number'] = '7\\ud800'", "zones[3].rows[1].seats[2].seat_number"),
        ("seat['seat_guid'] = '\\udfff'", "zones[3].rows[1].seats[2].seat_guid"),
        ("seat['category'] = 'A\\n'", "zones[3].rows[1].seats[2].category"),
        ("row['row_label'] = 7", "zones[3].rows[1].row_label"),
        ("row['row_label'] = 'x' * 65", "zones[3].rows[1].row_label"),
        ("row['seat_label'] = 'Seat'", "zones[3].rows[1].seats[1].seat_number"),
        ("row['row_number'] = '0'", "zones[3].rows[1].seats[0].seat_number"),
        ("row['row_number'] = ''", None),
        ("seat['seat_number'] = ''", None),
        ("zones[3]['zone_id'] = '\u4e00'", None),
        ("zones[3]['name'] = '\\ud83c'", "zones[3].name"),
        ("plan['name'] = 'x' * 201", "name"),
        ("zones[3]['zone_id'] = 'z-0'", None),
        ("zones[3]['zone_id'] = 'z0'", "zones[3].zone_id"),
        ("zones[3]['zone_id'] = '\u2026'", "zones[3].zone_id"),
        ("zones[3]['zone_id'] = ''; zones[3]['name'] = 'Z1'", "zones[3].name"),
        ("del zones[3]['position']", "zones[3]"),
        ("zones[3]['rows'] = {}", "zones[3].rows"),
        ("del plan['categories']", ""),
        ("plan['categories'] = [1]", "categories[0]"),
        ("plan['zones'] = []", "zones"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_the_place_of_its_first_fault(
    change: str, path: str | None
) -> None:
    document = faulty(change)
    if path is None:
        assert parse_plan(content(document)).seat_count == 28
        return
    with pytest.raises(PlanFault) as refused:
        parse_plan(content(document))
    assert refused.value.path == path
    assert refused.value.remedy


def read_points(points: Sequence[tuple[float, float]], *others: dict[str, Any]) -> Row:
    """Return a row whose seats are listed and numbered in this order, from a zone of such rows."""
    seats = [seat(f"g{n}", str(n), x, y) for n, (x, y) in enumerate(points, start=1)]
    (section,) = parse_plan(content(plan(zone("Z", row("T", *seats), *others)))).sections
    return section.rows[0]


@given(st.integers(4, 24))
def test_e1_a_round_table_keeps_the_order_of_the_file(count: int) -> None:
    assert read_points(around(count)) == Row("T", count, category="A")


@given(st.integers(2, 12), st.sampled_from([20.0, 30.0, 50.0]))
def test_e1_two_facing_sides_listed_one_after_the_other_are_not_mixed(
    side: int, width: float
) -> None:
    points = [(float(n * PITCH), y) for y in (0.0, width) for n in range(side)]
    read = read_points(points)
    labels = [read.seat_label(index) for index in range(read.seat_count)]
    if side > 2:
        assert labels == [str(n) for n in range(1, 2 * side + 1)]
    if side > 2:
        # From the end of one side back to the begin of the other is no step to a neighbour.
        assert read.aisles == (side,)


def test_e1_a_row_that_is_no_line_is_named_in_the_notes() -> None:
    seats = [seat(f"g{n}", str(n), x, y) for n, (x, y) in enumerate(around(8), start=1)]
    (note,) = parse_plan(content(plan(zone("Z", row("T 7", *seats))))).notes
    assert note.startswith("zones[0].rows[0]: row 'T 7' of Z is no line")
    assert parse_plan(content(hall([["xxx xxx"]]))).notes == ()


@given(st.permutations(range(12)))
def test_e1_no_two_seats_across_a_table_are_neighbours_however_it_is_listed(
    order: list[int],
) -> None:
    points = around(12)
    pitch = math.dist(points[0], points[1])
    shuffled = [points[at] for at in order]
    read = read_points(shuffled)
    by_label = {str(n): point for n, point in enumerate(shuffled, start=1)}
    for index in range(1, 12):
        if index not in read.aisles:
            left, right = by_label[read.seat_label(index - 1)], by_label[read.seat_label(index)]
            assert math.dist(left, right) < 1.6 * pitch


@pytest.mark.parametrize(
    ("places", "aisles"),
    [
        ([480, 510, 570], (2,)),
        ([480, 540], (1,)),
        ([480, 540, 570], (1,)),
        ([480, 540, 600, 630], (1, 2)),
        # Set twice as wide as the zone, all of it: armchairs.
        ([480, 540, 600, 660], ()),
        ([480, 540, 600, 720], (3,)),
    ],
)
def test_e2_the_usual_pitch_of_the_zone_finds_the_aisles_of_short_rows(
    places: list[int], aisles: tuple[int, ...]
) -> None:
    long_row = row("2", *(seat(f"l{n}", str(n), n * 30) for n in range(20)))
    assert read_points([(x, 0.0) for x in places], long_row).aisles == aisles


def test_e3_tickets_print_the_labels_of_the_row() -> None:
    drawn = straight_row("Z", "7", "xxx")
    drawn |= {"row_label": "Reihe %s", "seat_label": "Platz %s"}
    (section,) = parse_plan(content(plan(zone("Z", drawn)))).sections
    assert section.rows == (
        Row("Reihe 7", 3, seat_labels=("Platz 1", "Platz 2", "Platz 3"), category="A"),
    )
    drawn |= {"row_label": None, "seat_label": ""}
    (section,) = parse_plan(content(plan(zone("Z", drawn)))).sections
    assert section.rows == (Row("7", 3, category="A"),)


def test_e3_seats_without_a_number_are_told_apart_by_nobody_and_still_read() -> None:
    seats = [seat(f"g{n}", "", n * PITCH) for n in range(4)]
    (section,) = parse_plan(content(plan(zone("Z", row("", *seats))))).sections
    assert section.rows == (Row("", 4, seat_labels=("",) * 4, category="A"),)


def test_e3_two_seats_of_a_zone_that_tickets_print_alike_are_refused_with_both_places() -> None:
    rows = [straight_row("Z", "1", "xxx"), straight_row("Y", "2", "xxx") | {"row_label": "1"}]
    with pytest.raises(PlanFault) as refused:
        parse_plan(content(plan(zone("Z", *rows))))
    assert refused.value.path == "zones[0].rows[1].seats[0].seat_number"
    assert refused.value.fault == "duplicate of zones[0].rows[0].seats[0].seat_number"
    assert parse_plan(content(plan(zone("Z", rows[0]), zone("Y", rows[1])))).seat_count == 6


def test_e3_a_plan_without_any_category_is_for_sale_whole() -> None:
    seats = [seat(f"g{n}", str(n), n * PITCH, category="") for n in range(4)]
    (section,) = parse_plan(content(plan(zone("Z", row("1", *seats))))).sections
    assert section.not_for_sale == ()


def test_a_duplicate_names_both_places() -> None:
    with pytest.raises(
        PlanFault,
        match=r"^zones\[3\]\.rows\[1\]\.seats\[2\]\.seat_guid: duplicate of"
        r" zones\[0\]\.rows\[0\]\.seats\[1\]\.seat_guid\. ",
    ):
        parse_plan(content(faulty("seat['seat_guid'] = 'Z0-0-2'")))


def test_a_row_of_more_than_a_thousand_seats_is_refused() -> None:
    with pytest.raises(PlanFault) as refused:
        parse_plan(content(plan(zone("Z", straight_row("Z", "1", "x" * 1001)))))
    assert refused.value.path == "zones[0].rows[0].seats"
