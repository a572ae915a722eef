"""What a plan says: ids, labels, what is not for sale, and what fits into a record."""

import random
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.records.plan_documents import content, hall, halls, plan, row, seat, zone
from support.seats.seatmap import category_of

from state.domain.layout import Row, SeatRange
from state.plans.reading import parse_plan
from state.plans.seating import (
    INT_MAX,
    LABEL_BYTES_MAX,
    SEATS_MAX,
    SECTION_ID,
    PlanFault,
    SeatingPlan,
    SectionPlan,
    check_label,
    check_seat_count,
    number_run,
    row_of,
    section_id,
    shown,
    without_sale,
)


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


def test_a_section_too_large_for_one_record_is_refused() -> None:
    rows = [row(str(r), *(seat(f"{r}-{n}", f"x{n:05}", n) for n in range(900))) for r in range(10)]
    with pytest.raises(PlanFault, match="limit is 65536") as refused:
        parse_plan(content(plan(zone("Z", *rows))))
    assert refused.value.path == "zones[0]"


@given(st.text(max_size=60))
def test_every_derived_id_is_a_section_id_and_its_own_derivation(text: str) -> None:
    try:
        derived = section_id(text, "zones[0].name")
    except PlanFault as fault:
        assume(fault.path != "zones[0].name")
        raise
    assert SECTION_ID.fullmatch(derived)
    assert section_id(derived, "") == derived


@given(st.integers(-INT_MAX, INT_MAX), st.integers(-1000, 1000), st.integers(2, 40))
def test_a_run_prints_the_labels_it_was_made_of(first: int, step: int, count: int) -> None:
    labels = [str(first + step * at) for at in range(count)]
    run = number_run(labels)
    if all(abs(int(label)) <= INT_MAX for label in labels):
        assert run == (first, step)
        row_read = row_of("1", labels, (), ["A"] * count)
        assert row_read.seat_labels == ()
        assert [row_read.seat_label(at) for at in range(count)] == labels
    else:
        assert run is None


@given(st.lists(st.text(max_size=3), min_size=1, max_size=8))
def test_a_row_prints_any_labels_as_they_were_written(labels: list[str]) -> None:
    row_read = row_of("1", labels, (), ["A"] * len(labels))
    assert [row_read.seat_label(at) for at in range(len(labels))] == labels


@given(st.lists(st.sampled_from("AB"), min_size=1, max_size=6))
def test_a_row_keeps_the_category_of_each_seat(categories: list[str]) -> None:
    row_read = row_of("1", [str(at) for at in range(len(categories))], (), categories)
    assert [category_of(row_read, at) for at in range(len(categories))] == categories
    assert bool(row_read.seat_categories) == any(a != b for a, b in pairwise(categories))


def test_a_label_has_at_most_64_bytes_however_many_characters_they_are() -> None:
    assert check_label("é" * 32, "p") == "é" * 32
    with pytest.raises(PlanFault, match=rf"^p: .*{LABEL_BYTES_MAX} bytes, this one has 65"):
        check_label("é" * 32 + "x", "p")


def section_with(*rows: Row, not_for_sale: tuple[SeatRange, ...] = ()) -> SectionPlan:
    return SectionPlan("A", "Block A", rows, "zones[0]", not_for_sale)


def test_a_section_counts_its_seats_its_aisles_and_what_is_not_for_sale() -> None:
    section = section_with(
        Row("1", 4, aisles=(2,)), Row("2", 6, aisles=(2, 4)), not_for_sale=(SeatRange(1, 2, 3),)
    )
    assert (section.seat_count, section.aisle_count, section.not_for_sale_count) == (10, 3, 3)


def test_taking_categories_off_sale_keeps_what_was_off_sale_before() -> None:
    mixed = Row("1", 5, seat_categories=("A", "B", "B", "A", "A"))
    section = section_with(mixed, Row("2", 3, category="A"), not_for_sale=(SeatRange(0, 2, 2),))
    read = SeatingPlan("E", (section,), {}, frozenset("AB"))
    (off,) = without_sale(read, ["B"]).sections
    assert off.not_for_sale == (SeatRange(0, 1, 3),)
    (all_off,) = without_sale(read, ["A", "B"]).sections
    assert all_off.not_for_sale == (SeatRange(0, 0, 5), SeatRange(1, 0, 3))
    assert without_sale(read, []) == read


def test_a_plan_of_as_many_seats_as_allowed_is_taken_and_one_more_is_not() -> None:
    check_seat_count(SEATS_MAX, "zones[0]")
    with pytest.raises(PlanFault, match=rf"^zones\[0\]: .*more than {SEATS_MAX} seats"):
        check_seat_count(SEATS_MAX + 1, "zones[0]")


def test_a_fault_says_the_place_what_is_wrong_and_what_to_do() -> None:
    assert str(PlanFault("a.b", "it is empty", "Fill it in")) == "a.b: it is empty. Fill it in"
    assert str(PlanFault("", "not UTF-8", "Save it again")) == "not UTF-8. Save it again"


@given(st.recursive(st.text() | st.integers(), st.lists, max_leaves=5))
def test_what_a_message_shows_is_short_and_printable(value: object) -> None:
    assert shown(value).isascii()
    assert shown(value).isprintable()
    assert len(shown(value)) <= 60
