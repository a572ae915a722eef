"""A section's stored records to its working form and back."""

from dataclasses import dataclass, replace
from typing import Any, Final

from state.domain.layout import (
    TIME_MS_MAX,
    OrphanRule,
    Plan,
    Row,
    Rules,
    SeatRange,
    layout_of,
)
from state.domain.section import Section
from state.records.seat_codecs import SeatCodecs

# Where the plan begins in a decoded OpenSection or SectionLayout: behind the identity's five
# fields and its span.
PLAN_AT: Final = 6
# Where the sale window stands in either: the last two fields.
WINDOW_AT: Final = -2
# Positions in a decoded RowPlan.
_SEAT_COUNT: Final = 1
_AISLES: Final = 5


@dataclass(frozen=True, slots=True)
class KnownSection:
    """An open section: its working form and what its records say beside it.

    key:            record key, `{eventId}-{section}`.
    sale_ends_ms:   exclusive; the end of time where the rules set no bound.
    initial_blocked_count: seats that the plan itself blocks.
    """

    section: Section
    key: bytes
    event_id: int
    section_id: bytes
    layout_version: int
    max_seats_per_hold: int
    hold_ms: int
    max_hold_ms: int
    sale_starts_ms: int
    sale_ends_ms: int
    initial_blocked_count: int


def plan_of(fields: tuple[Any, ...]) -> Plan:
    """Return the plan of a decoded OpenSection or SectionLayout."""
    layout_version, rows, blocked, orphan_rule, *rules = fields[PLAN_AT:]
    return Plan(
        layout_version=layout_version,
        rows=tuple(map(_row_of, rows)),
        blocked=tuple(SeatRange(*part) for part in blocked),
        rules=Rules(OrphanRule(orphan_rule), *rules),
    )


def _row_of(fields: tuple[Any, ...]) -> Row:
    label, seats, first_number, number_step, seat_labels, aisles, category, categories = fields
    return Row(
        label=label.decode(),
        seat_count=seats,
        first_number=first_number,
        number_step=number_step,
        seat_labels=tuple(label.decode() for label in seat_labels),
        aisles=aisles,
        category=category.decode(),
        seat_categories=tuple(category.decode() for category in categories),
    )


def known_section(key: bytes, layout_fields: tuple[Any, ...], section: Section) -> KnownSection:
    """Return the working form around `section`, from its decoded SectionLayout."""
    rules = section.rules
    return KnownSection(
        section=section,
        key=key,
        section_id=layout_fields[3],
        event_id=layout_fields[4],
        layout_version=layout_fields[PLAN_AT],
        max_seats_per_hold=rules.max_seats_per_hold,
        hold_ms=rules.hold_ms,
        max_hold_ms=rules.max_hold_ms,
        sale_starts_ms=rules.sale_starts_ms,
        sale_ends_ms=rules.sale_ends_ms or TIME_MS_MAX + 1,
        initial_blocked_count=sum(count for _, _, count in layout_fields[PLAN_AT + 2]),
    )


def with_window(known: KnownSection, sale_starts_ms: int, sale_ends_ms: int) -> KnownSection:
    """Return the working form around the same section, sold within another window."""
    section = known.section
    section.rules = replace(
        section.rules, sale_starts_ms=sale_starts_ms, sale_ends_ms=sale_ends_ms
    )
    return replace(
        known, sale_starts_ms=sale_starts_ms, sale_ends_ms=sale_ends_ms or TIME_MS_MAX + 1
    )


def read_section(codecs: SeatCodecs, key: bytes, layout: bytes, state: bytes) -> KnownSection:
    """Return the working form of what was stored; raise ValueError where it disagrees."""
    layout_fields = codecs.read_layout(layout, 0)
    _, rows, _, orphan_rule, *rules = layout_fields[PLAN_AT:]
    _, _, _, version, offset, changed_at_ms, held, sold, blocked, free = codecs.read_section(
        state, 0
    )
    section = Section.from_packed(
        # The shape needs neither labels nor categories.
        layout_of(tuple((row[_SEAT_COUNT], row[_AISLES]) for row in rows)),
        Rules(OrphanRule(orphan_rule), *rules),
        free,
        held=held,
        sold=sold,
        blocked=blocked,
    )
    section.version = version
    section.applied_offset = offset
    section.changed_at_ms = changed_at_ms
    return known_section(key, layout_fields, section)


def write_section(codecs: SeatCodecs, known: KnownSection) -> bytes:
    """Return the SectionState record."""
    section = known.section
    return codecs.section(
        known.event_id,
        known.section_id,
        known.layout_version,
        section.version,
        section.applied_offset,
        section.changed_at_ms,
        section.held_count,
        section.sold_count,
        section.blocked_count,
        section.packed(),
    )
