"""The short form in: sections x rows x seats; sections, rows and seats out.

    {"event": "Open air", "sections": [
      {"section": "A1", "rows": 20, "seats": 50, "aisles": [25], "category": "front"},
      {"section": "B1", "rows": 3, "seats": [20, 22, 24]}]}

Prices by category are told in `prices.py`.

`seats` is one number for all rows or a list with one number a row; an aisle i lies between seat
indexes i - 1 and i and applies to every row long enough for it; rows and seats are labelled from
1. A field that the form does not know is refused, because a mistyped `aisles` would otherwise
sell neighbours that are none. In `--map`, seat 7 of row 2 is called `A1-2-7`.
"""

from state.domain.layout import Row
from state.plans.fields import Json, checked, objects, text, typed
from state.plans.prices import PRICE_FIELDS
from state.plans.seating import (
    SEATS_PER_ROW_MAX,
    SECTION_ID,
    PlanFault,
    SeatingPlan,
    SeatPlace,
    SectionPlan,
    check_label,
    check_record_size,
    check_seat_count,
    shown,
)

PLAN_FIELDS = {"event", "sections"} | PRICE_FIELDS
SECTION_FIELDS = {"section", "rows", "seats", "aisles", "category"}
ROWS_MAX = 10_000


def read_short_form(document: Json) -> SeatingPlan:
    """Read a whole plan; raises PlanFault at the first fault, in the order of the file."""
    refuse_unknown(document, PLAN_FIELDS, "")
    name = text(document, "event", "")
    path_by_section: dict[str, str] = {}
    seats = 0
    sections: list[SectionPlan] = []
    for path, item in objects(document, "sections", ""):
        refuse_unknown(item, SECTION_FIELDS, path)
        section = text(item, "section", path)
        if not SECTION_ID.fullmatch(section):
            raise PlanFault(
                f"{path}.section",
                f"{shown(section)} is not a section id",
                "Use 1 to 32 of A-Z, 0-9 and -",
            )
        if section in path_by_section:
            raise PlanFault(
                f"{path}.section",
                f"duplicate of {path_by_section[section]}",
                "Name every section once",
            )
        path_by_section[section] = f"{path}.section"
        sections.append(SectionPlan(section, section, tuple(read_rows(item, path)), path))
        check_record_size(sections[-1])
        seats += sections[-1].seat_count
        check_seat_count(seats, path)
    if not sections:
        raise PlanFault("sections", "the plan has no sections", "Add one")
    place_by_guid = {
        f"{section.section}-{row.label}-{row.seat_label(seat)}": SeatPlace(
            section.section, index, seat
        )
        for section in sections
        for index, row in enumerate(section.rows)
        for seat in range(row.seat_count)
    }
    categories = frozenset(row.category for section in sections for row in section.rows) - {""}
    return SeatingPlan(name, tuple(sections), place_by_guid, categories)


def read_rows(item: Json, path: str) -> list[Row]:
    """Return the rows of one section."""
    row_count = number(item.get("rows"), f"{path}.rows", ROWS_MAX)
    seats = item.get("seats")
    if isinstance(seats, list):
        if len(seats) != row_count:
            raise PlanFault(
                f"{path}.seats",
                f"{len(seats)} numbers for {row_count} rows",
                "Give one number for all rows, or one for each",
            )
        counts = [
            number(count, f"{path}.seats[{index}]", SEATS_PER_ROW_MAX)
            for index, count in enumerate(seats)
        ]
    else:
        counts = [number(seats, f"{path}.seats", SEATS_PER_ROW_MAX)] * row_count
    aisles: list[int] = []
    for index, aisle in enumerate(typed(item.get("aisles", []), list, f"{path}.aisles")):
        place = f"{path}.aisles[{index}]"
        value = number(aisle, place, max(counts) - 1)
        if aisles and value <= aisles[-1]:
            raise PlanFault(place, f"{value} follows {aisles[-1]}", "List aisles in rising order")
        aisles.append(value)
    place = f"{path}.category"
    category = check_label(checked(typed(item.get("category", ""), str, place), place), place)
    return [
        Row(
            label=str(index),
            seat_count=count,
            aisles=tuple(aisle for aisle in aisles if aisle < count),
            category=category,
        )
        for index, count in enumerate(counts, start=1)
    ]


def number(value: object, path: str, most: int) -> int:
    """Return a whole number from 1 to `most`."""
    whole = typed(value, int, path)
    if not 1 <= whole <= most:
        raise PlanFault(path, f"{whole} is not in 1..{most}", "Write a number in that range")
    return whole


def refuse_unknown(document: Json, known: set[str], path: str) -> None:
    """Refuse a field that the short form does not have."""
    for key in document:
        if key not in known:
            # What is no plain name is a stranger's text: a message shows it escaped.
            name = key if key.isascii() and key.isidentifier() else shown(key)
            raise PlanFault(
                f"{path}.{name}" if path else name,
                "unknown field",
                f"Known are {', '.join(sorted(known))}",
            )
