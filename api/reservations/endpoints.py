"""Reservations over HTTP: hold seats, look at a hold, give it back, make it last longer.

A write is answered when its outcome is committed, or 202 with the place to ask. Whatever happens
to the pod, the client or the network in between, the same idempotency key leads to the same
reservation, for its id follows from user and key.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from api import pre_locks
from api.access.identity import Identity
from api.commands.desk import Command, Wait
from api.commands.idempotency_keys import IdempotencyKey
from api.guard import buyer, limited, pod_of
from api.headers import AskedWait, Key
from api.pod import Pod
from api.reservations.bodies import (
    Extension,
    PendingBody,
    ReservationBody,
    pending_body,
    reservation_body,
)
from api.seat_bodies import BestAvailable, ChosenSeats, refuse_certain, seat_body
from api.standing import awaited, limits_of, own, standing_of, unknown
from api.web.answers import json_answer
from api.web.consistency_tokens import token_of
from api.web.ids import SECTION_FORM, EventIdInPath, ReservationIdInPath
from api.web.problems import Header as ProblemHeader
from api.web.problems import Problem
from api.web.waits import caller_of
from api.web.whole_numbers import Int32, Int64
from infra.process.record_ids import record_headers
from state.domain.keys import section_key
from state.domain.layout import SeatRange
from state.domain.outcome import (
    Outcome,
    OutcomeKind,
    ReservationView,
    after,
    reason_of,
)
from state.domain.reasons import ApiReason, Reason
from state.domain.tickets import issued_id, ticket_of
from state.redis.idempotency import Claim, digest_of
from state.redis.seat_lock import Granted

router = APIRouter(tags=["reservations"])

LOOK_FOR_S: Final = 0.5
"""How long an id that nobody knows is looked for: another pod's answer may be ahead of us."""

Buyer = Annotated[Identity, Depends(buyer)]

_HOLDS: Final = frozenset({OutcomeKind.HELD, OutcomeKind.REJECTED})
_RELEASES: Final = frozenset({OutcomeKind.RELEASED})
_EXTENSIONS: Final = frozenset({OutcomeKind.EXTENDED})

_PENDING: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "model": PendingBody,
        "description": "Taken, not decided yet: ask at Location after Retry-After seconds.",
    }
}

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


@router.post(
    "/v1/events/{event_id}/reservations",
    status_code=201,
    response_model=ReservationBody,
    responses=_PENDING,
    dependencies=[Depends(limited("create"))],
)
async def reserve(
    request: Request,
    event_id: EventIdInPath,
    body: BestAvailable | ChosenSeats,
    who: Buyer,
    key: Key,
    wait: AskedWait,
) -> Response:
    """Hold seats: the best available, or those chosen."""
    pod = pod_of(request)
    desk = pod.desk
    await _refuse_limited(pod, event_id, body.section)
    section = section_key(event_id, body.section)
    partition = desk.partition_of(section)
    ticket = ticket_of(who.user_id, key)
    reservation_id = issued_id(ticket, partition)
    asked = {"hold": event_id, **body.model_dump()}
    claim = await _claim(pod, ticket, partition, digest_of(asked))
    locks: Sequence[Granted] = ()
    if claim is Claim.FIRST and pod.outcomes.get(reservation_id.encode()) is None:
        try:
            refuse_certain(pod, event_id, body, _advice)
            locks = await pre_locks.taken(pod, event_id, [(body, reservation_id)])
        except Problem:
            # Nothing was decided, so the key stands for nothing yet.
            await desk.keys.give_back(ticket)
            raise
    correlation = request.state.correlation
    identity = desk.encoders.identity(
        reservation_id, who.user_id, body.section, event_id, correlation.id
    )
    if isinstance(body, BestAvailable):
        value = desk.encoders.hold_best(identity, body.quantity)
    else:
        seats = [(seat.row, seat.seat) for seat in body.seats]
        value = desk.encoders.hold_chosen(identity, seats)
    command = Command(
        reservation_id.encode(),
        section,
        partition,
        value,
        _HOLDS,
        correlation.id.encode(),
        record_headers(correlation),
    )
    deciding = desk.decided(command, wait.seconds, request.receive)
    outcome = await pre_locks.settled(pod.pre_locks, locks, deciding)
    place = _place(reservation_id)
    if outcome is None:
        if claim is Claim.SAME:
            raise Problem.of(
                ApiReason.STILL_RUNNING,
                "Ask at Location, or again with the same key.",
                headers=(place, _COME_BACK),
                reservation_id=reservation_id,
            )
        return _pending(reservation_id, event_id, body.section, wait)
    if outcome.is_refusal:
        raise _refusal(outcome, (place, *wait.headers))
    return _shown(after(outcome, ()), 201, (place, *wait.headers))


@router.get(
    "/v1/reservations/{reservation_id}",
    response_model=ReservationBody,
    dependencies=[Depends(limited("position"))],
)
async def show(
    request: Request,
    reservation_id: ReservationIdInPath,
    who: Buyer,
    wait: AskedWait,
    changed_from: Annotated[
        str | None,
        Query(max_length=128, description="An outcome_id: wait until it is another."),
    ] = None,
    min_version: Annotated[
        Int64, Query(description="Wait until at least this version decided.")
    ] = 0,
) -> Response:
    """Show a reservation, recent or old; wait until it exists, or until it has changed."""
    pod = pod_of(request)
    wait_s = wait.seconds
    if not (wait.headers or changed_from or min_version):
        wait_s = min(wait_s, LOOK_FOR_S)

    def is_met(view: ReservationView) -> bool:
        return view.version >= min_version and view.outcome_id != changed_from

    view = await standing_of(pod, reservation_id)
    if wait_s > 0 and (view is None or (view.user_id == who.user_id and not is_met(view))):
        view = await pod.waits.of(
            caller_of(request, who.user_id), lambda: awaited(pod, reservation_id, is_met, wait_s)
        )
    view = own(view, who)
    if view.version < min_version:
        raise Problem.of(
            ApiReason.NOT_YET,
            "Ask again later, or for what there is by naming no version.",
            headers=(_COME_BACK,),
            version=view.version,
        )
    return _shown(view, 200, wait.headers)


# What there is beside a later command's own: its answer, and the limit that it counts for.
_LATER: Final[dict[str, Any]] = {
    "response_model": ReservationBody,
    "responses": _PENDING,
    "dependencies": [Depends(limited("cancel"))],
}


@router.delete("/v1/reservations/{reservation_id}", **_LATER)
async def release(
    request: Request,
    reservation_id: ReservationIdInPath,
    who: Buyer,
    wait: AskedWait,
    key: Annotated[
        IdempotencyKey | None,
        Header(
            alias="Idempotency-Key",
            description="The one that the reservation was asked for with: cancels it, together "
            "with event_id and section, even where it is not decided yet.",
        ),
    ] = None,
    epoch: Annotated[Int32, Query(description="0 for any.")] = 0,
    event_id: Annotated[Int64 | None, Query()] = None,
    section: Annotated[str | None, Query(pattern=SECTION_FORM)] = None,
) -> Response:
    """Give seats back. A repeat gets the same answer."""
    pod = pod_of(request)
    found = await standing_of(pod, reservation_id)
    if found is None and key is not None and event_id is not None and section is not None:
        # Only who asked for it knows a key that leads to this id.
        if (
            issued_id(
                ticket_of(who.user_id, key), pod.desk.partition_of(section_key(event_id, section))
            )
            != reservation_id
        ):
            raise unknown()
    else:
        found = own(found, who)
        event_id, section = found.event_id, found.section
    desk, correlation = pod.desk, request.state.correlation
    identity = desk.encoders.identity(
        reservation_id, who.user_id, section, event_id, correlation.id
    )
    command = _later(
        pod,
        request,
        reservation_id,
        (event_id, section),
        desk.encoders.release(identity, epoch),
        _RELEASES,
        correlation.id,
    )
    return await _changed(request, command, (event_id, section), wait)


@router.post("/v1/reservations/{reservation_id}:extend", **_LATER)
async def extend(
    request: Request,
    reservation_id: ReservationIdInPath,
    body: Extension,
    who: Buyer,
    key: Key,
    wait: AskedWait,
) -> Response:
    """Let a hold last longer. A repeat with the same key extends nothing further."""
    pod = pod_of(request)
    found = own(await standing_of(pod, reservation_id), who)
    desk = pod.desk
    # The log knows an extension by its correlation id.
    ticket = ticket_of(who.user_id, key)
    asked = {"extend": reservation_id, "epoch": body.epoch}
    if await desk.keys.claim(ticket, digest_of(asked)) is Claim.OTHER:
        raise _reused()
    identity = desk.encoders.identity(
        reservation_id, who.user_id, found.section, found.event_id, ticket
    )
    command = _later(
        pod,
        request,
        reservation_id,
        (found.event_id, found.section),
        desk.encoders.extend(identity, body.epoch),
        _EXTENSIONS,
        ticket,
    )
    return await _changed(request, command, (found.event_id, found.section), wait, found.seats)


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


async def _claim(pod: Pod, ticket: str, partition: int, digest: str) -> Claim:
    """Take the key for this body; raises Problem (422) where it stands for another."""
    claim = await pod.desk.keys.claim(ticket, digest)
    if claim is Claim.OTHER:
        raise _reused()
    if claim is not Claim.SAME:
        # The log compares what comes under one id; the same key on another partition is another
        # id, which this pod may have seen even where Redis has not, or has forgotten.
        for other in range(pod.commands.partitions):
            elsewhere = issued_id(ticket, other).encode()
            if other != partition and pod.outcomes.get(elsewhere) is not None:
                raise _reused()
    return claim


def _later(
    pod: Pod,
    request: Request,
    reservation_id: str,
    where: tuple[int, str],
    value: bytes,
    kinds: frozenset[OutcomeKind],
    correlation: str,
) -> Command:
    """Return a command for a reservation that has an id; `where`: event and section."""
    key = section_key(*where)
    return Command(
        reservation_id.encode(),
        key,
        pod.desk.partition_of(key),
        value,
        kinds,
        correlation.encode(),
        record_headers(request.state.correlation),
    )


async def _changed(
    request: Request,
    command: Command,
    where: tuple[int, str],
    wait: Wait,
    seats: tuple[SeatRange, ...] = (),
) -> Response:
    """Answer with what became of a command for a reservation that has an id.

    seats: those that it has afterwards.
    """
    pod = pod_of(request)
    outcome = await pod.desk.decided(command, wait.seconds, request.receive)
    if outcome is None:
        return _pending(command.reservation_id.decode(), *where, wait)
    if outcome.is_refusal:
        raise _refusal(outcome, wait.headers)
    changed = after(outcome, seats)
    if outcome.kind is OutcomeKind.EXTENDED:
        await pre_locks.prolonged(pod.pre_locks, changed.event_id, [pre_locks.held(changed)])
    return _shown(changed, 200, wait.headers)


# --- answers ---------------------------------------------------------------------------------

_COME_BACK: Final[ProblemHeader] = ("Retry-After", "1")


def _place(reservation_id: str) -> ProblemHeader:
    return ("Location", f"/v1/reservations/{reservation_id}")


def _shown(view: ReservationView, status: int, headers: tuple[ProblemHeader, ...]) -> Response:
    return json_answer(reservation_body(view), status, headers)


def _pending(reservation_id: str, event_id: int, section: str, wait: Wait) -> Response:
    body = pending_body(reservation_id, event_id, section)
    return json_answer(body, 202, (_place(reservation_id), _COME_BACK, *wait.headers))


def _advice(reason: Reason) -> str:
    return _ADVICE.get(reason, "See `reason`.")


def _refusal(outcome: Outcome, headers: tuple[ProblemHeader, ...]) -> Problem:
    """Return the problem of a committed refusal."""
    reason = reason_of(outcome.reason)
    if reason is Reason.CONFLICT:
        return _reused()
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


def _reused() -> Problem:
    return Problem.of(
        ApiReason.IDEMPOTENCY_KEY_REUSED, "Use a new key for each different request."
    )
