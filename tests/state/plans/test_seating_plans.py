import json
import math
import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.plan_documents import (
    PITCH,
    aisles_of,
    content,
    plan,
    row,
    row_patterns,
    seat,
    straight_row,
    zone,
)

from scripts.open_event import main as open_event
from scripts.sale.arena import ARENA, arena_bytes
from state.domain.layout import Row
from state.plans.reading import parse_plan, read_plan
from state.plans.seating import (
    PlanFault,
    SeatPlace,
    number_run,
    section_id,
    without_sale,
)

halls = st.lists(st.lists(row_patterns(), min_size=1, max_size=4), min_size=1, max_size=4)


def hall(patterns: list[list[str]]) -> dict[str, Any]:
    return plan(
        *(
            zone(f"Z{z}", *(straight_row(f"Z{z}", f"{r}", p) for r, p in enumerate(rows)))
            for z, rows in enumerate(patterns)
        )
    )


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


@pytest.mark.parametrize(
    ("labels", "run"),
    [
        (["1", "2", "3"], (1, 1)),
        (["101", "99", "97"], (101, -2)),
        (["7"], (7, 1)),
        (["0", "1"], (0, 1)),
        (["1", "2", "4"], None),
        (["01", "02"], None),
        (["A1", "A2"], None),
        (["\u0661", "\u0662"], None),
        (["1e3"], None),
        (["99999999999"], None),
    ],
)
def test_only_an_arithmetic_run_of_plain_numbers_is_a_run(
    labels: list[str], run: tuple[int, int] | None
) -> None:
    assert number_run(labels) == run


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


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("101", "101"),
        ("Block é 7", "BLOCK-E-7"),
        ("  upper / left ", "UPPER-LEFT"),
        ("Parkett" * 9, ("PARKETT" * 9)[:32]),
        ("Rang 1\u20132", "RANG-1-2"),
        ("Rang 12", "RANG-12"),
        ("\u0141\u00f3d\u017a", "LODZ"),
        ("\u00d8st / V\u00e6st", "OST-VAEST"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u042f\u0440\u0443\u0441 3", "YARUS-3"),
        ("\u0391\u2019 \u0396\u03ce\u03bd\u03b7", "A-ZONI"),
        ("\u7b2c\u4e00\u533a", "DIYIQU"),
        ("\uff21\uff11", "A1"),
        ("A\u200bB", "A-B"),
    ],
)
def test_a_section_id_is_made_of_the_letters_and_digits_of_a_name(text: str, section: str) -> None:
    assert section_id(text, "") == section


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


def around(count: int, radius: float = 40.0) -> list[tuple[float, float]]:
    turn = 2 * math.pi / count
    return [(radius * math.sin(turn * n), -radius * math.cos(turn * n)) for n in range(count)]


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


@given(halls, st.randoms(use_true_random=False))
def test_e3_seats_of_categories_that_nobody_sells_are_not_for_sale(
    patterns: list[list[str]], chance: random.Random
) -> None:
    document = hall(patterns)
    seats = [s for z in document["zones"] for r in z["rows"] for s in r["seats"]]
    for item in seats:
        item["category"] = chance.choice(["A", "A", "B", ""])
    seats[0]["category"] = "A"
    read = without_sale(parse_plan(content(document)), ["B"])
    blocked = {
        (section.section, row, seat)
        for section in read.sections
        for row, first, count in section.not_for_sale
        for seat in range(first, first + count)
    }
    for item in seats:
        place = read.place_by_guid[item["seat_guid"]]
        is_blocked = (place.section, place.row, place.seat) in blocked
        assert is_blocked == (item["category"] != "A")
    assert len(blocked) == sum(section.not_for_sale_count for section in read.sections)


def test_e3_a_plan_without_any_category_is_for_sale_whole() -> None:
    seats = [seat(f"g{n}", str(n), n * PITCH, category="") for n in range(4)]
    (section,) = parse_plan(content(plan(zone("Z", row("1", *seats))))).sections
    assert section.not_for_sale == ()


def test_e3_a_category_that_the_plan_does_not_name_cannot_be_taken_off_sale() -> None:
    with pytest.raises(PlanFault, match="'b' is not a category of the plan"):
        without_sale(parse_plan(content(hall([["xxx"]]))), ["b"])


def test_e3_what_fills_a_record_is_named_when_a_section_outgrows_it() -> None:
    names = [letter * 190 for letter in "ab"]
    rows = [
        row(str(r), *(seat(f"{r}-{n}", str(n), n, category=names[n % 2]) for n in range(100)))
        for r in range(4)
    ]
    document = plan(zone("Z", *rows)) | {"categories": [{"name": name} for name in names]}
    with pytest.raises(PlanFault, match="for the categories of its seats") as refused:
        parse_plan(content(document))
    assert "categories" in refused.value.remedy


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"zones": [], "name": ' + "7" * 5000 + "}", "a number of 5000 digits"),
        ('{"sections": [], "event": "\\ud800"}', "event: control character"),
        ('{"sections": [], "event": "x", "\\ud800": 1}', "unknown field"),
    ],
)
def test_e4_a_file_with_numbers_or_texts_that_nobody_can_hold_ends_with_one_line(
    document: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(document, encoding="utf-8")
    assert open_event([str(file), "--event-id", "1", "--dry-run"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith(f"{file}: ")
    assert told in line


def test_e2_a_dry_run_tells_what_was_taken_for_an_aisle_or_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = row("T", *(seat(f"t{n}", str(n), x, y) for n, (x, y) in enumerate(around(6))))
    file = tmp_path / "plan.json"
    file.write_bytes(content(plan(zone("A", straight_row("A", "1", "xxx xxx"), table))))
    assert open_event([str(file), "--event-id", "1", "--dry-run"]) == 0
    output = capsys.readouterr()
    assert "row 'T' of A is no line" in output.err
    _, section, last = output.out.splitlines()
    assert section.split() == ["A", "2", "12", "1", "0"]
    assert last == "Hall: 1 sections, 12 seats, 1 aisles: fits"


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


def test_a_section_too_large_for_one_record_is_refused() -> None:
    rows = [row(str(r), *(seat(f"{r}-{n}", f"x{n:05}", n) for n in range(900))) for r in range(10)]
    with pytest.raises(PlanFault, match="limit is 65536") as refused:
        parse_plan(content(plan(zone("Z", *rows))))
    assert refused.value.path == "zones[0]"


SHORT = {"section": "A1", "rows": 2, "seats": 4, "aisles": [2], "category": "x"}


def test_the_short_form_is_sections_x_rows_x_seats() -> None:
    read = parse_plan(content({"event": "E", "sections": [SHORT, SHORT | {"section": "B"}]}))
    assert read.seat_count == 16
    assert read.sections[1].rows[1] == Row("2", 4, aisles=(2,), category="x")
    assert read.place_by_guid["B-2-4"] == SeatPlace("B", 1, 3)


def test_rows_of_the_short_form_may_differ_in_length() -> None:
    item = {"section": "A", "rows": 2, "seats": [2, 5], "aisles": [2]}
    (section,) = parse_plan(content({"event": "E", "sections": [item]})).sections
    assert [(r.seat_count, r.aisles) for r in section.rows] == [(2, ()), (5, (2,))]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"section": "a1"}, "sections[1].section"),
        ({"section": "A1"}, "sections[1].section"),
        ({"section": 1}, "sections[1].section"),
        ({"rows": 0}, "sections[1].rows"),
        ({"rows": True}, "sections[1].rows"),
        ({"rows": None}, "sections[1].rows"),
        ({"seats": 1001}, "sections[1].seats"),
        ({"seats": 2.5}, "sections[1].seats"),
        ({"seats": [4]}, "sections[1].seats"),
        ({"seats": [4, 0]}, "sections[1].seats[1]"),
        ({"aisles": [0]}, "sections[1].aisles[0]"),
        ({"aisles": [4]}, "sections[1].aisles[0]"),
        ({"aisles": [3, 2]}, "sections[1].aisles[1]"),
        ({"asiles": [2]}, "sections[1].asiles"),
        ({"category": 1}, "sections[1].category"),
        ({"rows": 9000}, "sections[1]"),
    ],
)
def test_a_fault_of_the_short_form_is_refused_with_its_place(
    change: dict[str, Any], path: str
) -> None:
    document = {"event": "E", "sections": [SHORT, SHORT | {"section": "B1"} | change]}
    with pytest.raises(PlanFault) as refused:
        parse_plan(content(document))
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("file", "path"),
    [
        (b"", "line 1, column 1"),
        (b'{"zones": [}', "line 1, column 12"),
        (b"\xff\xfe", ""),
        (b"[1]", ""),
        (b'{"name": "x"}', ""),
        (b'{"a": NaN}', ""),
        (b'{"zones": [], "zones": []}', ""),
        (b"[" * 100_000, ""),
    ],
)
def test_a_file_that_is_no_plan_is_refused(file: bytes, path: str) -> None:
    with pytest.raises(PlanFault) as refused:
        parse_plan(file)
    assert refused.value.path == path


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["zones", "sections", "rows", "seats", "name", "event", "categories"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(document: Any) -> None:
    with suppress(PlanFault):
        parse_plan(content(document))


def test_the_arena_is_what_its_figures_give_and_has_unequal_rows() -> None:
    assert ARENA.read_bytes() == arena_bytes()
    read = read_plan(ARENA)
    assert read.seat_count >= 50_000
    assert len(read.sections) >= 72
    assert len({row.seat_count for section in read.sections for row in section.rows}) >= 20
    # An aisle of the file is a gap in its positions, so no category says where one lies.
    assert all(row.aisles for section in read.sections for row in section.rows)
    assert json.loads(ARENA.read_bytes())["name"] == read.name
