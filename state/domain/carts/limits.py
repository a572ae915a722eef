"""How much of an event one buyer may have in all of its carts together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from state.domain.carts.parties import Party
from state.domain.carts.values import Cart, Part
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
    """Say whether a cart counts for its buyer's limits: it is limited, and some part is left."""
    return cart.is_limited and any(map(_has_seats, cart.parts))


def exceeds(limits: Limits, carts: Sequence[Cart]) -> bool:
    """Say whether a buyer may not have all these carts.

    What a section has not answered yet counts as held.
    """
    seats, holds = (sum(numbers) for numbers in zip(*map(_claims, carts), strict=True))
    is_over = bool(limits.max_seats) and seats > limits.max_seats
    return is_over or (bool(limits.max_open_holds) and holds > limits.max_open_holds)


def _claims(cart: Cart) -> Limits:
    """Return how many seats a cart has or may get, and how many holds that are not sold.

    A party that is being asked for has its seats once, and may get a hold of each section.
    """
    asked = [party for party in cart.parties if _is_asked(cart, party)]
    others = {number for party in asked for number in party.parts}
    parts = [part for number, part in enumerate(cart.parts) if number not in others]
    wholes = [cart.parts[party.parts[0]].seat_count for party in asked]
    # No section holds less than nothing, whatever somebody asks for.
    seats = sum(max(0, count) for count in (*map(_seats, parts), *wholes))
    holds = sum(part.status in _OPEN for part in parts)
    return Limits(seats, holds + sum(len(party.sections) for party in asked))


def _is_asked(cart: Cart, party: Party) -> bool:
    return cart.parts[party.parts[-1]].status == Status.UNSPECIFIED


def _seats(part: Part) -> int:
    # Of a party's, some section may hold fewer than it was asked for.
    return part.held_count or (part.seat_count if _has_seats(part) else 0)


def _has_seats(part: Part) -> bool:
    return part.status == Status.SOLD or part.status in _OPEN
