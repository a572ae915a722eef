"""Seats and sections as the oracle sees them: lists, looked through from the first seat on.

A seat is None while free, BLOCKED, or the id of the reservation that has it. What is asked of each
row again and again is searched in the row as a text; tests compare that with a look at each seat.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

# A list of the world's, not a rule of ours: the one thing shared with what is judged.
from state.domain.money import MINOR_DIGITS

Command = dict[str, Any]
Place = tuple[int, int]  # row, seat
Counts = tuple[int, int, int, int, int]  # timestamp, version, free, held, largest block

BLOCKED = ""
FREE, TAKEN, AISLE = b".", b"x", b"|"
AS_BITS = bytes.maketrans(FREE + TAKEN, b"10")
LOOKAHEAD_ROWS = 4
TIME_MS_MAX = 253_402_300_799_999
HOLD_MS_MAX = 30 * 86_400_000
PAYMENT_MS_MAX = 23 * 3_600_000
AMOUNT_MAX = 10**12 - 1


@dataclass(slots=True)
class Row:
    """Seats of one row, and the indexes that an aisle separates from the seat before.

    longest: seats of its longest run of adjacent free ones.
    """

    seats: list[str | None]
    aisles: frozenset[int]
    longest: int = field(init=False)
    # A character for each seat, and one before each that an aisle is before; `_at`: of each seat.
    _text: bytearray = field(init=False, repr=False)
    _at: Sequence[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        aisles = sorted(self.aisles)
        seats = range(len(self.seats))
        self._at = [seat + bisect_right(aisles, seat) for seat in seats] if aisles else seats
        signs = [FREE if holder is None else TAKEN for holder in self.seats]
        self._text = bytearray().join(signs)
        for aisle in reversed(aisles):
            self._text[aisle:aisle] = AISLE
        self.measure()

    def give(self, seat: int, holder: str | None) -> None:
        """Hand a seat to a holder, or back (None); `measure` it when all of them are."""
        self.seats[seat] = holder
        self._text[self._at[seat]] = ord(FREE if holder is None else TAKEN)

    def free(self, seat: int) -> bool:
        """Say whether the seat exists and is free."""
        return 0 <= seat < len(self.seats) and self.seats[seat] is None

    def joined(self, left: int) -> bool:
        """Say whether no aisle lies between this seat and the next."""
        return left + 1 not in self.aisles

    def places(self, count: int) -> Iterator[int]:
        """Yield every first seat of `count` adjacent free ones, lowest first."""
        at = self._text.find(FREE * count)
        while at >= 0:
            yield at - self._text.count(AISLE, 0, at)
            at = self._text.find(FREE * count, at + 1)

    def leaves_single(self, taken: set[int]) -> bool:
        """Say whether taking these free seats leaves a free neighbour of theirs on its own."""
        for seat in taken:
            for other in (seat - 1, seat + 1):
                if other in taken or not self.free(other) or not self.joined(min(seat, other)):
                    continue
                beyond = 2 * other - seat
                if beyond in taken or not self.free(beyond) or not self.joined(min(other, beyond)):
                    return True
        return False

    def measure(self) -> None:
        """Count the longest run of adjacent free seats again."""
        text = self._text.replace(AISLE, TAKEN) if self.aisles else self._text
        self.longest = max(map(len, text.split(TAKEN)))

    def free_bits(self) -> int:
        """Return its free seats as bits, the first seat the lowest."""
        return int(self._text[::-1].translate(AS_BITS, AISLE) or b"0", 2)


@dataclass(slots=True)
class Section:
    """One section; `history` has its counts after each command that concerned it.

    applied: offset and log time of the last command applied.
    seat_count: all seats, whatever has become of them.
    longest: of each row, the seats of its longest run of adjacent free ones.
    """

    opened: Command
    rows: list[Row]
    version: int = 0
    free: int = 0
    held: int = 0
    sold: int = 0
    blocked: int = 0
    applied: tuple[int, int] = (-1, 0)
    ever_blocked: bool = False
    history: list[Counts] = field(default_factory=list)
    history_by_offset: dict[int, Counts] = field(default_factory=dict)
    seat_count: int = field(init=False)
    longest: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.longest = [row.longest for row in self.rows]
        self.seat_count = sum(len(row.seats) for row in self.rows)

    def bitmap(self, holder: str | None) -> bytes:
        """Return the seats of one holder as bits, each row rounded up to a byte."""
        packed = bytearray()
        for row in self.rows:
            if holder is None:
                bits = row.free_bits()
            else:
                bits = sum(1 << seat for seat, has in enumerate(row.seats) if has == holder)
            packed += bits.to_bytes((len(row.seats) + 7) // 8, "little")
        return bytes(packed)

    def give(self, places: list[Place], holder: str | None) -> None:
        """Hand seats to a holder, or back (None)."""
        for row, seat in places:
            self.rows[row].give(seat, holder)
        for row in {row for row, _ in places}:
            self.rows[row].measure()
            self.longest[row] = self.rows[row].longest

    def exists(self, place: Place) -> bool:
        """Say whether the section has this seat."""
        row, seat = place
        return 0 <= row < len(self.rows) and 0 <= seat < len(self.rows[row].seats)

    def has(self, part: dict[str, int]) -> bool:
        """Say whether the section has every seat of a range; it has all of none."""
        row, first, count = part["row"], part["first"], part["count"]
        is_there = 0 <= row < len(self.rows) and 0 <= first
        return count <= 0 or (is_there and first + count <= len(self.rows[row].seats))

    def holder(self, place: Place) -> str | None:
        """Return who has a seat."""
        return self.rows[place[0]].seats[place[1]]


def best_available(
    section: Section, count: int
) -> list[Place] | tuple[str, dict[str, int] | None]:
    """Return adjacent seats of one row, front rows first, as the section's orphan rule wants."""
    if section.free < count:
        return "SOLD_OUT", None
    rule = section.opened["orphanRule"]
    most = {"PREFER": LOOKAHEAD_ROWS, "STRICT": len(section.rows), "OFF": 1}[rule]
    each_able = (index for index, longest in enumerate(section.longest) if longest >= count)
    able = list(islice(each_able, most))
    if not able:
        return "NO_ADJACENT_SEATS", None
    for index in able if rule != "OFF" else ():
        row = section.rows[index]
        for first in row.places(count):
            if not row.leaves_single(set(range(first, first + count))):
                return [(index, seat) for seat in range(first, first + count)]
    if rule == "STRICT":
        return "ORPHAN_SEAT", None
    first = next(section.rows[able[0]].places(count))
    return [(able[0], seat) for seat in range(first, first + count)]


Choice = Callable[[Section, int], list[Place] | tuple[str, dict[str, int] | None]]
"""What chooses so many seats of a section, or says why it cannot."""


def in_pieces(section: Section, count: int) -> list[Place] | tuple[str, dict[str, int] | None]:
    """Return seats in as few runs as can be, in the nearest rows, and of these the frontmost.

    Then nobody is left alone who need not: no seat beside them, and nobody of them.
    """
    found = best_available(section, count)
    if isinstance(found, list) or found[0] == "SOLD_OUT":
        return found
    rule = section.opened["orphanRule"]
    least_tidy = rule == "STRICT"
    runs = [run for index, row in enumerate(section.rows) for run in runs_of(index, row)]
    for pieces in range(2, count + 1):
        if pieces_of(runs, pieces, count, 1, least_tidy) is None:
            continue
        for span in range(len(section.rows)):
            for front in range(len(section.rows) - span):
                near = [run for run in runs if front <= run[0][0] <= front + span]
                if pieces_of(near, pieces, count, 1, least_tidy) is None:
                    continue
                for tidy in (True, False) if rule == "PREFER" else (least_tidy,):
                    for least in range(count // pieces, 0, -1):
                        places = pieces_of(near, pieces, count, least, tidy)
                        if places is not None:
                            return places
    return "ORPHAN_SEAT", None


def as_many_in_pieces(
    section: Section, count: int
) -> list[Place] | tuple[str, dict[str, int] | None]:
    """Return as many of these seats as can be had."""
    found = [in_pieces(section, fewer) for fewer in range(count, 0, -1)]
    return next((places for places in found if isinstance(places, list)), found[-1])


def runs_of(index: int, row: Row) -> list[list[Place]]:
    """Return the free seats of a row, run by run."""
    runs: list[list[Place]] = []
    for seat, holder in enumerate(row.seats):
        if holder is not None:
            continue
        if row.free(seat - 1) and row.joined(seat - 1):
            runs[-1].append((index, seat))
        else:
            runs.append([(index, seat)])
    return runs


def pieces_of(
    runs: list[list[Place]], pieces: int, count: int, least: int, tidy: bool
) -> list[Place] | None:
    """Return the beginnings of so many runs, the first that fit; None where none do.

    least: seats of each. tidy: no run keeps a single seat.
    """
    in_vain: set[tuple[int, int, int]] = set()

    def search(at: int, pieces: int, count: int) -> list[Place] | None:
        if not pieces:
            return None if count else []
        if (at, pieces, count) in in_vain:
            return None
        for number in range(at, len(runs)):
            run = runs[number]
            for length in range(min(len(run), count), least - 1, -1):
                if tidy and length == len(run) - 1:
                    continue
                others = search(number + 1, pieces - 1, count - length)
                if others is not None:
                    return run[:length] + others
        in_vain.add((at, pieces, count))
        return None

    return search(0, pieces, count)


def ranges(section: Section, places: list[Place]) -> list[dict[str, int]]:
    """Return sorted seats as ranges of adjacent ones."""
    found: list[dict[str, int]] = []
    for row, seat in places:
        last = found[-1] if found else None
        follows = last and last["row"] == row and last["first"] + last["count"] == seat
        if last and follows and section.rows[row].joined(seat - 1):
            last["count"] += 1
            continue
        found.append({"row": row, "first": seat, "count": 1})
    return found


def places_of(seats: list[dict[str, int]]) -> list[Place]:
    """Return the seats of ranges one by one."""
    return [place for part in seats for place in each_place(part)]


def each_place(part: dict[str, int]) -> Iterator[Place]:
    """Yield the seats of one range."""
    for seat in range(part["first"], part["first"] + part["count"]):
        yield part["row"], seat


def is_sound(plan: Command) -> bool:
    """Say whether a section can be opened with this layout and these rules."""
    rows = plan["rows"]
    if plan["layoutVersion"] < 1 or not rows:
        return False
    for row in rows:
        seats, aisles = row["seatCount"], row["aisles"]
        if not 1 <= seats <= 1000 or (row["numberStep"] == 0 and seats > 1):
            return False
        if aisles != sorted(set(aisles)) or any(not 1 <= aisle < seats for aisle in aisles):
            return False
        if any(row[name] and len(row[name]) != seats for name in ("seatLabels", "seatCategories")):
            return False
    for part in plan["blocked"]:
        if not 0 <= part["row"] < len(rows) or part["count"] < 1 or part["first"] < 0:
            return False
        if part["first"] + part["count"] > rows[part["row"]]["seatCount"]:
            return False
    blocked = places_of(plan["blocked"])
    if len(blocked) != len(set(blocked)) or not has_sound_prices(plan):
        return False
    return bool(
        1 <= plan["maxSeatsPerHold"] <= 16
        and 1 <= plan["holdMs"] <= plan["maxHoldMs"] <= HOLD_MS_MAX
        and 1 <= plan["paymentMs"] <= PAYMENT_MS_MAX
        and is_window(plan["saleStartsMs"], plan["saleEndsMs"])
    )


def has_sound_prices(plan: Command) -> bool:
    """Say whether every seat has one price in one currency, or none has any."""
    prices = {price["category"]: price["amount"] for price in plan["prices"]}
    if not prices and not plan["currency"]:
        return True
    used = {category_of(row, seat) for row in plan["rows"] for seat in range(row["seatCount"])}
    return (
        plan["currency"] in MINOR_DIGITS
        and len(prices) == len(plan["prices"])
        and prices.keys() == used
        and "" not in used
        and all(0 <= amount <= AMOUNT_MAX for amount in prices.values())
    )


def category_of(row: dict[str, Any], seat: int) -> str:
    """Return the category of one seat of a row."""
    return str(row["seatCategories"][seat] if row["seatCategories"] else row["category"])


def price_of(section: Section, places: list[Place]) -> dict[str, Any]:
    """Return what seats cost, looked up seat by seat, as the fields of an outcome."""
    plan = section.opened
    amount = 0
    for row, seat in places if plan["prices"] else ():
        category = category_of(plan["rows"][row], seat)
        amount += sum(one["amount"] for one in plan["prices"] if one["category"] == category)
    return {"amount": amount, "currency": plan["currency"]}


def is_window(saleStartsMs: int, saleEndsMs: int) -> bool:  # noqa: N803  (named as the fields are)
    """Say whether a section can be on sale from the one time to the other."""
    times = saleStartsMs, saleEndsMs
    return all(0 <= time <= TIME_MS_MAX for time in times) and (
        saleEndsMs == 0 or saleStartsMs < saleEndsMs
    )
