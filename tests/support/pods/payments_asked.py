"""Requests about payments of one section that has prices."""

from typing import Any

import httpx
from support.pods.reservation_pods import PaymentLog
from support.pods.reservations_asked import ANN, create, owners_of
from support.seats.section_commands import EVENT, IDS, A, identity

from api.pod import Pod
from state.domain.keys import PURCHASE
from state.domain.purchases.statuses import PurchaseStatus
from state.records.payment_codecs import PaymentCodecs
from state.records.payments import OtherPayment, PurchaseRecord

PRICES: Any = {"currency": "EUR", "amounts": [4_500]}
CARD = {"epoch": 1, "method": "card", "parameters": {"token": "tok-1"}}
CODECS = PaymentCodecs.of(IDS)


def log_of(pod: Pod) -> PaymentLog:
    log: Any = pod.payments.log
    found: PaymentLog = log
    return found


def leave_alone(pod: Pod, alone: Any) -> None:
    """Have owners leave gateways alone from now on, and the pod ask them anew."""
    owners: Any = pod.owners
    owners.alone = alone
    assert pod.payments._left_alone is not None
    pod.payments._left_alone._words.clear()


async def held(client: httpx.AsyncClient, key: str = "k1") -> str:
    reservation_id: str = (await create(client, key)).json()["reservation_id"]
    return reservation_id


async def pay(
    client: httpx.AsyncClient,
    reservation_id: str,
    key: str = "p1",
    body: Any = None,
    who: dict[str, str] = ANN,
    **headers: str,
) -> httpx.Response:
    path = f"/v1/reservations/{reservation_id}/payments"
    return await client.post(
        path, json=body or CARD, headers={**who, "Idempotency-Key": key, **headers}
    )


async def shown(client: httpx.AsyncClient, payment_id: str, query: str = "") -> Any:
    answer = await client.get(f"/v1/payments/{payment_id}{query}", headers=ANN)
    assert answer.status_code == 200, answer.text
    return answer.json()


def store_purchase(
    pod: Pod,
    reservation_id: str,
    status: PurchaseStatus,
    at_ms: int = 1,
    payment_id: bytes = b"",
    *,
    is_sold: bool = False,
    others: tuple[OtherPayment, ...] = (),
) -> None:
    """Have the payments role keep a purchase of ann's."""
    record = PurchaseRecord(
        reservation_id.encode(),
        b"ann",
        b"c",
        A.encode(),
        EVENT,
        identity(reservation_id),
        epoch=1,
        amount=9_000,
        currency=b"EUR",
        gateway=b"mock",
        method=b"card",
        parameters=b"",
        status=status,
        booking_number=b"B-1",
        changed_at_ms=at_ms,
        payment_id=payment_id,
        is_sold=is_sold,
        others=others,
    )
    owners_of(pod).purchases[PURCHASE + reservation_id.encode()] = CODECS.stored(record)
