"""How payments stand, by their reservations and by the purchases of the payments role."""

import asyncio

import httpx
from support.pods.conditions import until
from support.pods.payments_asked import PRICES, held, pay, shown, store_purchase
from support.pods.reservation_pods import Seats
from support.pods.reservations_asked import ANN, asking, owners_of, problem
from support.seats.section_commands import confirm, refund_seats

from api.pod import Pod
from state.domain.purchases.statuses import PurchaseStatus
from state.owners.questions import OwnerUnreachable


def test_a_payment_is_told_as_the_payments_role_keeps_it() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        await pay(client, reservation_id)
        for status in PurchaseStatus:
            if status is not PurchaseStatus.UNSPECIFIED:
                store_purchase(pod, reservation_id, status)
                payment = await shown(client, reservation_id)
                assert (payment["status"], payment["gateway"]) == (status.name, "mock")
                assert payment["booking_number"] == "B-1"

    asking(test, **PRICES)


def test_an_owner_who_cannot_be_asked_is_no_answer_about_money() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        await pay(client, reservation_id)
        seats.append(0, confirm(reservation_id, user="ann"))
        owners_of(pod).failure = OwnerUnreachable("nobody")
        path = f"/v1/payments/{reservation_id}"
        problem(await client.get(path, headers=ANN), 503, "OWNER_UNREACHABLE")

    asking(test, **PRICES)


def test_an_owner_who_is_behind_tells_of_no_payment_that_it_was_never_started() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        await pay(client, reservation_id)
        seats.append(0, confirm(reservation_id, user="ann"))
        path = f"/v1/payments/{reservation_id}"
        problem(await client.get(path, headers=ANN), 503, "NOT_READY")
        seats.append(0, refund_seats(reservation_id, user="ann"))
        problem(await client.get(path, headers=ANN), 503, "NOT_READY")
        store_purchase(pod, reservation_id, PurchaseStatus.REFUNDED)
        assert (await shown(client, reservation_id))["status"] == "REFUNDED"

    asking(test, **PRICES)


def test_what_was_sold_without_a_payment_has_none_that_was_started() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        seats.append(0, confirm(reservation_id, user="ann"))
        assert (await shown(client, reservation_id))["status"] == "NOT_STARTED"

    asking(test, **PRICES)


def test_a_long_poll_ends_when_the_payment_has_changed_or_time_is_over() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        await pay(client, reservation_id)
        first = await shown(client, reservation_id)
        query = f"?changed_from={first['revision']}"
        assert await shown(client, reservation_id, query) == first
        path = f"/v1/payments/{reservation_id}{query}"
        waiting = asyncio.ensure_future(client.get(path, headers={**ANN, "Prefer": "wait=10"}))
        await until(lambda: len(pod.waits) > 0)
        store_purchase(pod, reservation_id, PurchaseStatus.DONE)
        seats.append(0, confirm(reservation_id, user="ann"))
        changed = (await waiting).json()
        assert (changed["status"], changed["reservation_status"]) == ("DONE", "SOLD")

    asking(test, **PRICES)
