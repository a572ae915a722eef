"""Builds seating plans in the pretix format, whole and faulty."""

import json
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
