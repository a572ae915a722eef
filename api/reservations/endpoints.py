"""Reservations over HTTP: hold seats, look at a hold, give it back, make it last longer.

A write is answered when its outcome is committed, or 202 with the place to ask. Whatever happens
to the pod, the client or the network in between, the same idempotency key leads to the same
reservation, for its id follows from user and key.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response

from api import pre_locks
from api.commands.desk import Command, Wait
from api.commands.idempotency_keys import IdempotencyKey
from api.guard import LOOKS
from api.headers import (
    COME_BACK,
    Asked,
    ByBuyer,
    Key,
    decided_as,
    reused,
    still_running,
    taken,
)
from api.pod import Pod
from api.reservations.bodies import (
    Extension,
    PendingBody,
    ReservationBody,
    pending_body,
    reservation_body,
)
from api.seat_bodies import BestAvailable, ChosenSeats, refuse_certain, seat_body
from api.standing import ADMITTED, awaited, limits_of, own, standing_of, unknown
from api.web.answers import json_answer
from api.web.consistency_tokens import token_of
from api.web.ids import SECTION_FORM, EventIdInPath, ReservationIdInPath
from api.web.problems import Header as ProblemHeader
from api.web.problems import Problem
from api.web.whole_numbers import Int32, Int64
from state.domain.keys import issued_id, section_key
from state.domain.layout import SeatRange
from state.domain.outcome import (
    Outcome,
    OutcomeKind,
    ReservationView,
    after,
    reason_of,
)
from state.domain.reasons import ApiReason, Reason
from state.redis.idempotency import Use
from state.redis.seat_lock import Granted

router = APIRouter(tags=["reservations"])

LOOK_FOR_S: Final = 0.5
"""How long an id that nobody knows is looked for: another pod's answer may be ahead of us."""

_HOLDS: Final = frozenset({OutcomeKind.HELD, OutcomeKind.REJECTED})
_RELEASES: Final = frozenset({OutcomeKind.RELEASED})
_EXTENSIONS: Final = frozenset({OutcomeKind.EXTENDED})

_FIRST: Final = decided_as(ReservationBody, PendingBody, "create", *ADMITTED)
_LATER: Final = decided_as(ReservationBody, PendingBody, "cancel")

KeyOfHold = Annotated[
    IdempotencyKey | None,
    Header(
        alias="Idempotency-Key",
        description="The one that the reservation was asked for with: cancels it, together "
        "with event_id and section, even where it is not decided yet.",
    ),
]

# What a client does about a refusal; the rest of the reasons need no more than their title.
_ADVICE: Final = {
    Reason.UNKNOWN_SECTION: "See the event's sections.",
    Reason.NOT_OPEN: "See the event's sale_starts_ms.",
    Reason.BAD_COUNT: "The section allows fewer seats in one reservation.",
    Reason.UNKNOWN_SEAT: "Name seats of the section's map, each once.",
    Reason.SEAT_TAKEN: "Choose other seats, with a new idempotency key.",
    Reason.SOLD_OUT: "Ask for fewer seats or later, with a new idempotency key.",
    Reason.NO_ADJACENT_SEATS: "Ask for fewer seats or choose them, with a new idempotency key.",
    Reason.ORPHAN_SEAT: "Leave no single seat, with a new idempotency key.",
    Reason.STALE_EPOCH: "Read the reservation again and name its epoch.",
    Reason.EXTENSION_CAP: "The hold lasts as long as it can.",
    Reason.ALREADY_SOLD: "The seats are bought; giving them back is another matter.",
}


@router.post("/v1/events/{event_id}/reservations", status_code=201, **_FIRST)
async def reserve(
    by: ByBuyer, event_id: EventIdInPath, body: BestAvailable | ChosenSeats, key: Key
) -> Response:
    """Hold seats: the best available, or those chosen."""
    pod, desk = by.pod, by.pod.desk
    await _refuse_limited(pod, event_id, body.section)
    where = event_id, body.section
    partition = desk.partition_of(section_key(*where))
    stem = by.stem(key)
    reservation_id = issued_id(stem, partition)
    use = await by.use(stem, {"hold": event_id, **body.model_dump()})
    if use is not Use.SAME:
        _refuse_elsewhere(pod, stem, partition)
    locks: Sequence[Granted] = ()
    if use is Use.FIRST and pod.outcomes.get(reservation_id.encode()) is None:
        try:
            refuse_certain(pod, event_id, body, _advice)
            locks = await pre_locks.taken(pod, event_id, [(body, reservation_id)])
        except Problem:
            # Nothing was decided, so the key stands for nothing yet.
            await desk.keys.give_back(stem)
            raise
    identity = by.identity(reservation_id, where, by.correlation.id)
    if isinstance(body, BestAvailable):
        value = desk.encoders.hold_best(identity, body.quantity)
    else:
        seats = [(seat.row, seat.seat) for seat in body.seats]
        value = desk.encoders.hold_chosen(identity, seats)
    command = by.command(reservation_id, where, value, _HOLDS, by.correlation.id)
    deciding = desk.decided(command, by.wait.seconds, by.receive)
    outcome = await pre_locks.settled(pod.pre_locks, locks, deciding)
    if outcome is None:
        if use is Use.SAME:
            raise still_running(_place(reservation_id), reservation_id=reservation_id)
        return _pending(reservation_id, where, by.wait)
    headers = (("Location", _place(reservation_id)), *by.wait.headers)
    if outcome.is_refusal:
        raise _refusal(outcome, headers)
    return _shown(after(outcome, ()), 201, headers)


@router.get(
    "/v1/reservations/{reservation_id}",
    response_model=ReservationBody,
    dependencies=LOOKS,
)
async def show(
    by: ByBuyer,
    reservation_id: ReservationIdInPath,
    changed_from: Annotated[
        str | None,
        Query(max_length=128, description="An outcome_id: wait until it is another."),
    ] = None,
    min_version: Annotated[
        Int64, Query(description="Wait until at least this version decided.")
    ] = 0,
) -> Response:
    """Show a reservation, recent or old; wait until it exists, or until it has changed."""
    pod, who, wait_s = by.pod, by.who, by.wait.seconds
    if not (by.wait.headers or changed_from or min_version):
        wait_s = min(wait_s, LOOK_FOR_S)

    def is_met(view: ReservationView) -> bool:
        return view.version >= min_version and view.outcome_id != changed_from

    view = await standing_of(pod, reservation_id)
    if wait_s > 0 and (view is None or (view.user_id == who.user_id and not is_met(view))):
        view = await by.until(lambda: awaited(pod, reservation_id, is_met, wait_s))
    view = own(view, who)
    if view.version < min_version:
        raise Problem.of(
            ApiReason.NOT_YET,
            "Ask again later, or for what there is by naming no version.",
            headers=(COME_BACK,),
            version=view.version,
        )
    return _shown(view, 200, by.wait.headers)


@router.delete("/v1/reservations/{reservation_id}", **_LATER)
async def release(
    by: ByBuyer,
    reservation_id: ReservationIdInPath,
    key: KeyOfHold = None,
    epoch: Annotated[Int32, Query(description="0 for any.")] = 0,
    event_id: Annotated[Int64 | None, Query()] = None,
    section: Annotated[str | None, Query(pattern=SECTION_FORM)] = None,
) -> Response:
    """Give seats back. A repeat gets the same answer."""
    pod = by.pod
    found = await standing_of(pod, reservation_id)
    if found is None and key is not None and event_id is not None and section is not None:
        # Only who asked for it knows a key that leads to this id.
        partition = pod.desk.partition_of(section_key(event_id, section))
        if issued_id(by.stem(key), partition) != reservation_id:
            raise unknown()
    else:
        found = own(found, by.who)
        event_id, section = found.event_id, found.section
    where = event_id, section
    value = pod.desk.encoders.release(by.identity(reservation_id, where, by.correlation.id), epoch)
    command = by.command(reservation_id, where, value, _RELEASES, by.correlation.id)
    return await _changed(by, command, where)


@router.post("/v1/reservations/{reservation_id}:extend", **_LATER)
async def extend(
    by: ByBuyer, reservation_id: ReservationIdInPath, body: Extension, key: Key
) -> Response:
    """Let a hold last longer. A repeat with the same key extends nothing further."""
    found = own(await standing_of(by.pod, reservation_id), by.who)
    where = found.event_id, found.section
    # The log knows an extension by its correlation id.
    stem = by.stem(key)
    await by.use(stem, {"extend": reservation_id, "epoch": body.epoch})
    value = by.pod.desk.encoders.extend(by.identity(reservation_id, where, stem), body.epoch)
    command = by.command(reservation_id, where, value, _EXTENSIONS, stem)
    return await _changed(by, command, where, found.seats)


# --- before a command ------------------------------------------------------------------------


async def _refuse_limited(pod: Pod, event_id: int, section: str) -> None:
    """Raise Problem where the event limits its buyers: only carts are counted, in one place."""
    if any(await limits_of(pod, event_id, [section])):
        raise Problem.of(
            ApiReason.CART_NEEDED,
            "This event limits what a buyer may have of it, and only carts are counted: hold the"
            f" same seats by a cart of one item, POST /v1/events/{event_id}/carts.",
            headers=(("Location", f"/v1/events/{event_id}/carts"),),
        )


def _refuse_elsewhere(pod: Pod, stem: str, partition: int) -> None:
    """Raise Problem (422) where a key has led to a reservation on another partition.

    The log compares what comes under one id; the same key on another partition is another id,
    which this pod may have seen even where Redis has not, or has forgotten.
    """
    for other in range(pod.commands.partitions):
        elsewhere = issued_id(stem, other).encode()
        if other != partition and pod.outcomes.get(elsewhere) is not None:
            raise reused()


async def _changed(
    by: Asked, command: Command, where: tuple[int, str], seats: tuple[SeatRange, ...] = ()
) -> Response:
    """Answer with what became of a command for a reservation that has an id.

    seats: those that it has afterwards.
    """
    outcome = await by.pod.desk.decided(command, by.wait.seconds, by.receive)
    if outcome is None:
        return _pending(command.reservation_id.decode(), where, by.wait)
    if outcome.is_refusal:
        raise _refusal(outcome, by.wait.headers)
    changed = after(outcome, seats)
    if outcome.kind is OutcomeKind.EXTENDED:
        await pre_locks.prolonged(by.pod.pre_locks, changed.event_id, [pre_locks.held(changed)])
    return _shown(changed, 200, by.wait.headers)


# --- answers ---------------------------------------------------------------------------------


def _place(reservation_id: str) -> str:
    return f"/v1/reservations/{reservation_id}"


def _shown(view: ReservationView, status: int, headers: tuple[ProblemHeader, ...]) -> Response:
    return json_answer(reservation_body(view), status, headers)


def _pending(reservation_id: str, where: tuple[int, str], wait: Wait) -> Response:
    body = pending_body(reservation_id, *where)
    return taken(_place(reservation_id), body, wait.headers)


def _advice(reason: Reason) -> str:
    return _ADVICE.get(reason, "See `reason`.")


def _refusal(outcome: Outcome, headers: tuple[ProblemHeader, ...]) -> Problem:
    """Return the problem of a committed refusal."""
    reason = reason_of(outcome.reason)
    if reason is Reason.CONFLICT:
        return reused()
    if reason in {Reason.FORBIDDEN, Reason.UNKNOWN_RESERVATION}:
        return unknown()
    section = outcome.section.decode()
    return Problem.of(
        reason,
        _advice(reason),
        headers=headers,
        decided=True,
        reservation_id=outcome.reservation_id.decode(),
        outcome_id=outcome.outcome_id.decode(),
        version=outcome.version,
        consistency_token=token_of(
            outcome.event_id, section, outcome.version, outcome.decided_at_ms
        ),
        seat=seat_body(outcome.seat),
    )
