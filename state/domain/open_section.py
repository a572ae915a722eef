"""A section that is open: its seats, and what else its decisions need at hand."""

from dataclasses import dataclass, replace

from state.domain.layout import TIME_MS_MAX
from state.domain.price import SeatPrices
from state.domain.reasons import Reason
from state.domain.section import Section


@dataclass(frozen=True, slots=True)
class KnownSection:
    """An open section: its working form and what its records say beside it.

    key:            record key, `{eventId}-{section}`.
    sale_ends_ms:   exclusive; the end of time where the rules set no bound.
    initial_blocked_count: seats that the plan itself blocks.
    prices:         of its seats; never changed.
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
    prices: SeatPrices
    payment_ms: int

    @classmethod
    def of(
        cls,
        section: Section,
        *,
        key: bytes,
        event_id: int,
        section_id: bytes,
        layout_version: int,
        initial_blocked_count: int,
        prices: SeatPrices,
    ) -> "KnownSection":
        """Return the working form around `section`, by the section's own rules."""
        rules = section.rules
        return cls(
            section=section,
            key=key,
            event_id=event_id,
            section_id=section_id,
            layout_version=layout_version,
            max_seats_per_hold=rules.max_seats_per_hold,
            hold_ms=rules.hold_ms,
            max_hold_ms=rules.max_hold_ms,
            sale_starts_ms=rules.sale_starts_ms,
            sale_ends_ms=_end_of(rules.sale_ends_ms),
            initial_blocked_count=initial_blocked_count,
            prices=prices,
            payment_ms=rules.payment_ms,
        )

    def refusal_at(self, log_time_ms: int) -> Reason | None:
        """Return why the section sells nothing at this time, or None within its sale."""
        if log_time_ms < self.sale_starts_ms:
            return Reason.NOT_OPEN
        return Reason.SALE_CLOSED if log_time_ms >= self.sale_ends_ms else None

    def with_window(self, sale_starts_ms: int, sale_ends_ms: int) -> "KnownSection":
        """Return the working form around the same section, sold within another window.

        sale_ends_ms: 0 for no bound.
        """
        section = self.section
        section.rules = replace(
            section.rules, sale_starts_ms=sale_starts_ms, sale_ends_ms=sale_ends_ms
        )
        return replace(self, sale_starts_ms=sale_starts_ms, sale_ends_ms=_end_of(sale_ends_ms))


def _end_of(sale_ends_ms: int) -> int:
    return sale_ends_ms or TIME_MS_MAX + 1
