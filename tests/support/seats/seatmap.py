"""Sections as text that one can see: `.` free, `x` held, `|` an aisle, one line a row."""

from state.domain.layout import Layout, OrphanRule, Row, Rules, SeatRange
from state.domain.section import Section


def row_of(line: str) -> Row:
    """Return the row that a line of a seat map shows."""
    aisles = []
    seats = 0
    for mark in line:
        if mark == "|":
            aisles.append(seats)
        else:
            seats += 1
    return Row(label="", seat_count=seats, aisles=tuple(aisles))


def category_of(row: Row, seat: int) -> str:
    """Return the price category of one seat, as a plan says it."""
    return row.seat_categories[seat] if row.seat_categories else row.category


def section(text: str, rule: OrphanRule = OrphanRule.PREFER) -> Section:
    """Return a section that looks like `text`; taken seats are held."""
    lines = text.split()
    built = Section.empty(Layout.of(map(row_of, lines)), Rules(orphan_rule=rule))
    for row, line in enumerate(lines):
        for seat, mark in enumerate(line.replace("|", "")):
            if mark != ".":
                built.take(row, 1 << seat)
    return built


def seat_map(shown: Section) -> str:
    """Return the text of a section."""
    lines = []
    for row, seats in enumerate(shown.layout.seat_counts):
        line = ""
        for seat in range(seats):
            if seat and shown.joins is not None and not shown.joins[row] >> (seat - 1) & 1:
                line += "|"
            line += "." if shown.rows[row] >> seat & 1 else "x"
        lines.append(line)
    return "\n".join(lines)


def take_ranges(taken: Section, ranges: list[SeatRange]) -> None:
    """Hold every seat of some ranges."""
    for row, first, count in ranges:
        taken.take(row, ((1 << count) - 1) << first)
