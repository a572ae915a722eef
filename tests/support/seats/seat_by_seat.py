"""The rules of allocation once more, seat by seat over characters: slow, plain, independent.

A row is its text (`.` free, `x` taken, `|` an aisle); nothing here knows of bits or indexes.
"""

from collections.abc import Iterator

PREFER, STRICT, OFF = "PREFER", "STRICT", "OFF"


def seats_of(line: str) -> list[str]:
    return [mark for mark in line if mark != "|"]


def blocks_of(line: str) -> Iterator[list[int]]:
    """Yield the seat indexes between aisles, block by block."""
    at = 0
    for block in line.split("|"):
        yield list(range(at, at + len(block)))
        at += len(block)


def lonely(line: str) -> set[int]:
    """Return the free seats whose neighbours in their block are all taken."""
    seats = seats_of(line)
    found = set()
    for block in blocks_of(line):
        for seat in block:
            near = [other for other in (seat - 1, seat + 1) if other in block]
            if seats[seat] == "." and all(seats[other] != "." for other in near):
                found.add(seat)
    return found


def with_taken(line: str, taken: list[int]) -> str:
    """Return the row after these seats were taken."""
    seat = -1
    marks = []
    for mark in line:
        if mark != "|":
            seat += 1
        marks.append("x" if mark != "|" and seat in taken else mark)
    return "".join(marks)


def places(line: str, count: int) -> list[int]:
    """Return the first seats of every place for `count` adjacent free seats, lowest first."""
    seats = seats_of(line)
    return sorted(
        block[at]
        for block in blocks_of(line)
        for at in range(len(block) - count + 1)
        if all(seats[seat] == "." for seat in block[at : at + count])
    )


def leaves_single(line: str, first: int, count: int) -> bool:
    after = with_taken(line, list(range(first, first + count)))
    return bool(lonely(after) - lonely(line))


def best(lines: list[str], count: int, rule: str) -> tuple[int, int] | str:
    """Return (row, first seat) of the best place, or the name of the reason."""
    if sum(line.count(".") for line in lines) < count:
        return "SOLD_OUT"
    fitting = [(row, places(line, count)) for row, line in enumerate(lines)]
    fitting = [(row, firsts) for row, firsts in fitting if firsts]
    if not fitting:
        return "NO_ADJACENT_SEATS"
    plain = fitting[0][0], fitting[0][1][0]
    if rule == OFF:
        return plain
    for row, firsts in fitting if rule == STRICT else fitting[:4]:
        for first in firsts:
            if not leaves_single(lines[row], first, count):
                return row, first
    return "ORPHAN_SEAT" if rule == STRICT else plain


def chosen(
    lines: list[str], wanted: list[tuple[int, int]], rule: str
) -> tuple[str, tuple[int, int] | None] | None:
    """Return (reason, seat to blame), or None where the seats may be held."""
    for at, (row, seat) in enumerate(wanted):
        exists = 0 <= row < len(lines) and 0 <= seat < len(seats_of(lines[row]))
        if not exists or (row, seat) in wanted[:at]:
            return "UNKNOWN_SEAT", (row, seat)
    if sum(line.count(".") for line in lines) < len(wanted):
        return "SOLD_OUT", None
    for row, seat in wanted:
        if seats_of(lines[row])[seat] != ".":
            return "SEAT_TAKEN", (row, seat)
    if rule == STRICT:
        for row, line in enumerate(lines):
            taken = [seat for in_row, seat in wanted if in_row == row]
            if lonely(with_taken(line, taken)) - lonely(line):
                return "ORPHAN_SEAT", None
    return None


def longest(lines: list[str]) -> int:
    """Return the most adjacent free seats in one row."""
    runs = [run for line in lines for block in line.split("|") for run in block.split("x")]
    return max(map(len, runs))
