"""Carries one item of the booking queue out: seats are held as over HTTP, or refused.

The idempotency key of its command is the item's own, so an item that is carried out again, by this
pod or another, leads to the same reservation. Who pays confirms it; nobody is charged here.
"""

from typing import Final, NamedTuple

from api.commands.desk import Command
from api.pod import Pod
from api.standing import limits_of
from api.web.problems import Problem
from infra.process.record_ids import record_headers
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.statuses import DeadReason, ItemStatus
from state.domain.booking_queue.wishes import Carried, Wish
from state.domain.keys import issued_id, section_key, stem_of
from state.domain.outcome import Outcome, OutcomeKind, after, reason_of
from state.domain.reasons import ApiReason, Reason
from state.domain.reservation import Status
from state.records.booking_queue.ids import ids_of
from state.records.booking_queue.wishes import WishUnreadable, decoded

CALL_S: Final = 30.0
"""Longest wait for what the log decides; an item is two such calls at most."""

_HOLDS: Final = frozenset({OutcomeKind.HELD, OutcomeKind.REJECTED})
_RELEASES: Final = frozenset({OutcomeKind.RELEASED})

_NOT_OURS: Final = frozenset({Reason.INTERNAL, Reason.UNSPECIFIED})
"""Refusals that say nothing of the request."""

TAKEN_AWAY: Final = frozenset({ItemStatus.EXPIRED, ItemStatus.CANCELLED, ItemStatus.DEAD})
"""Statuses in which nobody is told of seats that a late attempt holds: they are given back."""


class Failed(NamedTuple):
    """An attempt without an outcome.

    is_final: no other attempt helps. is_of_the_log: it says something of whether the log answers.
    """

    reason: DeadReason
    is_final: bool
    is_of_the_log: bool


async def carried_out(pod: Pod, item: Item) -> Carried | Failed:
    """Hold the seats that an item asks for; say what came of it."""
    try:
        wish = decoded(item.request)
    except WishUnreadable:
        return Failed(DeadReason.INVALID_DATA, is_final=True, is_of_the_log=False)
    try:
        if any(await limits_of(pod, item.event_id, [wish.section])):
            return Carried("", ApiReason.CART_NEEDED.name)
        outcome = await pod.desk.decided(_hold(pod, item, wish), CALL_S)
        if outcome is None:
            # Nobody knows what became of it; the next attempt has the same key.
            return Failed(DeadReason.TIMEOUT, is_final=False, is_of_the_log=True)
        if outcome.is_refusal:
            reason = reason_of(outcome.reason)
            if reason in _NOT_OURS:
                return Failed(DeadReason.SERVICE_ERROR, is_final=False, is_of_the_log=False)
            return Carried("", reason.name)
        return await _as_expected(pod, item, wish, outcome)
    except Problem as problem:
        if problem.status == 413:
            return Failed(DeadReason.INVALID_DATA, is_final=True, is_of_the_log=False)
        is_of_the_log = problem.reason is ApiReason.BROKER_UNAVAILABLE
        return Failed(DeadReason.SERVICE_ERROR, is_final=False, is_of_the_log=is_of_the_log)


async def _as_expected(pod: Pod, item: Item, wish: Wish, outcome: Outcome) -> Carried:
    """Return the reservation, or the reason why its seats were given back: of another price."""
    view = after(outcome, ())
    reason = None
    if wish.currency and view.status is Status.HELD:
        if view.currency != wish.currency:
            reason = Reason.WRONG_CURRENCY
        elif view.amount != wish.amount:
            reason = Reason.WRONG_AMOUNT
    if reason is None:
        return Carried(view.reservation_id, "")
    await given_back(pod, item)
    return Carried("", reason.name)


async def given_back(pod: Pod, item: Item) -> None:
    """Give seats back that nobody is told of; raises Problem where the log takes nothing now.

    They lapse anyhow.
    """
    where = item.event_id, decoded(item.request).section
    value = pod.desk.encoders.release(_identity(pod, item, where), 0)
    await pod.desk.decided(_command(pod, item, where, value, _RELEASES), CALL_S)


def _hold(pod: Pod, item: Item, wish: Wish) -> Command:
    where = item.event_id, wish.section
    identity = _identity(pod, item, where)
    if wish.seats:
        value = pod.desk.encoders.hold_chosen(identity, wish.seats)
    else:
        value = pod.desk.encoders.hold_best(identity, wish.seat_count)
    return _command(pod, item, where, value, _HOLDS)


def _reservation_id(pod: Pod, item: Item, where: tuple[int, str]) -> str:
    partition = pod.desk.partition_of(section_key(*where))
    return issued_id(stem_of(item.user_id, item.key), partition)


def _identity(pod: Pod, item: Item, where: tuple[int, str]) -> bytes:
    reservation_id = _reservation_id(pod, item, where)
    correlation = ids_of(item.id, item.ids).id
    return pod.desk.encoders.identity(
        reservation_id, item.user_id, where[1], item.event_id, correlation
    )


def _command(
    pod: Pod,
    item: Item,
    where: tuple[int, str],
    value: bytes,
    kinds: frozenset[OutcomeKind],
) -> Command:
    key, ids = section_key(*where), ids_of(item.id, item.ids)
    return Command(
        _reservation_id(pod, item, where).encode(),
        key,
        pod.desk.partition_of(key),
        value,
        kinds,
        ids.id.encode(),
        record_headers(ids),
    )
