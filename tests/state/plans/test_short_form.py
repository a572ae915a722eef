"""The short form is sections x rows x seats; whatever else it holds is refused."""

from typing import Any

import pytest
from support.records.plan_documents import content

from state.domain.layout import Row
from state.plans.reading import parse_plan
from state.plans.seating import SEATS_MAX, PlanFault, SeatPlace

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


def test_a_seat_is_called_by_its_section_row_and_number_in_maps() -> None:
    item = {"section": "A-1", "rows": 2, "seats": [1, 2]}
    read = parse_plan(content({"event": "E", "sections": [item]}))
    assert dict(read.place_by_guid) == {
        "A-1-1-1": SeatPlace("A-1", 0, 0),
        "A-1-2-1": SeatPlace("A-1", 1, 0),
        "A-1-2-2": SeatPlace("A-1", 1, 1),
    }


def test_an_aisle_may_stand_before_the_last_seat_of_the_longest_row_and_not_behind_it() -> None:
    item = {"section": "A", "rows": 2, "seats": [3, 5], "aisles": [4]}
    (section,) = parse_plan(content({"event": "E", "sections": [item]})).sections
    assert [r.aisles for r in section.rows] == [(), (4,)]
    with pytest.raises(PlanFault, match=r"aisles\[0\]: 5 is not in 1\.\.4"):
        parse_plan(content({"event": "E", "sections": [item | {"aisles": [5]}]}))


def test_a_plan_without_sections_is_refused() -> None:
    with pytest.raises(PlanFault, match="the plan has no sections"):
        parse_plan(content({"event": "E", "sections": []}))


def test_a_few_bytes_cannot_ask_for_more_seats_than_a_process_can_hold() -> None:
    large = {"rows": SEATS_MAX // 1_000 - 1, "seats": 1_000}
    sections = [large | {"section": f"S{number}"} for number in range(3)]
    with pytest.raises(PlanFault, match=f"more than {SEATS_MAX} seats") as refused:
        parse_plan(content({"event": "E", "sections": sections}))
    # Where the limit is passed: what stands behind it is not built.
    assert refused.value.path == "sections[1]"


def test_an_unknown_field_with_a_strange_name_is_shown_escaped() -> None:
    with pytest.raises(PlanFault) as refused:
        parse_plan(content({"event": "E", "sections": [], "a\nb": 1}))
    assert refused.value.path == r"'a\nb'"
    assert "currency, event, prices, sections" in refused.value.remedy
