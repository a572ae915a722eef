"""How much of an event one buyer may have in all of its carts together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from state.domain.carts.cart import Cart, Part
from state.domain.reservation import Status

LISTED_MAX: Final = 1_000
"""Most carts of a buyer and event that are counted; who has so many gets no further one."""

_OPEN: Final = frozenset({Status.UNSPECIFIED, Status.HELD, Status.PAYING})


class Limits(NamedTuple):
    """What an event allows each buyer; 0 is no limit.

    max_seats: seats that are held, asked for or sold. max_open_holds: holds that are not sold.
    """

    max_seats: int = 0
    max_open_holds: int = 0


UNLIMITED: Final = Limits()


def is_counted(cart: Cart) -> bool:
    """Say whether a cart takes part in what its buyer may have: limited, and not all gone."""
    return cart.is_limited and any(map(_has_seats, cart.parts))


def exceeds(limits: Limits, carts: Sequence[Cart], wanted: Sequence[Part]) -> bool:
    """Say whether a buyer who has these carts may not have these parts too.

    What a section has not answered yet counts as held.
    """
    parts = [part for cart in carts for part in cart.parts]
    # No section holds less than nothing, whatever somebody asks for.
    seats = sum(max(0, part.seat_count) for part in (*filter(_has_seats, parts), *wanted))
    holds = sum(map(_is_open, parts)) + len(wanted)
    is_over = bool(limits.max_seats) and seats > limits.max_seats
    return is_over or (bool(limits.max_open_holds) and holds > limits.max_open_holds)


def _is_open(part: Part) -> bool:
    return part.status in _OPEN


def _has_seats(part: Part) -> bool:
    return part.status == Status.SOLD or _is_open(part)
