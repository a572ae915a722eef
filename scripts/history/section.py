"""A section as its changelog has it: layout, seats, and who has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.auditing.oracle.seats import Place, places_of
from scripts.history.timeline import BLOCKED, FREE, Seat, Use

Fields = dict[str, Any]

_USES = {"HELD": Use.HELD, "PAYING": Use.PAYING, "SOLD": Use.SOLD}


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows of a section as its layout record has them."""

    rows: list[Fields]

    def places(self) -> list[Place]:
        """Return every seat, front row first."""
        return [
            (number, seat)
            for number, row in enumerate(self.rows)
            for seat in range(row["seatCount"])
        ]

    def aisles(self) -> dict[int, frozenset[int]]:
        """Return the indexes of seats behind an aisle, by row."""
        return {number: frozenset(row["aisles"]) for number, row in enumerate(self.rows)}

    def label(self, place: Place) -> str:
        """Return a seat as its ticket names it: row label and seat label."""
        row = self.rows[place[0]]
        return f"{row['label'] or place[0]}/{self.seat_label(place)}"

    def seat_label(self, place: Place) -> str:
        """Return the label of a seat in its row."""
        row, seat = self.rows[place[0]], place[1]
        if row["seatLabels"]:
            return str(row["seatLabels"][seat])
        return str(row["firstNumber"] + seat * row["numberStep"])

    def find(self, row: str, seat: str) -> list[Place]:
        """Return the seats that labels name; `@2` names a row or seat by its index."""
        return [
            place
            for place in self.places()
            if _is_named(row, self.rows[place[0]]["label"], place[0])
            and _is_named(seat, self.seat_label(place), place[1])
        ]


def _is_named(said: str, label: str, index: int) -> bool:
    return said == f"@{index}" if said.startswith("@") else said == label


def bits_of(layout: Layout, bitmap: bytes) -> set[Place]:
    """Return the seats whose bit is set; each row is rounded up to a byte."""
    found, at = set(), 0
    for number, row in enumerate(layout.rows):
        size = (row["seatCount"] + 7) // 8
        bits = int.from_bytes(bitmap[at : at + size], "little")
        found |= {(number, seat) for seat in range(row["seatCount"]) if bits >> seat & 1}
        at += size
    return found


def present_seats(
    layout: Layout, state: Fields, blocked: bytes, reservations: Iterable[Fields]
) -> Mapping[Place, Seat]:
    """Return how each seat stands by the state.

    blocked:      bitmap of blocked seats, empty where none was ever blocked.
    reservations: those of the section.
    """
    free, closed = bits_of(layout, state["free"]), bits_of(layout, blocked)
    held = {
        place: Seat(_USES[one["status"]], one["request"]["reservationId"])
        for one in reservations
        if one["status"] in _USES
        for place in places_of(one["seats"])
    }
    return {
        place: FREE if place in free else BLOCKED if place in closed else held.get(place, _TAKEN)
        for place in layout.places()
    }


_TAKEN = Seat(Use.HELD, "?")
"""A seat that is neither free nor blocked, and whose reservation is not to be had."""
