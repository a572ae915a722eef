"""A partition's whole state in; the first thing in it that cannot be, out.

Asked when deciding failed: what is wrong with the state is no fault of the record that met it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from state.domain.keys import (
    BLOCKED,
    LAYOUT,
    PROGRESS_KEY,
    RESERVATION,
    SECTION,
    may_store,
    section_key,
)
from state.domain.layout import range_masks
from state.domain.open_section import KnownSection
from state.domain.reservation import Reservation, Status
from state.records.reservation import read_reservation
from state.records.seat_codecs import SeatCodecs
from state.records.section import read_blocked, read_section
from streams.folding.progress import read_progress

Contradiction = Callable[[Iterable[tuple[bytes, bytes]], int, int], str]

_HOLDS = {
    int(Status.HELD): "held",
    # Nobody else gets its seats, and they are not sold.
    int(Status.PAYING): "held",
    int(Status.SOLD): "sold",
}


class _Seats:
    """The seats that the reservations of one section have: row -> mask, and how many by status."""

    __slots__ = ("counts", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, int] = defaultdict(int)
        self.counts = dict.fromkeys(_HOLDS.values(), 0)

    def add(self, held: Reservation) -> bool:
        """Add a reservation's seats; say whether nobody had one of them."""
        alone = True
        for row, mask in range_masks(held.seats):
            alone = alone and not self.rows[row] & mask
            self.rows[row] |= mask
            self.counts[_HOLDS[held.status]] += mask.bit_count()
        return alone


def contradiction(codecs: SeatCodecs) -> Contradiction:
    """Return what says, of (items, partition, partitions), what cannot be; empty for nothing.

    items: every key with its payload, by ascending key.
    """

    def find(items: Iterable[tuple[bytes, bytes]], partition: int, partitions: int) -> str:
        layouts: dict[bytes, bytes] = {}
        blocked: dict[bytes, bytes] = {}
        taken: dict[bytes, _Seats] = defaultdict(_Seats)
        key = b""
        try:
            # By ascending key: what is blocked, layouts, reservations, and then the sections.
            for key, payload in items:
                tag, rest = key[:1], key[1:]
                if not may_store(key, partition, partitions):
                    return f"{key!r} has no place in partition {partition}"
                if tag == BLOCKED:
                    blocked[rest] = payload
                elif tag == LAYOUT:
                    layouts[rest] = payload
                elif key == PROGRESS_KEY:
                    read_progress(payload)
                elif tag == RESERVATION:
                    held = read_reservation(codecs, payload)
                    section = section_key(held.event_id, held.section_id.decode())
                    if held.reservation_id != rest:
                        return f"{key!r} holds another reservation"
                    if held.status in _HOLDS and not taken[section].add(held):
                        return f"a seat of {key!r} is another reservation's too"
                elif tag == SECTION:
                    known = read_section(codecs, rest, layouts.pop(rest), payload)
                    seats = taken.pop(rest, None) or _Seats()
                    why = _of_section(codecs, known, seats, blocked.pop(rest, None))
                    if why:
                        return f"section {rest!r}: {why}"
        except Exception as error:  # noqa: BLE001  (whatever it is, it cannot be read)
            return f"{key!r} cannot be read: {error!r}"
        for half in (layouts, blocked, taken):
            if half:
                return f"section {next(iter(half))!r} has no state, but other records"
        return ""

    return find


def _of_section(
    codecs: SeatCodecs, known: KnownSection, seats: _Seats, blocked: bytes | None
) -> str:
    """Compare a section with what its reservations and its blocked seats say."""
    section = known.section
    layout = section.layout
    rows = read_blocked(codecs, layout, blocked)
    for number, free in enumerate(section.rows):
        taken = seats.rows.pop(number, 0)
        whole = (1 << layout.seat_counts[number]) - 1
        if free & taken or free & rows[number] or taken & rows[number]:
            return f"a seat of row {number} is free, taken or blocked at once"
        if free | taken | rows[number] != whole:
            return f"a seat of row {number} is nobody's, and not free"
    if seats.rows:
        return "a reservation has seats in a row that is not there"
    if seats.counts != {"held": section.held_count, "sold": section.sold_count}:
        return (
            f"{section.held_count} held and {section.sold_count} sold, "
            f"but its reservations have {seats.counts}"
        )
    return ""
