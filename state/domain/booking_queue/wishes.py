"""What an item asks for, and what came of it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from state.domain.keys import EVENT_ID_MAX, IDEMPOTENCY_KEY, SECTION_ID
from state.domain.layout import SEATS_PER_HOLD_MAX

INDEX_MAX: Final = 2**31 - 1
AMOUNT_MAX: Final = 2**63 - 1
METADATA_MAX: Final = 16
"""Entries; each key and each value has at most `METADATA_CHARS_MAX` characters."""

METADATA_CHARS_MAX: Final = 128

_CURRENCY: Final = re.compile(r"[A-Z]{3}")


class Wish(NamedTuple):
    """Seats of one section, as a caller asks for them.

    seats:    (row, seat) that were chosen, indexes from 0; empty for the best available ones.
    seat_count: how many seats.
    amount:   what the caller expects to pay for all, in the currency's minor unit.
    currency: ISO 4217; empty for no expectation.
    metadata: the caller's own words, sorted by key.
    """

    section: str
    seats: tuple[tuple[int, int], ...]
    seat_count: int
    amount: int
    currency: str
    metadata: tuple[tuple[str, str], ...]


class Carried(NamedTuple):
    """What came of an item that was carried out: seats are held, or were refused.

    reservation_id: empty where none was made. reason: why not; empty where seats are held.
    """

    reservation_id: str
    reason: str


def fault_of(wish: Wish) -> str:
    """Say what is wrong with a wish, in words for whoever made it; empty where nothing is."""
    if SECTION_ID.fullmatch(wish.section.encode()) is None:
        return "section: capitals, digits and dashes, at most 32"
    if not 1 <= wish.seat_count <= SEATS_PER_HOLD_MAX:
        return f"seat_count: 1 to {SEATS_PER_HOLD_MAX}"
    if wish.seats and wish.seat_count != len(wish.seats):
        return "seat_count: the number of the seats, or 0"
    if any(not 0 <= index <= INDEX_MAX for seat in wish.seats for index in seat):
        return f"seats: row and seat from 0 to {INDEX_MAX}"
    if len({*wish.seats}) != len(wish.seats):
        return "seats: each once"
    if not 0 <= wish.amount <= AMOUNT_MAX:
        return "total_amount: 0 or more"
    if wish.currency and _CURRENCY.fullmatch(wish.currency) is None:
        return "currency: three capitals, or empty"
    if wish.amount and not wish.currency:
        return "currency: that of total_amount"
    words = [word for pair in wish.metadata for word in pair]
    if len(wish.metadata) > METADATA_MAX or any(len(word) > METADATA_CHARS_MAX for word in words):
        return f"metadata: {METADATA_MAX} entries, {METADATA_CHARS_MAX} characters each"
    return ""


def fault_of_ids(event_id: int, idempotency_key: str) -> str:
    """Say what is wrong with what names an item; empty where nothing is."""
    if not 0 <= event_id <= EVENT_ID_MAX:
        return f"event_id: 0 to {EVENT_ID_MAX}"
    if IDEMPOTENCY_KEY.fullmatch(idempotency_key) is None:
        return "idempotency_key: 1 to 255 visible characters or spaces of ASCII"
    return ""
