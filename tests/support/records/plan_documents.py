"""Builds seating plans in the pretix format, whole and faulty."""

import json
import math
from typing import Any

from hypothesis import strategies as st

PITCH = 20


def plan(*zones: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "Hall",
        "categories": [{"name": "A", "color": "#fff"}, {"name": "B", "color": "#000"}],
        "zones": list(zones),
        "size": {"width": 100, "height": 100},
    }


def zone(zone_id: str, *rows: dict[str, Any], name: str = "Zone") -> dict[str, Any]:
    return {"zone_id": zone_id, "name": name, "position": {"x": 5, "y": 5}, "rows": list(rows)}


def row(label: str, *seats: dict[str, Any]) -> dict[str, Any]:
    return {"row_number": label, "position": {"x": 0, "y": 0}, "seats": list(seats)}


def seat(guid: str, number: str, x: float, y: float = 0, category: str = "A") -> dict[str, Any]:
    return {
        "seat_guid": guid,
        "seat_number": number,
        "uuid": f"u-{guid}",
        "position": {"x": x, "y": y},
        "category": category,
        "radius": 8,
    }


def straight_row(zone_id: str, label: str, pattern: str) -> dict[str, Any]:
    """Return a row as drawn: `x` is a seat, a space is a place without one."""
    places = [at for at, character in enumerate(pattern) if character == "x"]
    return row(
        label,
        *(
            seat(f"{zone_id}-{label}-{number}", str(number), at * PITCH)
            for number, at in enumerate(places, start=1)
        ),
    )


def content(document: Any) -> bytes:
    return json.dumps(document).encode()


@st.composite
def row_patterns(draw: st.DrawFn) -> str:
    """Draw rows whose gaps are few enough that most neighbours stand side by side."""
    blocks = draw(st.lists(st.integers(3, 12), min_size=1, max_size=4))
    gaps = draw(st.lists(st.integers(1, 3), min_size=len(blocks), max_size=len(blocks)))
    return "".join("x" * seats + " " * gap for seats, gap in zip(blocks, gaps, strict=True))


def aisles_of(pattern: str) -> tuple[int, ...]:
    """Return the seat indexes that follow a gap, counted character by character."""
    aisles = []
    seats = 0
    for at, character in enumerate(pattern.rstrip()):
        if character == "x":
            if seats and pattern[at - 1] == " ":
                aisles.append(seats)
            seats += 1
    return tuple(aisles)


halls = st.lists(st.lists(row_patterns(), min_size=1, max_size=4), min_size=1, max_size=4)


def hall(patterns: list[list[str]]) -> dict[str, Any]:
    """Return a plan in which each pattern of `straight_row` is a row, and each list a zone."""
    return plan(
        *(
            zone(f"Z{z}", *(straight_row(f"Z{z}", f"{r}", p) for r, p in enumerate(rows)))
            for z, rows in enumerate(patterns)
        )
    )


def around(count: int, radius: float = 40.0) -> list[tuple[float, float]]:
    """Return the places of seats at a round table."""
    turn = 2 * math.pi / count
    return [(radius * math.sin(turn * n), -radius * math.cos(turn * n)) for n in range(count)]
