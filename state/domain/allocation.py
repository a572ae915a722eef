"""Which seats a request gets. Decides only; the caller applies it with `Section.take`.

Rows are searched front first, and a row is one integer, so a search never looks at single seats.
With x the free seats of a row and J the seats adjacent to the next one:

    pairs   = x & x>>1 & J        bit i: seats i and i+1 are free and adjacent
    triples = pairs & pairs>>1    bit i: so are i, i+1 and i+2
    starts  = x, pairs, triples, then triples & triples>>s ...    bit i: k adjacent seats from i

A block from c leaves a *new* single seat on its left where c-1 is joined to c but not to c-2:
bit c-1 of pairs is set and bit c-2 is not. On its right, where c+k is joined to c+k-1 but not to
c+k+1: bit c+k-1 of pairs is set and bit c+k is not. The last seat of a run of pairs is
`pairs ^ triples`, the first `pairs ^ triples<<1`. Aisles enter through J alone.

The lowest start of a row never has a free neighbour on its left, which would be a start as well;
so only its right side is looked at, and most holds need no more.
"""

from collections.abc import Sequence
from typing import Final

from state.domain.layout import SeatPosition, SeatRange
from state.domain.reasons import Reason
from state.domain.section import Section

# Shifts that turn runs of three into runs of k. A run of n and the one that begins s seats on
# give a run of n + s, where s < n: they must share a seat, or an aisle could lie between them.
_SHIFTS: Final[tuple[tuple[int, ...], ...]] = (
    (),
    (),
    (),
    (),
    (1,),
    (2,),
    (2, 1),
    (2, 2),
    (2, 3),
    (2, 4),
    (2, 4, 1),
    (2, 4, 2),
    (2, 4, 3),
    (2, 4, 4),
    (2, 4, 5),
    (2, 4, 6),
    (2, 4, 7),
)


def best_available(section: Section, count: int) -> tuple[int, int] | Reason:
    """Choose `count` adjacent free seats of one row: (row, first seat), or why there are none.

    count: 1 .. SEATS_PER_HOLD_MAX; the section's own limit is the caller's business.
    Refuses with SOLD_OUT, NO_ADJACENT_SEATS or (strict orphan rule only) ORPHAN_SEAT.
    """
    if count > section.free_count:
        return Reason.SOLD_OUT
    tries = section.lookahead_rows
    if tries is None:
        return _clean_place(section, count)
    candidates = section.candidates[count]
    rows = section.rows
    joins = section.joins
    fallback = None
    # One flat loop, written out where `_starts` would do: this is the path of every hold.
    while candidates:
        lowest = candidates & -candidates
        row = lowest.bit_length() - 1
        free = rows[row]
        pairs = free & free >> 1
        if joins is not None:
            pairs &= joins[row]
        if count == 2:
            starts = pairs
        elif count > 2:
            starts = pairs & pairs >> 1
            if count > 3:
                for shift in _SHIFTS[count]:
                    starts &= starts >> shift
        else:
            starts = free
        if starts:
            first = (starts & -starts).bit_length() - 1
            if not tries:
                return row, first
            if pairs >> (first + count - 1) & 3 != 1:
                return row, first
            good = _good(starts, pairs, count)
            if good:
                return row, (good & -good).bit_length() - 1
            if fallback is None:
                fallback = row, first
            tries -= 1
            if not tries:
                return fallback
        else:
            section.unlist(row, count)
        candidates ^= lowest
    return fallback or Reason.NO_ADJACENT_SEATS


def _clean_place(section: Section, count: int) -> tuple[int, int] | Reason:
    """Choose the first place in the section that leaves no new single seat."""
    while candidates := section.clean[count]:
        row = (candidates & -candidates).bit_length() - 1
        starts, pairs = _starts(section, row, count)
        good = _good(starts, pairs, count)
        if good:
            return row, (good & -good).bit_length() - 1
        section.unlist_clean(row, count)
    while candidates := section.candidates[count]:
        row = (candidates & -candidates).bit_length() - 1
        if _starts(section, row, count)[0]:
            return Reason.ORPHAN_SEAT
        section.unlist(row, count)
    return Reason.NO_ADJACENT_SEATS


def _starts(section: Section, row: int, count: int) -> tuple[int, int]:
    """Return (seats from which `count` adjacent ones are free, pairs of the row)."""
    free = section.rows[row]
    pairs = free & free >> 1
    if section.joins is not None:
        pairs &= section.joins[row]
    starts = (free, pairs, pairs & pairs >> 1)[min(count, 3) - 1]
    for shift in _SHIFTS[count]:
        starts &= starts >> shift
    return starts, pairs


def _good(starts: int, pairs: int, count: int) -> int:
    """Return those of `starts` that leave no new single seat on either side."""
    triples = pairs & pairs >> 1
    bad_left = (pairs ^ triples << 1) << 1
    bad_right = (pairs ^ triples) >> (count - 1)
    return starts & ~(bad_left | bad_right)


def chosen(
    section: Section, seats: Sequence[tuple[int, int]]
) -> list[SeatRange] | tuple[Reason, SeatPosition | None]:
    """Choose exactly these seats: their ranges, row by row, or why not and which seat is to blame.

    seats: (row, seat) in the buyer's order, at least one.
    Refuses with UNKNOWN_SEAT (no such seat, or listed twice), SOLD_OUT, SEAT_TAKEN, or (strict
    orphan rule only, no seat to blame) ORPHAN_SEAT.
    """
    contains = section.layout.contains
    wanted: dict[int, int] = {}
    for row, seat in seats:
        if not contains(row, seat) or wanted.get(row, 0) >> seat & 1:
            return Reason.UNKNOWN_SEAT, SeatPosition(row, seat)
        wanted[row] = wanted.get(row, 0) | 1 << seat
    if len(seats) > section.free_count:
        return Reason.SOLD_OUT, None
    rows = section.rows
    for row, seat in seats:
        if not rows[row] >> seat & 1:
            return Reason.SEAT_TAKEN, SeatPosition(row, seat)
    if section.lookahead_rows is None:
        for row, mask in wanted.items():
            if _singles(section, row, rows[row] & ~mask) & ~_singles(section, row, rows[row]):
                return Reason.ORPHAN_SEAT, None
    return [part for row in sorted(wanted) for part in section.layout.ranges(row, wanted[row])]


def _singles(section: Section, row: int, free: int) -> int:
    """Return the seats of `free` that have no free adjacent neighbour."""
    pairs = free & free >> 1
    if section.joins is not None:
        pairs &= section.joins[row]
    return free & ~(pairs | pairs << 1)
