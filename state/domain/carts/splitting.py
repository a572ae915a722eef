"""Which seats a party gets that fits into no block: in few pieces, near each other.

A piece is a run of adjacent free seats, or the beginning of one. What is chosen has, in order,

1. as few pieces as can be;
2. as few rows from the first to the last of them as can be;
3. the frontmost such rows;
4. under the rule PREFER no new single seat beside it, if that can be; under STRICT never one;
5. nobody more alone than need be: the smallest piece is as large as can be;
6. the frontmost runs, and of these the first ones as long as can be.

To begin a run costs nothing: a piece in its middle leaves as much of it, and may leave a single
seat on two sides. For the same reason two pieces of one run do no more than one.

How many runs of which length there are decides 1, 2, 4 and 5. So rows are counted first, by bits,
and only those that may give a piece are looked at run by run (`tests/support/seats` has the search
that says what it does).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from state.domain.allocation import best_available
from state.domain.layout import SEATS_PER_HOLD_MAX, OrphanRule, SeatRange
from state.domain.reasons import Reason
from state.domain.section import Section

# How many runs have at least 1 seat, at least 2 and so on, up to `_LONGEST`; of a row, as far as
# there are any.
_Runs = Sequence[int]

# Bit s: so many seats can be had in so many pieces, for each number of pieces from 0.
_Sums = list[int]

_LONGEST: Final = SEATS_PER_HOLD_MAX + 2
"""Of runs with more seats each gives what one of these gives, and may leave a single seat."""

_NOTHING_TAKEN: Final = 1


def in_pieces(section: Section, count: int) -> list[SeatRange] | Reason:
    """Choose `count` free seats in as few pieces as can be, front first; or why there are none.

    count: 1 .. SEATS_PER_HOLD_MAX; the section's own limit is the caller's business.
    Refuses with SOLD_OUT, or (strict orphan rule only) ORPHAN_SEAT.
    """
    found = best_available(section, count)
    if not isinstance(found, Reason):
        return [SeatRange(*found, count)]
    return found if found is Reason.SOLD_OUT else _parted(section, count, _runs(section))


def as_many_in_pieces(section: Section, count: int) -> list[SeatRange] | Reason:
    """Choose as many as can be had of `count` free seats, or why there is none; as `in_pieces`."""
    rows: list[_Runs] = []
    for fewer in range(min(count, section.free_count), 0, -1):
        found = best_available(section, fewer)
        if not isinstance(found, Reason):
            return [SeatRange(*found, fewer)]
        rows = rows or _runs(section)
        parted = _parted(section, fewer, rows)
        if not isinstance(parted, Reason):
            return parted
    return Reason.ORPHAN_SEAT if section.free_count else Reason.SOLD_OUT


def _parted(section: Section, count: int, rows: Sequence[_Runs]) -> list[SeatRange] | Reason:
    """Choose seats where no run has them all; rows: the runs of each."""
    rule = section.rules.orphan_rule
    is_strict = rule is OrphanRule.STRICT
    whole = [0] * _LONGEST
    for of_row in rows:
        _add(whole, of_row)
    for pieces in range(2, count + 1):
        if _can(whole, pieces, count, 1, is_strict):
            near = _nearest(rows, pieces, count, is_strict)
            return _chosen(section, rows, near, pieces, count)
    return Reason.ORPHAN_SEAT


def _runs(section: Section) -> list[_Runs]:
    """Return how many runs of adjacent free seats each row has, by their lengths."""
    joins = section.joins
    rows: list[_Runs] = []
    for row, free in enumerate(section.rows):
        pairs = free & free >> 1
        if joins is not None:
            pairs &= joins[row]
        # Where a run begins that has at least one seat, two seats ...
        begins = free & ~(pairs << 1)
        of_row: list[int] = []
        while begins and len(of_row) < _LONGEST:
            begins_longer = begins & pairs >> len(of_row)
            of_row.append(begins.bit_count())
            begins = begins_longer
        rows.append(of_row)
    return rows


def _add(runs: list[int], others: _Runs) -> None:
    for length, number in enumerate(others):
        runs[length] += number


def _take_away(runs: list[int], others: _Runs) -> None:
    for length, number in enumerate(others):
        runs[length] -= number


def _can(runs: _Runs, pieces: int, count: int, least: int, is_clean: bool) -> bool:
    """Say whether runs give so many seats in exactly so many pieces of at least so many."""
    if not pieces:
        return not count
    if runs[least - 1] < pieces or count < pieces * least:
        return False
    # The longest runs, as many as there are pieces, have so many seats.
    had = 0
    for number in runs:
        # Twice as fast as `min`, in what is asked most often.
        had += number if number < pieces else pieces  # noqa: FURB136
        if had >= count:
            break
    else:
        return False
    if not is_clean:
        return True
    # More runs of one length than there are pieces are no more than these.
    numbers = [
        min(longer - longest, pieces) for longer, longest in zip(runs, (*runs[1:], 0), strict=True)
    ]
    return _can_cleanly(tuple(numbers), pieces, count, least)


@lru_cache(maxsize=4096)
def _can_cleanly(numbers: tuple[int, ...], pieces: int, count: int, least: int) -> bool:
    """Say so where no run may keep a single seat; numbers: of runs of exactly 1, 2 .. seats."""
    sums = [_NOTHING_TAKEN] + [0] * pieces
    for length in range(len(numbers), 0, -1):
        takes = _takes(length, least, count, is_clean=True)
        for _ in range(numbers[length - 1]):
            sums = _with(sums, takes)
            if sums[pieces] >> count & 1:
                return True
    return False


def _takes(length: int, least: int, most: int, *, is_clean: bool) -> list[int]:
    """Return how many seats from its beginning a run may give, the most first."""
    return [
        take
        for take in range(min(length, most), least - 1, -1)
        if not (is_clean and take == length - 1)
    ]


def _with(sums: _Sums, takes: Sequence[int]) -> _Sums:
    """Return what can be had where a run may give one of these as well."""
    more = list(sums)
    for pieces, had in enumerate(sums[:-1]):
        for take in takes:
            more[pieces + 1] |= had << take
    return more


def _nearest(rows: Sequence[_Runs], pieces: int, count: int, is_clean: bool) -> range:
    """Return the fewest rows beside each other that have it; frontmost."""
    best = range(len(rows))
    near = [0] * _LONGEST
    last = -1
    for first, of_row in enumerate(rows):
        if not of_row:
            continue
        while not _can(near, pieces, count, 1, is_clean):
            last += 1
            if last == len(rows):
                return best
            _add(near, rows[last])
        if last - first + 1 < len(best):
            best = range(first, last + 1)
            if len(best) == 1:
                break
        _take_away(near, of_row)
    return best


def _chosen(
    section: Section, rows: Sequence[_Runs], near: range, pieces: int, count: int
) -> list[SeatRange]:
    """Choose pieces from rows that are known to have them."""
    runs = [0] * _LONGEST
    for row in near:
        _add(runs, rows[row])
    rule = section.rules.orphan_rule
    cleans = {OrphanRule.STRICT: (True,), OrphanRule.PREFER: (True, False)}.get(rule, (False,))
    for is_clean in cleans:
        for least in range(count // pieces, 0, -1):
            if _can(runs, pieces, count, least, is_clean):
                wish = pieces, count, least, is_clean
                return _frontmost(section, rows, near, runs, wish)
    raise AssertionError("rows were said to have it")


def _frontmost(
    section: Section,
    rows: Sequence[_Runs],
    near: range,
    beyond: list[int],
    wish: tuple[int, int, int, bool],
) -> list[SeatRange]:
    """Choose the first pieces of these rows that do.

    beyond: the runs of all these rows, which give the wish; it is spent.
    wish:   pieces, seats, seats of the smallest piece, and whether no single seat may be left.
    """
    pieces, count, least, is_clean = wish
    found: list[SeatRange] = []

    def given(length: int) -> int:
        """Return the most that a run gives so that the runs beyond give the rest; 0 for none."""
        takes = _takes(length, least, count, is_clean=is_clean)
        return next(
            (take for take in takes if _can(beyond, pieces - 1, count - take, least, is_clean)), 0
        )

    for row in near:
        # With its own runs beyond it a row gives rather more, so most need no look.
        if not any(given(length) for length in range(least, len(rows[row]) + 1)):
            _take_away(beyond, rows[row])
            continue
        for run in section.layout.ranges(row, section.rows[row]):
            length = min(run.seat_count, _LONGEST)
            _take_away(beyond, (1,) * length)
            take = given(length)
            if take:
                found.append(SeatRange(run.row, run.first, take))
                pieces, count = pieces - 1, count - take
                if not pieces:
                    return found
    return found
