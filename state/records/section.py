"""A section's stored records to its working form and back."""

from typing import Final

from serdes.avro.field_names import position
from state.domain.layout import Layout, OrphanRule, Plan, Row, Rules, SeatRange, layout_of
from state.domain.open_section import KnownSection
from state.domain.price import PriceList, SeatPrices, row_sums, unpriced
from state.domain.section import Section
from state.records.names import IDENTITY_FIELDS, OpenSection, RowPlan, SectionLayout, SectionState
from state.records.seat_codecs import SeatCodecs

_ROW: Final = "io.seatstream.types.RowPlan"
_SEAT_COUNT: Final = position(_ROW, "seatCount")
_AISLES: Final = position(_ROW, "aisles")


def plan_of(opened: OpenSection) -> Plan:
    """Return the plan of a decoded OpenSection or SectionLayout."""
    return Plan(
        layout_version=opened.layout_version,
        rows=tuple(map(_row_of, opened.rows)),
        blocked=tuple(SeatRange(*part) for part in opened.blocked),
        rules=_rules_of(opened),
        prices=_prices_of(opened),
    )


def _rules_of(opened: OpenSection) -> Rules:
    return Rules(
        orphan_rule=OrphanRule(opened.orphan_rule),
        max_seats_per_hold=opened.max_seats_per_hold,
        hold_ms=opened.hold_ms,
        max_hold_ms=opened.max_hold_ms,
        sale_starts_ms=opened.sale_starts_ms,
        sale_ends_ms=opened.sale_ends_ms,
        payment_ms=opened.payment_ms,
    )


def _prices_of(opened: OpenSection) -> PriceList:
    return PriceList(
        opened.currency.decode(),
        tuple((category.decode(), amount) for category, amount in opened.prices),
    )


def _seat_prices(opened: OpenSection) -> SeatPrices:
    """Return the prices of a valid section's seats."""
    if not opened.prices:
        return unpriced(seats for _, seats, *_ in opened.rows)
    amount_by_category = dict(opened.prices)
    return SeatPrices(
        tuple(
            row_sums(amount_by_category, seats, category, categories)
            for _, seats, _, _, _, _, category, categories in opened.rows
        ),
        opened.currency,
    )


def _row_of(row: RowPlan) -> Row:
    label, seats, first_number, number_step, seat_labels, aisles, category, categories = row
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


def known_section(key: bytes, opened: OpenSection, section: Section) -> KnownSection:
    """Return the working form around `section`, from the command or layout that opened it."""
    return KnownSection.of(
        section,
        key=key,
        event_id=opened.event_id,
        section_id=opened.section,
        layout_version=opened.layout_version,
        initial_blocked_count=sum(count for _, _, count in opened.blocked),
        prices=_seat_prices(opened),
    )


def read_layout(codecs: SeatCodecs, stored: bytes) -> SectionLayout:
    """Return the fields of a SectionLayout record."""
    return SectionLayout._make(codecs.read_layout(stored, 0))


def write_layout(codecs: SeatCodecs, layout: SectionLayout) -> bytes:
    """Return the SectionLayout record."""
    return codecs.layout(*layout[IDENTITY_FIELDS:])


def read_section(codecs: SeatCodecs, key: bytes, layout: bytes, state: bytes) -> KnownSection:
    """Return the working form of what was stored; raise ValueError where it disagrees."""
    opened = read_layout(codecs, layout)
    counts = SectionState._make(codecs.read_section(state, 0))
    section = Section.from_packed(
        # The shape needs neither labels nor prices.
        layout_of(tuple((row[_SEAT_COUNT], row[_AISLES]) for row in opened.rows)),
        _rules_of(opened),
        counts.free,
        held=counts.held_count,
        sold=counts.sold_count,
        blocked=counts.blocked_count,
    )
    section.version = counts.version
    section.applied_offset = counts.applied_offset
    section.changed_at_ms = counts.changed_at_ms
    return known_section(key, opened, section)


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


def read_blocked(codecs: SeatCodecs, layout: Layout, stored: bytes | None) -> list[int]:
    """Return the blocked seats of each row as a mask; where no record is stored, none."""
    if stored is None:
        return [0] * len(layout.seat_counts)
    (packed,) = codecs.read_blocked(stored, 0)
    return layout.unpack(packed)


def write_blocked(codecs: SeatCodecs, layout: Layout, rows: list[int]) -> bytes:
    """Return the BlockedSeats record."""
    return codecs.blocked_seats(layout.pack(rows))
