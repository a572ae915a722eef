"""The choice of `state.domain.carts.splitting`, run by run: slower, and easier to read.

It looks at every run of every row, and knows of no row what it may give before it has looked.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from state.domain.allocation import best_available
from state.domain.layout import OrphanRule, SeatRange
from state.domain.reasons import Reason
from state.domain.section import Section

# Bit s: so many seats can be had in so many pieces, for each number of pieces from 0.
_Sums = list[int]

_NOTHING_TAKEN: Final = 1


def in_pieces(section: Section, count: int) -> list[SeatRange] | Reason:
    """Choose `count` free seats in as few pieces as can be, front first; or why there are none.

    count: 1 .. SEATS_PER_HOLD_MAX; the section's own limit is the caller's business.
    Refuses with SOLD_OUT, or (strict orphan rule only) ORPHAN_SEAT.
    """
    found = best_available(section, count)
    if not isinstance(found, Reason):
        return [SeatRange(*found, count)]
    if found is Reason.SOLD_OUT:
        return found
    rule = section.rules.orphan_rule
    is_strict = rule is OrphanRule.STRICT
    rows = _runs(section)
    lengths = [Counter(_capped(run, count) for run in runs) for runs in rows]
    whole = sum(lengths, Counter[int]())
    for pieces in range(2, count + 1):
        if _can(whole, pieces, count, is_strict):
            first, last = _nearest(lengths, pieces, count, is_strict)
            near = [run for runs in rows[first : last + 1] for run in runs]
            return _chosen(near, pieces, count, rule)
    return Reason.ORPHAN_SEAT


def as_many_in_pieces(section: Section, count: int) -> list[SeatRange] | Reason:
    """Choose as many as can be had of `count` free seats, or why there is none; as `in_pieces`."""
    found: list[SeatRange] | Reason = Reason.SOLD_OUT
    for fewer in range(count, 0, -1):
        found = in_pieces(section, fewer)
        if not isinstance(found, Reason):
            break
    return found


def _runs(section: Section) -> list[list[SeatRange]]:
    """Return the runs of adjacent free seats of each row."""
    return [section.layout.ranges(row, free) for row, free in enumerate(section.rows)]


def _capped(run: SeatRange, count: int) -> int:
    """Return a run's length, as far as it matters: all longer ones give what this one gives."""
    return min(run.seat_count, count + 2)


def _takes(length: int, least: int, most: int, is_clean: bool) -> list[int]:
    """Return how many seats from its beginning a run may give, the most first."""
    return [
        take
        for take in range(min(length, most), least - 1, -1)
        if not (is_clean and take == length - 1)
    ]


def _can(lengths: Counter[int], pieces: int, count: int, is_clean: bool) -> bool:
    """Say whether runs of these lengths give so many seats in exactly so many pieces."""
    # More runs of one length than there are pieces are no more than these.
    useful = [(length, min(lengths[length], pieces)) for length in sorted(lengths, reverse=True)]
    runs = [length for length, number in useful for _ in range(number)]
    if len(runs) < pieces or sum(runs[:pieces]) < count:
        return False
    if not is_clean:
        return True
    sums = [_NOTHING_TAKEN] + [0] * pieces
    for length in runs:
        sums = _with(sums, _takes(length, 1, count, is_clean))
        if sums[pieces] >> count & 1:
            return True
    return False


def _with(sums: _Sums, takes: Sequence[int]) -> _Sums:
    """Return what can be had where a run may give one of these as well."""
    more = list(sums)
    for pieces, had in enumerate(sums[:-1]):
        for take in takes:
            more[pieces + 1] |= had << take
    return more


def _nearest(
    lengths: Sequence[Counter[int]], pieces: int, count: int, is_clean: bool
) -> tuple[int, int]:
    """Return the first and last of the fewest rows beside each other that have it; frontmost."""
    best = 0, len(lengths) - 1
    near = Counter[int]()
    last = -1
    for first, of_row in enumerate(lengths):
        while not _can(near, pieces, count, is_clean):
            last += 1
            if last == len(lengths):
                return best
            near += lengths[last]
        if last - first < best[1] - best[0]:
            best = first, last
        near -= of_row
    return best


def _chosen(
    runs: Sequence[SeatRange], pieces: int, count: int, rule: OrphanRule
) -> list[SeatRange]:
    """Choose pieces from runs that are known to have them."""
    cleans = {OrphanRule.STRICT: (True,), OrphanRule.PREFER: (True, False)}.get(rule, (False,))
    for is_clean in cleans:
        for least in range(count // pieces, 0, -1):
            found = _frontmost(runs, pieces, count, least, is_clean)
            if found:
                return found
    raise AssertionError("rows were said to have it")


def _frontmost(
    runs: Sequence[SeatRange], pieces: int, count: int, least: int, is_clean: bool
) -> list[SeatRange]:
    """Choose the first pieces of at least so many seats; nothing where they do not do."""
    takes = [_takes(run.seat_count, least, count, is_clean) for run in runs]
    # What the runs from each on can give.
    from_here = [[_NOTHING_TAKEN] + [0] * pieces]
    for of_run in reversed(takes):
        from_here.append(_with(from_here[-1], of_run))
    from_here.reverse()
    if not from_here[0][pieces] >> count & 1:
        return []
    found: list[SeatRange] = []
    for run, of_run, beyond in zip(runs, takes, from_here[1:], strict=True):
        fits = (
            take
            for take in of_run
            if pieces and take <= count and beyond[pieces - 1] >> (count - take) & 1
        )
        take = next(fits, 0)
        if take:
            found.append(SeatRange(run.row, run.first, take))
            pieces, count = pieces - 1, count - take
    return found
