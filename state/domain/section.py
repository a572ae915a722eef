"""The working form of a section: who is free, kept so that allocation is fast.

The one thing in this project that changes in place. A frozen section would copy a tuple of rows
for every hold; this one is owned by the fold of its partition, changes only through the methods
below, and is dropped with the partition or with a transaction that aborts.

Two indexes serve the search. Neither influences an answer: both only say which rows need not be
looked at, and may say "look" too often but never too rarely.
- `candidates[k]`: a bit for each row that may hold k adjacent free seats.
- `clean[k]`, kept under the strict orphan rule only: rows that may hold k without leaving a
  single seat.
Rows leave an index when a search finds them wanting, and enter it again when a change could have
made them fit.
"""

from typing import Final

from state.domain.layout import SEATS_PER_HOLD_MAX, Layout, OrphanRule, Rules, counts_up_to

# Under PREFER: how many rows that can hold the seats are searched for a place that leaves no
# single seat, before the first place at all is taken.
LOOKAHEAD_ROWS: Final = 4

# The counts under which a row may be indexed.
_ALL_COUNTS: Final = counts_up_to(SEATS_PER_HOLD_MAX)


class Section:
    """Free seats, counters and indexes of one section.

    rows:  one int per row; bit i is 1 while seat i is free.
    joins: as in Layout.
    lookahead_rows: rows searched for a place that leaves no single seat; None for all of them.
    version: rises by one for each state change; the fold sets it.
    applied_offset, changed_at_ms: the last command applied; the fold sets them.
    """

    __slots__ = (
        "_bounds",
        "_changed",
        "_image",
        "_largest",
        "_largest_bits",
        "_largest_row",
        "_listed",
        "_listed_clean",
        "applied_offset",
        "blocked_count",
        "candidates",
        "changed_at_ms",
        "clean",
        "free_count",
        "held_count",
        "joins",
        "layout",
        "lookahead_rows",
        "rows",
        "rules",
        "sold_count",
        "version",
    )

    def __init__(self, layout: Layout, rules: Rules, rows: list[int], packed: bytes) -> None:
        self.layout = layout
        self.rules = rules
        strict = rules.orphan_rule is OrphanRule.STRICT
        prefer = rules.orphan_rule is OrphanRule.PREFER
        self.lookahead_rows = None if strict else LOOKAHEAD_ROWS if prefer else 0
        self.joins = layout.joins
        self.rows = rows
        self.free_count = sum(map(int.bit_count, rows))
        self.held_count = 0
        self.sold_count = 0
        self.blocked_count = 0
        self.version = 0
        self.applied_offset = -1
        self.changed_at_ms = 0

        self._listed = list(layout.counts)
        self.candidates = list(layout.rows_by_count)
        self._listed_clean = list(self._listed) if strict else []
        self.clean = list(self.candidates) if strict else []

        # The packed bitmap as of the last dump, and the rows that changed since.
        self._image = bytearray(packed)
        self._changed: dict[int, int] = {}

        # No row has a longer run than its bound, no bound exceeds `_largest`, and `_largest` is
        # exact while `_largest_row` still has the bits that it had when it was measured.
        self._bounds = list(layout.longest)
        self._largest = max(layout.longest)
        self._largest_row = 0
        self._largest_bits = -1

    @classmethod
    def empty(cls, layout: Layout, rules: Rules) -> "Section":
        """Return a section with every seat free."""
        rows = [(1 << seats) - 1 for seats in layout.seat_counts]
        return cls(layout, rules, rows, layout.pack(rows))

    @classmethod
    def from_packed(
        cls, layout: Layout, rules: Rules, packed: bytes, *, held: int, sold: int, blocked: int
    ) -> "Section":
        """Return the section that was dumped; raise ValueError where counts and bits disagree."""
        section = cls(layout, rules, layout.unpack(packed), packed)
        section.held_count = held
        section.sold_count = sold
        section.blocked_count = blocked
        if not section.is_conserved():
            raise ValueError("counters disagree with the free seats")
        return section

    def is_conserved(self) -> bool:
        """Say whether the counters add up to the capacity and none is negative."""
        free, held = self.free_count, self.held_count
        sold, blocked = self.sold_count, self.blocked_count
        return (
            free >= 0
            and held >= 0
            and sold >= 0
            and blocked >= 0
            and free + held + sold + blocked == self.layout.capacity
        )

    def take(self, row: int, mask: int) -> None:
        """Hold free seats; the caller has found them free."""
        free = self.rows[row]
        rest = free ^ mask
        # Seats that were not free would be sold twice: end the process instead.
        assert rest | mask == free
        self.rows[row] = self._changed[row] = rest
        count = mask.bit_count()
        self.free_count -= count
        self.held_count += count
        if self.clean:
            self._list_clean(row)

    def give_back(self, row: int, mask: int) -> None:
        """Free held seats; the caller knows that they are held."""
        free = self.rows[row]
        assert not free & mask
        free |= mask
        self.rows[row] = self._changed[row] = free
        count = mask.bit_count()
        self.free_count += count
        self.held_count -= count
        run = self._longest_run(row)
        self._bounds[row] = run
        if run > self._largest:
            self._largest, self._largest_row, self._largest_bits = run, row, free
        self._list_candidates(row, run)
        if self.clean:
            self._list_clean(row)

    def sell(self, count: int) -> None:
        """Turn held seats into sold ones."""
        self.held_count -= count
        self.sold_count += count

    def unsell(self, count: int) -> None:
        """Turn sold seats into held ones, to be given back."""
        self.sold_count -= count
        self.held_count += count

    def block(self, row: int, mask: int) -> None:
        """Take free seats out of sale."""
        self.take(row, mask)
        count = mask.bit_count()
        self.held_count -= count
        self.blocked_count += count

    def unblock(self, row: int, mask: int) -> None:
        """Bring blocked seats back on sale."""
        count = mask.bit_count()
        self.held_count += count
        self.blocked_count -= count
        self.give_back(row, mask)

    def packed(self) -> bytes:
        """Return the packed bitmap of free seats; costs the rows changed since the last call."""
        image = self._image
        offsets = self.layout.offsets
        for row, bits in self._changed.items():
            begin, end = offsets[row], offsets[row + 1]
            image[begin:end] = bits.to_bytes(end - begin, "little")
        self._changed.clear()
        return bytes(image)

    def largest_block(self) -> int:
        """Return the most adjacent free seats in one row."""
        row = self._largest_row
        if self.rows[row] == self._largest_bits:
            return self._largest
        bounds = self._bounds
        largest = self._largest
        while True:
            try:
                row = bounds.index(largest, row)
            except ValueError:
                # No row can have that many any more; the highest bound is the next to try.
                largest, row = max(bounds), 0
                continue
            run = self._longest_run(row)
            if run == largest:
                self._largest, self._largest_row = largest, row
                self._largest_bits = self.rows[row]
                return largest
            bounds[row] = run

    def unlist(self, row: int, count: int) -> None:
        """Note that a row cannot hold `count` until seats are given back in it."""
        self.candidates[count] &= ~(1 << row)
        self._listed[row] &= ~(1 << count)

    def unlist_clean(self, row: int, count: int) -> None:
        """Note that a row cannot hold `count` without leaving a single seat until it changes."""
        self.clean[count] &= ~(1 << row)
        self._listed_clean[row] &= ~(1 << count)

    def _list_candidates(self, row: int, run: int) -> None:
        missing = counts_up_to(run) & ~self._listed[row]
        self._listed[row] |= missing
        _list_row(self.candidates, row, missing)

    def _list_clean(self, row: int) -> None:
        missing = _ALL_COUNTS & ~self._listed_clean[row]
        self._listed_clean[row] = _ALL_COUNTS
        _list_row(self.clean, row, missing)

    def _longest_run(self, row: int) -> int:
        free = self.rows[row]
        if self.joins is None:
            return longest_run(free)
        # A run of n seats is a run of n - 1 adjacent pairs.
        pairs = free & free >> 1 & self.joins[row]
        return longest_run(pairs) + 1 if pairs else min(free, 1)


def longest_run(bits: int) -> int:
    """Return the length of the longest run of ones, in a logarithmic number of steps."""
    if not bits:
        return 0
    # `bits` marks where runs of `run` begin; double while there are any, then halve the step.
    run = 1
    while longer := bits & bits >> run:
        bits = longer
        run *= 2
    step = run // 2
    while step:
        if longer := bits & bits >> step:
            bits = longer
            run += step
        step //= 2
    return run


def _list_row(index: list[int], row: int, missing: int) -> None:
    """Set the row's bit under every count whose bit is set in `missing`."""
    bit = 1 << row
    while missing:
        lowest = missing & -missing
        index[lowest.bit_length() - 1] |= bit
        missing ^= lowest
