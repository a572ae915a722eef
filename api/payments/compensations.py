"""Payments that a person has to look after: an operator lists them, and says what was found.

The payments role does not know where the money of such a payment is, or cannot give it back. A
person looks at the gateway, puts things right there, and says so here.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal, NamedTuple

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.guard import Operator, limited, operator, pod_of
from api.pod import Pod
from api.standing import UNANSWERED
from api.web.answers import json_answer
from api.web.ids import ReservationIdInPath
from api.web.problems import Problem, bad, told_as
from api.web.whole_numbers import USUAL_FORM
from schemas.topics import PAYMENT_COMMANDS
from state.domain.keys import COMPENSATION, PURCHASE, RESERVATION_ID
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding as Found
from state.domain.reasons import ApiReason, Reason
from state.owners.protocol import LISTED_MAX
from state.records.payments import OtherPayment, PurchaseRecord, purchase_of

router = APIRouter(tags=["payments"])

LIMIT_MAX: Final = 100
PARTITION_MAX: Final = 999_999

_CURSOR: Final = rf"^(0|[1-9][0-9]{{0,5}}):{RESERVATION_ID.pattern.decode()}$"
_UNANSWERED: Final = tuple(UNANSWERED)
_FOUND: Final = {
    "REFUNDED": Found.REFUNDED,
    "UNPAID": Found.FOUND_UNPAID,
    "LOOK_AGAIN": Found.LOOK_AGAIN,
    "PAID_ELSEWHERE": Found.PAID_ELSEWHERE,
}


class CompensationBody(BaseModel):
    """A payment whose money may not be where it belongs.

    Where a capture is known, `gateway_payment_id` is the gateway's id of it, and `amount` is what
    was captured. Otherwise the id is empty, and `amount` is what was charged.

    With `beside`, another shop tells of this payment beside the one that the reservation has:
    nobody here has asked its gateway, and `amount` is what the seats cost, 0 where nobody knows.
    Whoever resolves it names `gateway` and `gateway_payment_id`.
    """

    partition: int = Field(description="Part of the compensation's address.")
    payment_id: str
    user_id: str
    event_id: int
    section: str
    gateway: str
    gateway_payment_id: str
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str
    beside: bool = Field(description="Another payment of a reservation that has one already.")
    seats_sold: bool = Field(description="Whether its seats are known to be sold, by whomever.")
    changed_at_ms: int = Field(description="Unix ms.")
    detail: str = Field(description="The gateway's last answer, for people.")


class CompensationPage(BaseModel):
    """Compensations in the order of their addresses; `next_cursor` is null on the last page.

    `unknown` names the partitions whose owner does not answer now. Their compensations may be
    missing from this page.
    """

    compensations: list[CompensationBody]
    next_cursor: str | None
    unknown: list[int]


class Finding(BaseModel):
    """What a person has found, or brought about.

    REFUNDED: the money is back; UNPAID: it never moved. LOOK_AGAIN: what was in the way is mended,
    ask the gateway again, and tell the section by what it says. PAID_ELSEWHERE: the seats are
    sold, and paid for elsewhere, so they stay so; nothing is left of this payment.

    `gateway` and `gateway_payment_id`, both or none, name a payment beside it: REFUNDED or UNPAID.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    finding: Literal["REFUNDED", "UNPAID", "LOOK_AGAIN", "PAID_ELSEWHERE"]
    gateway: str = Field("", max_length=32)
    gateway_payment_id: str = Field("", max_length=4_096)

    def check_whole(self) -> None:
        """Raise Problem where only half of a payment beside it is named, or nothing ends it."""
        if bool(self.gateway) != bool(self.gateway_payment_id):
            bad("body.gateway", "with gateway_payment_id, or neither")
        if self.gateway and self.finding not in {"REFUNDED", "UNPAID"}:
            bad("body.finding", "of a payment beside it: REFUNDED or UNPAID")

    def is_of(self, other: OtherPayment) -> bool:
        """Say whether this is about a payment that still needs a person."""
        named = self.gateway.encode(), self.gateway_payment_id.encode()
        return other[:2] == named and not other.finding


class Resolving(BaseModel):
    """A finding that was taken: once it is applied, the payment is listed no more.

    After LOOK_AGAIN that is when its gateway, or then its section, leaves nothing open.
    """

    payment_id: str
    status: Literal["PENDING"]


class Place(NamedTuple):
    """The last payment of a page, behind which the next page begins."""

    partition: int
    payment_id: bytes


@router.get(
    "/v1/compensations",
    response_model=CompensationPage,
    dependencies=[Depends(operator), *limited("other")],
)
async def list_compensations(
    request: Request,
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX), USUAL_FORM, Query()] = LIMIT_MAX,
    cursor: Annotated[
        str | None,
        Query(pattern=_CURSOR, description="`next_cursor` of the page before, as it was."),
    ] = None,
) -> Response:
    """List payments that a person has to look after."""
    pod = pod_of(request)
    at = _place_of(cursor)
    found: list[dict[str, Any]] = []
    unknown: list[int] = []
    for partition in range(at.partition, pod.payments.partitions()):
        after = at.payment_id if partition == at.partition else b""
        try:
            async for purchase in _open_in(pod, partition, after):
                # All of one reservation stand on one page, which may be a little longer for it.
                if len(found) >= limit:
                    last = found[-1]
                    return _listed(found, f"{last['partition']}:{last['payment_id']}", unknown)
                found += _bodies(partition, purchase)
        except _UNANSWERED:
            # A partition that does not answer must not hide the compensations of the others.
            unknown.append(partition)
    return _listed(found, None, unknown)


@router.post(
    "/v1/compensations/{partition}/{payment_id}:resolve",
    status_code=202,
    response_model=Resolving,
    dependencies=limited("other"),
)
async def resolve_compensation(
    request: Request,
    partition: Annotated[int, Field(ge=0, le=PARTITION_MAX), USUAL_FORM, Path()],
    payment_id: ReservationIdInPath,
    body: Finding,
    who: Operator,
) -> Response:
    """Say what became of the money of a payment that a person has looked after."""
    pod = pod_of(request)
    body.check_whole()
    known = pod.payments.has_partition(partition)
    purchase = await _purchase(pod, partition, payment_id.encode()) if known else None
    if purchase is None or not _needs_person(purchase, body):
        raise Problem.of(ApiReason.NOT_FOUND, "No such payment needs a person.")
    _check_finding(purchase, body)
    identity = pod.desk.encoders.identity(
        payment_id,
        who.user_id,
        purchase.section.decode(),
        purchase.event_id,
        request.state.correlation.id,
    )
    value = pod.payments.encoders.compensation_resolved(
        identity, _FOUND[body.finding], body.gateway, body.gateway_payment_id
    )
    await pod.payments.tell(payment_id, partition, value, request.state.correlation)
    return json_answer({"payment_id": payment_id, "status": "PENDING"}, 202)


def _needs_person(purchase: PurchaseRecord, body: Finding) -> bool:
    """Say whether the payment that a finding is about needs a person."""
    if body.gateway:
        return any(map(body.is_of, purchase.others))
    return purchase.status == PurchaseStatus.COMPENSATION_REQUIRED


def _check_finding(purchase: PurchaseRecord, body: Finding) -> None:
    """Raise Problem (409) for a finding that contradicts what is known of a payment."""
    if body.gateway:
        return
    if body.finding == "UNPAID" and purchase.payment_id:
        raise Problem.of(
            Reason.REFUND_DUE,
            "The gateway has taken money for it: give it back there, and say REFUNDED.",
            decided=False,
        )
    if body.finding == "PAID_ELSEWHERE" and not purchase.is_sold:
        raise Problem.of(
            Reason.NOT_PAID,
            "Its seats are not known to be sold; LOOK_AGAIN tells more.",
            decided=False,
        )


# --- what owners know -------------------------------------------------------------------------


async def _open_in(pod: Pod, partition: int, after: bytes) -> AsyncIterator[PurchaseRecord]:
    """Give the purchases of a partition that a person has to look after, by ascending id."""
    begin = COMPENSATION + after + (b"\0" if after else b"")
    while True:
        keys = await pod.owners.keys(PAYMENT_COMMANDS.name, partition, COMPENSATION, begin)
        for key in keys:
            purchase = await _stored(pod, partition, key.removeprefix(COMPENSATION))
            # The compensation may have been resolved since its key was listed.
            if purchase is not None and purchase.needs_person:
                yield purchase
        if len(keys) < LISTED_MAX:
            return
        begin = keys[-1] + b"\0"


async def _purchase(pod: Pod, partition: int, payment_id: bytes) -> PurchaseRecord | None:
    """Return a purchase as its owner has it; Problem (503) where the owner cannot be asked."""
    with told_as(UNANSWERED):
        return await _stored(pod, partition, payment_id)


async def _stored(pod: Pod, partition: int, payment_id: bytes) -> PurchaseRecord | None:
    stored = await pod.owners.get(PAYMENT_COMMANDS.name, partition, PURCHASE + payment_id)
    return None if stored is None else purchase_of(stored)


# --- answers ---------------------------------------------------------------------------------


def _place_of(cursor: str | None) -> Place:
    if cursor is None:
        return Place(0, b"")
    partition, _, payment_id = cursor.partition(":")
    return Place(int(partition), payment_id.encode())


def _bodies(partition: int, purchase: PurchaseRecord) -> list[dict[str, Any]]:
    """Return the bodies of a payment, if it needs a person, and of those beside it that do."""
    is_captured = bool(purchase.payment_id)
    own = {
        "partition": partition,
        "payment_id": purchase.reservation_id.decode(),
        "user_id": purchase.user_id.decode(),
        "event_id": purchase.event_id,
        "section": purchase.section.decode(),
        "gateway": purchase.gateway.decode(),
        "gateway_payment_id": purchase.payment_id.decode(),
        "amount": purchase.paid if is_captured else purchase.amount,
        "currency": (purchase.paid_currency if is_captured else purchase.currency).decode(),
        "beside": False,
        "seats_sold": purchase.is_sold,
        "changed_at_ms": purchase.changed_at_ms,
        "detail": purchase.detail.decode(errors="replace"),
    }
    is_lost = purchase.status == PurchaseStatus.COMPENSATION_REQUIRED
    return [own] * is_lost + [
        own | _beside(other) for other in purchase.others if not other.finding
    ]


def _beside(other: OtherPayment) -> dict[str, Any]:
    """Return what the body of another payment has otherwise."""
    return {
        "user_id": other.user_id.decode(),
        "gateway": other.gateway.decode(),
        "gateway_payment_id": other.payment_id.decode(errors="replace"),
        "amount": other.amount,
        "currency": other.currency.decode(),
        "beside": True,
        "changed_at_ms": other.told_at_ms,
        "detail": f"another shop says that this was paid, for epoch {other.epoch}",
    }


def _listed(found: list[dict[str, Any]], next_cursor: str | None, unknown: list[int]) -> Response:
    return json_answer(
        {"compensations": found, "next_cursor": next_cursor, "unknown": unknown}, 200
    )
