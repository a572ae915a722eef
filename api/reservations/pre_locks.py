"""Chosen seats are locked before the log is asked, where the operator wants that."""

from collections.abc import Awaitable

from api.pod import Pod
from api.seat_bodies import BestAvailable, ChosenSeats
from api.web.problems import Problem
from state.domain.outcome import Outcome, OutcomeKind
from state.domain.reasons import ApiReason
from state.redis.keys import seat_of
from state.redis.pre_lock import PreLocks
from state.redis.seat_lock import Busy, Granted


async def taken(
    pod: Pod, event_id: int, body: BestAvailable | ChosenSeats, reservation_id: str
) -> Granted | None:
    """Lock the seats that a buyer has chosen; None where the log is asked without.

    Raises Problem (409) where another buyer has one of them.
    """
    if isinstance(body, BestAvailable):
        return None
    seats = [(seat.row, seat.seat) for seat in body.seats]
    claimed = await pod.pre_locks.take(event_id, body.section, seats, reservation_id)
    if not isinstance(claimed, Busy):
        return claimed
    row, seat = seat_of(claimed.names[0])
    raise Problem.of(
        ApiReason.SEAT_LOCKED,
        "Choose other seats, or ask again later; the same idempotency key may be used.",
        decided=False,
        source="lock",
        seat={"row": row, "seat": seat},
    )


async def settled(
    locks: PreLocks, lock: Granted | None, deciding: Awaitable[Outcome | None]
) -> Outcome | None:
    """Return what was decided; the locks last as long as the hold, or end with its refusal.

    Where nobody knows yet they end by themselves, unless the log holds the seats first.
    """
    try:
        outcome = await deciding
    except Problem:
        # It was certainly not taken.
        if lock is not None:
            await locks.give_back(lock)
        raise
    if lock is not None and outcome is not None:
        if outcome.kind is OutcomeKind.HELD:
            await locks.keep(lock, outcome.deadline_ms)
        else:
            await locks.give_back(lock)
    return outcome
