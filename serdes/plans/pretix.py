"""The public pretix seating-plan format in; sections, rows and seats out.

How the format maps to sections:

- A zone is a section; its id is derived from `zone_id`, or from `name` where there is none. A zone
  without seats (a stage, say) is left out. Two zones with one id are refused.
- Rows keep the order of the file, which is taken as front row first; rows without seats are left
  out.
- Seats are sorted along their row: along the line between its two ends, in the direction in
  which the file lists them. So a bent row works as long as it does not turn back on itself.
- An aisle lies between two seats whose distance is more than 1.6 times the median distance
  of neighbours in their row.
- `seat_guid` names a seat in the whole plan and must be unique; `seat_number` within its row.
- A category must be one of the plan's, or empty.
- Fields that say nothing about seats (colours, areas, radius, uuid, labels' positions) and fields
  unknown to the format are ignored.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import TypeVar

from serdes.plans.fields import Json, objects, position, text, typed
from serdes.plans.layout import (
    SEATS_PER_ROW_MAX,
    PlanFault,
    RowPlan,
    SeatingPlan,
    SeatPlace,
    SectionPlan,
    check_label,
    check_record_size,
    row_of,
    section_id,
    shown,
)

AISLE_PITCHES = 1.6

Point = tuple[float, float]
Key = TypeVar("Key", str, Point)


def read_pretix(document: Json) -> SeatingPlan:
    """Read a whole plan; raises PlanFault at the first fault, in the order of the file."""
    name = text(document, "name", "")
    categories = {text(item, "name", path) for path, item in objects(document, "categories", "")}
    path_by_guid: dict[str, str] = {}
    path_by_section: dict[str, str] = {}
    sections: list[SectionPlan] = []
    place_by_guid: dict[str, SeatPlace] = {}
    for path, zone in objects(document, "zones", ""):
        position(zone, path)
        rows: list[RowPlan] = []
        guids: list[list[str]] = []
        for row_path, row in objects(zone, "rows", path):
            if typed(row.get("seats"), list, f"{row_path}.seats"):
                plan, row_guids = read_row(row, row_path, categories, path_by_guid)
                rows.append(plan)
                guids.append(row_guids)
        if not rows:
            continue
        section = zone_section(zone, path, path_by_section)
        sections.append(SectionPlan(section, str(zone.get("name", section)), tuple(rows), path))
        check_record_size(sections[-1])
        for row_index, row_guids in enumerate(guids):
            for seat_index, guid in enumerate(row_guids):
                place_by_guid[guid] = SeatPlace(section, row_index, seat_index)
    if not sections:
        raise PlanFault("zones", "the plan has no seats", "Add a zone with rows of seats")
    return SeatingPlan(name, tuple(sections), place_by_guid)


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
) -> tuple[RowPlan, list[str]]:
    """Return the row, and the ids of its seats in the same order."""
    label = check_label(text(row, "row_number", path), f"{path}.row_number")
    seats = objects(row, "seats", path)
    if len(seats) > SEATS_PER_ROW_MAX:
        raise PlanFault(
            f"{path}.seats",
            f"{len(seats)} seats, a row has at most {SEATS_PER_ROW_MAX}",
            "Split the row",
        )
    path_by_number: dict[str, str] = {}
    path_by_point: dict[Point, str] = {}
    for seat_path, seat in seats:
        claim(text(seat, "seat_guid", seat_path), f"{seat_path}.seat_guid", path_by_guid)
        number = check_label(text(seat, "seat_number", seat_path), f"{seat_path}.seat_number")
        claim(number, f"{seat_path}.seat_number", path_by_number)
        claim(position(seat, seat_path), f"{seat_path}.position", path_by_point)
        category = text(seat, "category", seat_path)
        if category and category not in categories:
            raise PlanFault(
                f"{seat_path}.category",
                f"{shown(category)} is not a category of the plan",
                "Add it to the plan's categories, or correct the name",
            )
    points = list(path_by_point)
    order = order_along(points)
    ordered = [seats[index][1] for index in order]
    plan = row_of(
        label,
        [seat["seat_number"] for seat in ordered],
        aisles_between([points[index] for index in order]),
        [seat["category"] for seat in ordered],
    )
    return plan, [seat["seat_guid"] for seat in ordered]


def claim(key: Key, path: str, path_by_key: dict[Key, str]) -> None:
    """Remember who uses what only one may use."""
    if not key:
        raise PlanFault(path, "it is empty", "Fill it in")
    if key in path_by_key:
        first = path_by_key[key]
        raise PlanFault(path, f"duplicate of {first}", "Make the two differ, or remove one seat")
    path_by_key[key] = path


def order_along(points: Sequence[Point]) -> list[int]:
    """Return the indexes of the points in their order along the row."""
    # The two ends of a row that does not turn back are a point that lies farthest from any
    # third one, and the point farthest from that.
    left = farthest(points, points[0])
    right = farthest(points, points[left])
    along = (points[right][0] - points[left][0], points[right][1] - points[left][1])
    at = [x * along[0] + y * along[1] for x, y in points]
    across = [y * along[0] - x * along[1] for x, y in points]
    if at[-1] < at[0]:
        at = [-value for value in at]
    return sorted(range(len(points)), key=lambda index: (at[index], across[index]))


def farthest(points: Sequence[Point], start: Point) -> int:
    """Return the index of the point farthest from `start`."""
    return max(range(len(points)), key=lambda index: math.dist(points[index], start))


def aisles_between(points: Sequence[Point]) -> list[int]:
    """Return the indexes of the seats that an aisle separates from the seat before."""
    distances = [math.dist(left, right) for left, right in pairwise(points)]
    if not distances:
        return []
    limit = AISLE_PITCHES * median(distances)
    return [index for index, distance in enumerate(distances, start=1) if distance > limit]
