"""Payments over HTTP: a buyer begins one, sees how it stands, asks for the money back.

A pod begins a payment by appending one record. It answers 202 with the address of the payment, and
waits neither for a gateway nor for a worker. A hold is paid for once, whatever happens in between:
a payment has the id of its reservation, and the section begins one payment for an epoch.
"""

from typing import Final

from fastapi import APIRouter, Response

from api.commands.payment_way import TAKEN
from api.guard import LOOKS, limited
from api.headers import ByBuyer, ByRefund, ChangedFrom, Key, taken
from api.payments.bodies import PaymentBody, PaymentStart
from api.payments.standing import changed_payment, payment_body, payment_of, purchase_at_owner
from api.standing import own, standing_of
from api.web.answers import json_answer
from api.web.ids import ReservationIdInPath
from api.web.problems import Header as ProblemHeader
from api.web.problems import Problem
from state.domain.keys import split_issued_id
from state.domain.outcome import OutcomeKind, ReservationView
from state.domain.reasons import Reason
from state.domain.reservation import Status

router = APIRouter(tags=["payments"])

# Seats that cost nothing are sold without a payment.
_STARTS: Final = frozenset({OutcomeKind.PAYMENT_STARTED, OutcomeKind.CONFIRMED})


@router.post("/v1/reservations/{reservation_id}/payments", dependencies=limited("create"), **TAKEN)
async def start_payment(
    by: ByBuyer, reservation_id: ReservationIdInPath, body: PaymentStart, key: Key
) -> Response:
    """Pay for the seats of a hold. A repeat with the same key gets the same answer."""
    pod, wait = by.pod, by.wait
    held = own(await standing_of(pod, reservation_id), by.who)
    gateway, parameters = body.checked(pod.settings.gateways, pod.payments.gateways)
    desk = pod.desk
    # The section recognizes a repeat by its correlation id, which is made of the key: so a repeat
    # is known even where Redis has forgotten the key.
    stem = by.stem(key)
    if held.status is Status.HELD and held.amount:
        await by.check_gateway(stem, reservation_id, gateway)
    use = await by.use(stem, {"pay": reservation_id, **body.model_dump()})
    reason = _refusal(held)
    if reason is not None:
        await by.nothing_decided(stem, use)
        raise Problem.of(reason, _ADVICE[reason], decided=False, reservation_id=reservation_id)
    where = held.event_id, held.section
    identity = by.identity(reservation_id, where, stem)
    value = desk.encoders.start_payment(identity, body.epoch, gateway, body.method, parameters)
    command = by.command(reservation_id, where, value, _STARTS, stem)
    # A caller that demands no wait gets a decision that is there already, and waits for none.
    outcome = await desk.decided(command, wait.seconds if wait.headers else 0, by.receive)
    if outcome is not None and outcome.is_refusal:
        refused = Reason(outcome.reason)
        raise Problem.of(
            refused,
            _ADVICE.get(refused, "See `reason`."),
            headers=wait.headers,
            decided=True,
            reservation_id=reservation_id,
            outcome_id=outcome.outcome_id.decode(),
        )
    return _pending(reservation_id, wait.headers)


_ADVICE: Final = {
    Reason.NOT_HELD: "There are no seats that could be paid for.",
    Reason.STALE_EPOCH: "Read the reservation again and name its epoch.",
    Reason.NOT_PRICED: "The seats have no price.",
}


def _refusal(held: ReservationView) -> Reason | None:
    """Return why the section will refuse to begin a payment, whatever happens meanwhile.

    An epoch that has ended is no such reason: the start may be a repeat of one that was taken
    under it, which the log alone knows.
    """
    if held.status is Status.REJECTED:
        return Reason.NOT_HELD
    return None if held.currency else Reason.NOT_PRICED


@router.get("/v1/payments/{payment_id}", response_model=PaymentBody, dependencies=LOOKS)
async def show_payment(
    by: ByBuyer, payment_id: ReservationIdInPath, changed_from: ChangedFrom = None
) -> Response:
    """Show how a payment stands; wait until that has changed."""
    payment = await payment_of(by.pod, payment_id, by.who)
    wait_s = by.wait.seconds
    if changed_from == payment.revision and wait_s > 0:
        payment = await by.until(
            lambda: changed_payment(by.pod, payment_id, by.who, payment.revision, wait_s)
        )
    return json_answer(payment_body(payment), 200, by.wait.headers)


@router.post("/v1/reservations/{reservation_id}:refund", dependencies=limited("cancel"), **TAKEN)
async def refund(by: ByRefund, reservation_id: ReservationIdInPath) -> Response:
    """Give seats back and get the money back: all of it, for there are no partial refunds."""
    pod = by.pod
    held = own(await standing_of(pod, reservation_id), by.who)
    parts = split_issued_id(reservation_id)
    assert parts is not None
    if held.status not in {Status.SOLD, Status.REFUNDED}:
        raise Problem.of(
            Reason.NOT_PAID,
            "The seats of this reservation are not sold.",
            decided=False,
            reservation_id=reservation_id,
        )
    if await purchase_at_owner(pod, held) is None:
        # Seats that were free of charge or sold without a payment: the payments role would pass
        # over the request in silence.
        raise Problem.of(
            Reason.NOT_PAID,
            "The seats were free of charge or sold without a payment.",
            decided=False,
            reservation_id=reservation_id,
        )
    await by.tell(reservation_id, parts.partition, held.section, held.event_id)
    return _pending(reservation_id, ())


def _pending(payment_id: str, headers: tuple[ProblemHeader, ...]) -> Response:
    body = {"payment_id": payment_id, "status": "PENDING"}
    return taken(f"/v1/payments/{payment_id}", body, headers)
