"""The public pretix seating-plan format in; sections, rows and seats out.

How the format maps to sections:

- A zone is a section; its id is derived from `zone_id`, or from `name` where there is none. A zone
  without seats (a stage, say) is left out. Two zones with one id are refused.
- Rows keep the order of the file, which is taken as front row first; rows without seats are left
  out.
- Seats are sorted along their row: along the line between its two ends, in the direction in
  which the file lists them. A row that turns back on itself, such as a round table, keeps the
  order of the file, and the plan's notes name it.
- An aisle lies between two seats whose distance is more than 1.6 times the usual one of their row
  or their zone.
- What tickets print is `row_label` and `seat_label` where the row has them, with `%s` for the
  number; else `row_number` and `seat_number`, which may be blank. No two seats of a zone may be
  printed alike, unless the seat's part is blank.
- `seat_guid` names a seat in the whole plan and must be unique.
- A category must be one of the plan's, or empty. Where any seat has a category, the seats without
  one are not for sale.
- Prices by category, which the format does not know, are told in `prices.py`.
- Fields that say nothing about seats (colours, areas, radius, uuid, labels' positions) and fields
  unknown to the format are ignored.
"""

from dataclasses import dataclass
from statistics import median_low
from typing import TypeVar

from state.domain.layout import Row
from state.plans.fields import Json, checked, objects, optional_text, position, text, typed
from state.plans.row_order import Point, aisles_between, order_of, pitches
from state.plans.seating import (
    SEATS_PER_ROW_MAX,
    PlanFault,
    SeatingPlan,
    SeatPlace,
    SectionPlan,
    check_label,
    check_record_size,
    check_seat_count,
    row_of,
    section_id,
    shown,
    without_sale,
)

Key = TypeVar("Key", str, Point, tuple[str, str])


@dataclass(frozen=True, slots=True)
class ListedRow:
    """One row of the file, its seats in order; one item a seat in each list."""

    path: str
    label: str
    seat_labels: list[str]
    guids: list[str]
    categories: list[str]
    points: list[Point]
    is_line: bool

    def plan(self, zone_pitch: float) -> Row:
        """Return the row as a section has it."""
        aisles = aisles_between(self.points, zone_pitch, is_line=self.is_line)
        return row_of(self.label, self.seat_labels, aisles, self.categories)


def read_pretix(document: Json) -> SeatingPlan:
    """Read a whole plan; raises PlanFault at the first fault, in the order of the file."""
    name = text(document, "name", "")
    categories = {text(item, "name", path) for path, item in objects(document, "categories", "")}
    path_by_guid: dict[str, str] = {}
    path_by_section: dict[str, str] = {}
    sections: list[SectionPlan] = []
    place_by_guid: dict[str, SeatPlace] = {}
    notes: list[str] = []
    for path, zone in objects(document, "zones", ""):
        position(zone, path)
        rows = read_rows(zone, path, categories, path_by_guid)
        if not rows:
            continue
        section = zone_section(zone, path, path_by_section)
        distances = [at for row in rows for at in pitches(row.points, is_line=row.is_line)]
        pitch = median_low(distances or [0.0])
        plans = tuple(row.plan(pitch) for row in rows)
        shown_name = optional_text(zone, "name", path) or section
        sections.append(SectionPlan(section, shown_name, plans, path))
        check_record_size(sections[-1])
        check_seat_count(len(path_by_guid), path)
        notes += [
            f"{row.path}: row {shown(row.label)} of {section} is no line (a table?). Its seats are"
            f" neighbours in the order of the file, but at {len(plan.aisles)} gaps"
            for row, plan in zip(rows, plans, strict=True)
            if not row.is_line
        ]
        place_by_guid |= {
            guid: SeatPlace(section, row_index, seat_index)
            for row_index, row in enumerate(rows)
            for seat_index, guid in enumerate(row.guids)
        }
    if not sections:
        raise PlanFault("zones", "the plan has no seats", "Add a zone with rows of seats")
    plan = SeatingPlan(name, tuple(sections), place_by_guid, frozenset(categories), tuple(notes))
    has_categories = any(row.category or row.seat_categories for s in sections for row in s.rows)
    return without_sale(plan, [""]) if has_categories else plan


def read_rows(
    zone: Json, path: str, categories: set[str], path_by_guid: dict[str, str]
) -> list[ListedRow]:
    """Return the rows of a zone that have seats."""
    path_by_label: dict[tuple[str, str], str] = {}
    rows = []
    for row_path, row in objects(zone, "rows", path):
        if not typed(row.get("seats"), list, f"{row_path}.seats"):
            continue
        listed = read_row(row, row_path, categories, path_by_guid)
        for label, guid in zip(listed.seat_labels, listed.guids, strict=True):
            if label:
                seat_path = path_by_guid[guid].removesuffix(".seat_guid")
                claim((listed.label, label), f"{seat_path}.seat_number", path_by_label)
        rows.append(listed)
    return rows


def zone_section(zone: Json, path: str, path_by_section: dict[str, str]) -> str:
    """Return the zone's section id, and remember who has it."""
    key = "zone_id" if zone.get("zone_id") else "name"
    section = section_id(text(zone, key, path), f"{path}.{key}")
    if section in path_by_section:
        raise PlanFault(
            f"{path}.{key}",
            f"{shown(zone[key])} gives section id {section}, as {path_by_section[section]} does",
            "Give the two zones ids that differ in letters or digits",
        )
    path_by_section[section] = f"{path}.{key}"
    return section


def read_row(
    row: Json, path: str, categories: set[str], path_by_guid: dict[str, str]
) -> ListedRow:
    """Return the row with its seats in order."""
    label = printed(row, "row_label", text(row, "row_number", path), path)
    seats = objects(row, "seats", path)
    if len(seats) > SEATS_PER_ROW_MAX:
        raise PlanFault(
            f"{path}.seats",
            f"{len(seats)} seats, a row has at most {SEATS_PER_ROW_MAX}",
            "Split the row",
        )
    path_by_point: dict[Point, str] = {}
    labels: list[str] = []
    for seat_path, seat in seats:
        claim(text(seat, "seat_guid", seat_path), f"{seat_path}.seat_guid", path_by_guid)
        number = text(seat, "seat_number", seat_path)
        check_label(number, f"{seat_path}.seat_number")
        labels.append(printed(row, "seat_label", number, path))
        claim(position(seat, seat_path), f"{seat_path}.position", path_by_point)
        category = text(seat, "category", seat_path)
        if category and category not in categories:
            raise PlanFault(
                f"{seat_path}.category",
                f"{shown(category)} is not a category of the plan",
                "Add it to the plan's categories, or correct the name",
            )
    points = list(path_by_point)
    order, is_line = order_of(points)
    return ListedRow(
        path=path,
        label=label,
        seat_labels=[labels[index] for index in order],
        guids=[seats[index][1]["seat_guid"] for index in order],
        categories=[seats[index][1]["category"] for index in order],
        points=[points[index] for index in order],
        is_line=is_line,
    )


def printed(row: Json, key: str, number: str, path: str) -> str:
    """Return what a ticket prints: the row's pattern with the number in it, or the number."""
    label = optional_text(row, key, path).replace("%s", number) or number
    return check_label(checked(label, f"{path}.{key}"), f"{path}.{key}")


def claim(key: Key, path: str, path_by_key: dict[Key, str]) -> None:
    """Remember who uses what only one may use."""
    if not key:
        raise PlanFault(path, "it is empty", "Fill it in")
    if key in path_by_key:
        first = path_by_key[key]
        raise PlanFault(path, f"duplicate of {first}", "Make the two differ, or remove one seat")
    path_by_key[key] = path
