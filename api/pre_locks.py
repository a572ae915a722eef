"""Locks chosen seats before their command is appended, where the operator has set that."""

import asyncio
from collections.abc import Awaitable, Sequence

from api.pod import Pod
from api.seat_bodies import BestAvailable, ChosenSeats
from api.web.problems import Problem
from state.domain.carts.values import Cart
from state.domain.keys import part_id
from state.domain.layout import SeatRange
from state.domain.outcome import Outcome, OutcomeKind, ReservationView, after
from state.domain.reasons import ApiReason
from state.domain.reservation import Status
from state.redis.keys import Seat
from state.redis.pre_lock import HoldOfSeats, PreLocks, Taken
from state.redis.seat_lock import Granted

Held = tuple[HoldOfSeats, int]
"""A hold, and its deadline in Unix ms."""


async def taken(
    pod: Pod, event_id: int, asked: Sequence[tuple[BestAvailable | ChosenSeats, str]]
) -> tuple[Granted, ...]:
    """Lock the seats that a buyer has chosen, all or none; return no grants where none was made.

    asked: what is wanted of a section, and the id of the reservation that is to hold it. Raises
    Problem (409) where another buyer has one of the seats.
    """
    holds = [
        HoldOfSeats(body.section, [(seat.row, seat.seat) for seat in body.seats], reservation_id)
        for body, reservation_id in asked
        # Sections that the pod does not know are not locked: invented names would fill Redis.
        if isinstance(body, ChosenSeats) and pod.view.knows(event_id, body.section)
    ]
    acquired = await pod.pre_locks.take(event_id, holds)
    if not isinstance(acquired, Taken):
        return acquired or ()
    row, seat = acquired.seat
    raise Problem.of(
        ApiReason.SEAT_LOCKED,
        "Choose other seats, or ask again later; the same idempotency key may be used.",
        decided=False,
        source="lock",
        section=acquired.section,
        seat={"row": row, "seat": seat},
    )


async def settled(
    locks: PreLocks, grants: Sequence[Granted], deciding: Awaitable[Outcome | None]
) -> Outcome | None:
    """Return what was decided. A hold extends its locks, a refusal releases them.

    While the decision is not known the locks stay, and expire unless the log holds the seats.
    """
    try:
        outcome = await deciding
    except Problem:
        # It was certainly not taken.
        await given_back(locks, grants)
        raise
    if outcome is not None:
        is_held = outcome.kind is OutcomeKind.HELD
        await kept(locks, grants, [held(after(outcome, ()))] if is_held else ())
    return outcome


async def kept(locks: PreLocks, grants: Sequence[Granted], holds: Sequence[Held]) -> None:
    """Let the locks of each hold last until its deadline; those of no hold end now."""
    until = {hold.owner: deadline_ms for hold, deadline_ms in holds}
    of_holds = [grant for grant in grants if grant.owner in until]
    await asyncio.gather(
        *(locks.keep(grant, until[grant.owner]) for grant in of_holds),
        given_back(locks, [grant for grant in grants if grant.owner not in until]),
    )


async def given_back(locks: PreLocks, grants: Sequence[Granted]) -> None:
    """End locks of what the log has certainly not held."""
    if grants:
        await locks.give_back(grants)


async def prolonged(locks: PreLocks, event_id: int, holds: Sequence[Held]) -> None:
    """Let the locks of holds last as long as the log lets the holds themselves now."""
    await asyncio.gather(*(locks.prolong(event_id, hold, until) for hold, until in holds))


def held(view: ReservationView) -> Held:
    """Return the hold of a reservation."""
    seats = _each_of(view.seats)
    hold = HoldOfSeats(view.section, seats, view.reservation_id, view.epoch)
    return hold, view.deadline_ms


def held_in(cart_id: str, cart: Cart) -> list[Held]:
    """Return the holds of a cart that it still has."""
    found: list[Held] = []
    for number, part in enumerate(cart.parts):
        now = part.standing
        if now.status == Status.HELD:
            seats, place = _each_of(now.seats), part_id(cart_id.encode(), number).decode()
            hold = HoldOfSeats(part.section.decode(), seats, place, now.epoch)
            found.append((hold, now.deadline_ms))
    return found


def _each_of(ranges: Sequence[SeatRange]) -> list[Seat]:
    return [(row, seat) for row, first, count in ranges for seat in range(first, first + count)]
