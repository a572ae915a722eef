"""A section's rows: what is printed on tickets, and the shape that allocation works on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from state.domain.price import UNPRICED, PriceList, invalid_prices

ROW_SEATS_MAX: Final = 1_000
# Most seats of one request; rows are indexed by every run length up to this one.
SEATS_PER_HOLD_MAX: Final = 16
HOLD_MS_MAX: Final = 30 * 86_400_000
# Gateways remember an idempotency key for a day: what is charged again later is charged twice.
PAYMENT_MS_MAX: Final = 23 * 3_600_000
TIME_MS_MAX: Final = 253_402_300_799_999  # the end of the year 9999


class SeatRange(NamedTuple):
    """Adjacent seats of one row; indexes from 0, seat_count >= 1."""

    row: int
    first: int
    seat_count: int


class SeatPosition(NamedTuple):
    """One seat; indexes from 0."""

    row: int
    seat: int


class OrphanRule(IntEnum):
    """Whether a hold may leave a single free seat; numbers as in Avro."""

    PREFER = 0
    STRICT = 1
    OFF = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it is printed.

    first_number, number_step: seat i is called first_number + i * number_step, unless
        seat_labels has a label for every seat.
    aisles: ascending i >= 1; an aisle lies between seats i - 1 and i.
    seat_categories: one for every seat where the row mixes categories; else empty.
    """

    label: str
    seat_count: int
    first_number: int = 1
    number_step: int = 1
    seat_labels: tuple[str, ...] = ()
    aisles: tuple[int, ...] = ()
    category: str = ""
    seat_categories: tuple[str, ...] = ()

    def seat_label(self, seat: int) -> str:
        """Return what the ticket calls the seat at this index."""
        if self.seat_labels:
            return self.seat_labels[seat]
        return str(self.first_number + seat * self.number_step)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a section is sold.

    hold_ms:      life of a hold; max_hold_ms: its cap with all extensions.
    payment_ms:   how long a payment may take from its start, less than a day.
    sale_starts_ms, sale_ends_ms: Unix ms, start inclusive, end exclusive; 0 for no bound.
    """

    orphan_rule: OrphanRule = OrphanRule.PREFER
    max_seats_per_hold: int = 8
    hold_ms: int = 600_000
    max_hold_ms: int = 1_800_000
    sale_starts_ms: int = 0
    sale_ends_ms: int = 0
    payment_ms: int = 900_000


@dataclass(frozen=True, slots=True)
class Plan:
    """All that opens a section."""

    layout_version: int
    rows: tuple[Row, ...]
    blocked: tuple[SeatRange, ...] = ()
    rules: Rules = Rules()
    prices: PriceList = UNPRICED


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of a section. Sections with equal rows share one value.

    seat_counts: seats of each row.
    joins:   for each row the mask of seats i that are adjacent to seat i + 1; None where no row
             has an aisle, so that such sections do not pay for aisles.
    offsets: where each row begins in the packed bitmap, in bytes; and its end at last.
    longest: the longest run of adjacent seats of each row.
    counts:  for each row, bit k is set where it can hold k adjacent seats, k up to
             SEATS_PER_HOLD_MAX.
    rows_by_count: for each such k, from 0, the rows that can: bit r for row r.
    capacity: seats of all rows.
    """

    seat_counts: tuple[int, ...]
    joins: tuple[int, ...] | None
    offsets: tuple[int, ...]
    longest: tuple[int, ...]
    counts: tuple[int, ...]
    rows_by_count: tuple[int, ...]
    capacity: int

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Layout":
        """Return the shape of valid rows."""
        return layout_of(tuple((row.seat_count, row.aisles) for row in rows))

    @property
    def packed_bytes(self) -> int:
        """Size of the packed bitmap."""
        return self.offsets[-1]

    def contains(self, row: int, first: int, count: int = 1) -> bool:
        """Say whether the seats exist."""
        return (
            0 <= row < len(self.seat_counts)
            and 0 <= first
            and 1 <= count <= self.seat_counts[row] - first
        )

    def pack(self, rows: Sequence[int]) -> bytes:
        """Return one bitmap per row, each rounded up to a byte, bit 0 of the first byte first."""
        offsets = self.offsets
        return b"".join(
            bits.to_bytes(offsets[row + 1] - offsets[row], "little")
            for row, bits in enumerate(rows)
        )

    def unpack(self, packed: bytes) -> list[int]:
        """Return the bitmap of each row; raise ValueError where `packed` is no such bitmap."""
        if len(packed) != self.packed_bytes:
            raise ValueError(f"{len(packed)} bytes for a layout of {self.packed_bytes}")
        read = int.from_bytes
        offsets = self.offsets
        rows = [read(packed[begin:end], "little") for begin, end in pairwise(offsets)]
        for bits, seats in zip(rows, self.seat_counts, strict=True):
            if bits >> seats:
                raise ValueError("a bit is set beyond the end of its row")
        return rows

    def ranges(self, row: int, mask: int) -> list[SeatRange]:
        """Return the seats of a mask as ranges of adjacent seats, lowest first."""
        joined = mask if self.joins is None else mask & self.joins[row]
        found: list[SeatRange] = []
        while mask:
            first = seat = (mask & -mask).bit_length() - 1
            # Grow while the next seat is wanted too and no aisle lies between.
            while joined >> seat & mask >> (seat + 1) & 1:
                seat += 1
            found.append(SeatRange(row, first, seat - first + 1))
            mask = mask >> (seat + 1) << (seat + 1)
        return found


# A hall has few distinct sections: equal ones share a shape, and its tuples.
@lru_cache(maxsize=1024)
def layout_of(patterns: tuple[tuple[int, tuple[int, ...]], ...]) -> Layout:
    """Return the shape of valid rows, given as (seat count, aisles) of each."""
    offsets = [0]
    for seats, _ in patterns:
        offsets.append(offsets[-1] + (seats + 7) // 8)
    longest = tuple(
        max(end - begin for begin, end in zip((0, *aisles), (*aisles, seats), strict=True))
        for seats, aisles in patterns
    )
    return Layout(
        seat_counts=tuple(seats for seats, _ in patterns),
        joins=(
            tuple(_join(seats, aisles) for seats, aisles in patterns)
            if any(aisles for _, aisles in patterns)
            else None
        ),
        offsets=tuple(offsets),
        longest=longest,
        counts=tuple(counts_up_to(run) for run in longest),
        rows_by_count=tuple(
            sum(1 << row for row, run in enumerate(longest) if 0 < count <= run)
            for count in range(SEATS_PER_HOLD_MAX + 1)
        ),
        capacity=sum(seats for seats, _ in patterns),
    )


def counts_up_to(run: int) -> int:
    """Return bits 1 .. run, at most up to SEATS_PER_HOLD_MAX: what a run of seats can hold."""
    return (2 << min(run, SEATS_PER_HOLD_MAX)) - 2


@lru_cache(maxsize=1024)
def _join(seats: int, aisles: tuple[int, ...]) -> int:
    mask = (1 << (seats - 1)) - 1
    for aisle in aisles:
        mask &= ~(1 << (aisle - 1))
    return mask


def invalid(plan: Plan) -> str | None:
    """Return the path and nature of a plan's first fault, or None where there is none.

    Paths are in the words of the OpenSection record: `rows[3].aisles[1]: ...`.
    """
    if plan.layout_version < 1:
        return "layoutVersion: less than 1"
    if not plan.rows:
        return "rows: none"
    for index, row in enumerate(plan.rows):
        fault = _invalid_row(row)
        if fault:
            return f"rows[{index}].{fault}"
    return (
        _invalid_blocked(plan)
        or _invalid_rules(plan.rules)
        or invalid_prices(plan.prices, categories_of(plan.rows))
    )


def categories_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the categories of the seats, each once, in order of first use from the front row."""
    return tuple(
        dict.fromkeys(name for row in rows for name in row.seat_categories or (row.category,))
    )


def _invalid_row(row: Row) -> str | None:
    seats = row.seat_count
    if not 1 <= seats <= ROW_SEATS_MAX:
        return f"seatCount: not 1 to {ROW_SEATS_MAX}"
    if row.number_step == 0 and seats > 1:
        return "numberStep: 0 gives every seat the same number"
    if row.seat_labels and len(row.seat_labels) != seats:
        return f"seatLabels: {len(row.seat_labels)} for {seats} seats"
    before = 0
    for at, aisle in enumerate(row.aisles):
        if not before < aisle < seats:
            return f"aisles[{at}]: not ascending within 1 to {seats - 1}"
        before = aisle
    if row.seat_categories and len(row.seat_categories) != seats:
        return f"seatCategories: {len(row.seat_categories)} for {seats} seats"
    return None


def _invalid_blocked(plan: Plan) -> str | None:
    layout = Layout.of(plan.rows)
    blocked = [0] * len(plan.rows)
    for at, (row, first, count) in enumerate(plan.blocked):
        if not layout.contains(row, first, count):
            return f"blocked[{at}]: no such seats"
        mask = run_mask(first, count)
        if blocked[row] & mask:
            return f"blocked[{at}]: a seat is listed twice"
        blocked[row] |= mask
    return None


def _invalid_rules(rules: Rules) -> str | None:
    if not 1 <= rules.max_seats_per_hold <= SEATS_PER_HOLD_MAX:
        return f"maxSeatsPerHold: not 1 to {SEATS_PER_HOLD_MAX}"
    if not 1 <= rules.hold_ms <= HOLD_MS_MAX:
        return f"holdMs: not 1 to {HOLD_MS_MAX}"
    if not rules.hold_ms <= rules.max_hold_ms <= HOLD_MS_MAX:
        return f"maxHoldMs: not holdMs to {HOLD_MS_MAX}"
    if not 1 <= rules.payment_ms <= PAYMENT_MS_MAX:
        return f"paymentMs: not 1 to {PAYMENT_MS_MAX}"
    return invalid_window(rules.sale_starts_ms, rules.sale_ends_ms)


def invalid_window(sale_starts_ms: int, sale_ends_ms: int) -> str | None:
    """Return the nature of a sale window's first fault, or None where there is none."""
    if not 0 <= sale_starts_ms <= TIME_MS_MAX:
        return f"saleStartsMs: not 0 to {TIME_MS_MAX}"
    if not 0 <= sale_ends_ms <= TIME_MS_MAX:
        return f"saleEndsMs: not 0 to {TIME_MS_MAX}"
    if 0 < sale_ends_ms <= sale_starts_ms:
        return "saleEndsMs: not after saleStartsMs"
    return None


def range_masks(ranges: Iterable[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return (row, mask) of each (row, first seat, count)."""
    return [(row, run_mask(first, count)) for row, first, count in ranges]


def run_mask(first: int, count: int) -> int:
    """Return the mask of `count` seats from `first` on."""
    return ((1 << count) - 1) << first
