"""Draws the repository's own arena, and writes it as a plan file in the pretix format.

A round bowl of three tiers around a floor. Rows of a tier are arcs that grow longer to the back.
Aisles run through every block, some seats are missing where a pillar stands, and every other
block numbers its seats in steps of two.
Everything follows from the figures below: the same figures give the same file. A smaller sale
takes whole blocks of it.

    python -m scripts.sale.arena            write scripts/sale/arena.json again
    python -m scripts.sale.arena --check    exit 1 when the file is not what the figures give
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state.domain.layout import Row
from state.plans.reading import read_plan
from state.plans.seating import SeatingPlan, SectionPlan

ARENA = Path(__file__).with_name("arena.json")

PITCH = 22  # distance of neighbouring seats
AISLE = 30  # what an aisle adds to it
DEPTH = 34  # distance of rows
CENTRE = 5200

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tier:
    """A ring of blocks.

    first:     number of the first block; the others follow clockwise.
    radius:    of the front row.
    row_count: rows of the first block; every third block has two rows fewer.
    aisles:    aisles through each block.
    """

    name: str
    first: int
    block_count: int
    radius: int
    row_count: int
    aisles: int


TIERS = (
    Tier("Lower", 101, 24, 2350, 22, 1),
    Tier("Club", 201, 20, 3240, 8, 2),
    Tier("Upper", 301, 30, 3600, 27, 2),
)
FLOOR_BLOCKS = ("A", "B", "C", "D", "E", "F")
# Colour, and the price of a seat in cents.
CATEGORIES = {
    "Floor": ("#c0392b", 18_900),
    "Lower front": ("#d35400", 14_900),
    "Lower": ("#f39c12", 11_900),
    "Lower side": ("#f1c40f", 8_900),
    "Club": ("#8e44ad", 24_900),
    "Upper": ("#2980b9", 5_900),
    "Upper back": ("#7fb3d5", 3_950),
}
CURRENCY = "EUR"
PLAIN_CATEGORY = "Upper back"


def arena() -> dict[str, Any]:
    """Return the plan as a JSON document."""
    zones = [floor_zone(index) for index in range(len(FLOOR_BLOCKS))]
    zones += [tier_zone(tier, index) for tier in TIERS for index in range(tier.block_count)]
    return {
        "name": "Seatstream Arena",
        "categories": [{"name": name, "color": color} for name, (color, _) in CATEGORIES.items()],
        "currency": CURRENCY,
        "prices": {name: amount for name, (_, amount) in CATEGORIES.items()},
        "zones": zones,
        "size": {"width": 2 * CENTRE, "height": 2 * CENTRE},
    }


def floor_zone(index: int) -> dict[str, Any]:
    """Return one of the floor's blocks: straight rows, two columns of blocks."""
    block = FLOOR_BLOCKS[index]
    left = CENTRE - 1150 + (index % 2) * 1250
    front = CENTRE - 1400 + (index // 2) * 900
    rows = []
    for row in range(24):
        # The stage is round: the first rows are shorter towards the middle.
        missing = max(0, 5 - row) if index < 2 else 0
        count = 38 + row % 2 - missing
        start = left + (missing * PITCH if index % 2 else 0)
        points = [
            (start + seat * PITCH + AISLE * (seat >= count // 2), float(front + row * DEPTH))
            for seat in range(count)
        ]
        rows.append(row_document(block, row, points, range(1, count + 1), ["Floor"] * count))
    return zone_document(block, f"Floor {block}", rows)


def tier_zone(tier: Tier, index: int) -> dict[str, Any]:
    """Return one block of a tier: rows on arcs around the centre."""
    block = str(tier.first + index)
    turn = 2 * math.pi / tier.block_count
    row_count = tier.row_count - (2 if index % 3 == 2 else 0)
    rows = []
    for row in range(row_count):
        radius = tier.radius + row * DEPTH
        # A gangway of two seats' width lies between a block and the next.
        length = turn * radius - 2 * PITCH - tier.aisles * AISLE
        count = int(length / PITCH)
        points = list(arc(radius, index * turn, count, tier.aisles))
        categories = [category(tier, index, row, seat, count) for seat in range(count)]
        step = 1 + index % 2
        numbers = list(range(1, 1 + count * step, step))
        if tier.name == "Upper" and index % 4 == 1 and row in {9, 10}:
            pillar = slice(count // 2 + 3, count // 2 + 5)
            del points[pillar], numbers[pillar], categories[pillar]
        rows.append(row_document(block, row, points, numbers, categories))
    return zone_document(block, f"{tier.name} {block}", rows)


def arc(radius: int, angle: float, count: int, aisles: int) -> Iterator[Point]:
    """Yield the seats of one row, clockwise."""
    for seat in range(count):
        passed = sum(seat >= (aisle + 1) * count // (aisles + 1) for aisle in range(aisles))
        at = angle + (PITCH + seat * PITCH + passed * AISLE) / radius
        yield CENTRE + radius * math.sin(at), CENTRE - radius * math.cos(at)


def category(tier: Tier, index: int, row: int, seat: int, count: int) -> str:
    """Return the price category of one seat."""
    if tier.name == "Upper":
        return "Upper" if row < 12 else "Upper back"
    if tier.name == "Club":
        return "Club"
    if index % 6 == 0 and (seat < 4 or seat >= count - 4):
        return "Lower side"
    return "Lower front" if row < 6 else "Lower"


def row_document(
    block: str, row: int, points: Sequence[Point], numbers: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Return one row: where its seats stand, their numbers and the names of their categories."""
    label = str(row + 1)
    return {
        "row_number": label,
        "row_number_position": "both",
        "position": {"x": 0, "y": 0},
        "seats": [
            {
                "seat_guid": f"{block}-{label}-{number}",
                "seat_number": str(number),
                "position": {"x": round(x), "y": round(y)},
                "category": name,
            }
            for (x, y), number, name in zip(points, numbers, names, strict=True)
        ],
    }


def zone_document(block: str, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one zone."""
    return {
        "name": name,
        "zone_id": block,
        "position": {"x": 0, "y": 0},
        "rows": rows,
        "areas": [],
    }


def arena_bytes() -> bytes:
    """Return the plan file: one line a zone, so that a change shows in a diff."""
    plan = arena()
    zones = plan.pop("zones")
    head = json.dumps(plan, separators=(",", ":"))[:-1]
    lines = ",\n".join(json.dumps(zone, separators=(",", ":")) for zone in zones)
    return f'{head},"zones":[\n{lines}\n]}}\n'.encode()


def demo_plan(seats: int | None) -> SeatingPlan:
    """Return the arena that is sold, or so many seats of it."""
    return part_of(read_plan(ARENA), seats)


def part_of(arena: SeatingPlan, seats: int | None) -> SeatingPlan:
    """Return an arena, or so many seats: whole blocks of it, and plain ones for the rest."""
    if seats is None or seats == arena.seat_count:
        return arena
    sections: list[SectionPlan] = []
    left = seats
    for section in arena.sections:
        if section.seat_count <= left:
            sections.append(section)
            left -= section.seat_count
    number = 0
    while left:
        number += 1
        size = min(left, 1_000)
        sizes = [25] * (size // 25) + [size % 25] * (size % 25 > 0)
        rows = tuple(
            Row(str(row), seats, category=PLAIN_CATEGORY) for row, seats in enumerate(sizes, 1)
        )
        name = f"X{number}"
        prices = arena.prices.of([PLAIN_CATEGORY])
        sections.append(SectionPlan(name, name, rows, name, prices=prices))
        left -= size
    return SeatingPlan(
        f"{arena.name}, {seats} seats", tuple(sections), {}, arena.categories, (), arena.prices
    )


def main(arguments: list[str]) -> int:
    """Write the file, or compare it."""
    content = arena_bytes()
    if arguments == ["--check"]:
        return 0 if ARENA.read_bytes() == content else 1
    ARENA.write_bytes(content)
    print(f"{ARENA.name}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
