"""Payments over HTTP; the real section decides, and purchases lie where a test puts them."""

import asyncio
from typing import Any

import httpx
import pytest
from support.pods.payments_asked import (
    CARD,
    PRICES,
    held,
    leave_alone,
    log_of,
    pay,
    shown,
    store_purchase,
)
from support.pods.reservation_pods import NotAppended, Seats
from support.pods.reservations_asked import ANN, BOB, asking, owners_of, problem
from support.seats.section_commands import EVENT, confirm, fail_payment, release, told

from api.pod import Pod
from state.domain.keys import stem_of
from state.domain.purchases.statuses import PurchaseStatus
from state.owners.questions import OwnerUnreachable


def test_a_payment_is_begun_by_one_record_and_answered_with_where_to_ask() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        answer = await pay(client, reservation_id)
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"payment_id": reservation_id, "status": "PENDING"}
        assert answer.headers["location"] == f"/v1/payments/{reservation_id}"
        assert answer.headers["cache-control"] == "no-store"
        [asked] = map(told, seats.partitions[0].payments)
        assert (asked.name, asked.amount, asked.currency) == ("PaymentRequested", 9_000, b"EUR")
        assert (asked.gateway, asked.method) == (b"mock", b"card")
        assert asked.parameters == b'{"token":"tok-1"}'
        # The log knows the start by its key, and Redis may forget it.
        assert asked.correlationId == stem_of("ann", "p1").encode()
        payment = await shown(client, reservation_id)
        assert (payment["status"], payment["reservation_status"]) == ("PENDING", "PAYING")
        assert (payment["amount"], payment["currency"]) == (9_000, "EUR")
        assert payment["deadline_ms"] > 0

    asking(test, **PRICES)


def test_b57_no_amount_comes_from_a_client() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        for field in ({"amount": 1}, {"currency": "JPY"}, {"amount": 9_000, "currency": "EUR"}):
            problem(await pay(client, reservation_id, body=CARD | field), 400, "MALFORMED")
        assert not seats.partitions[0].payments

    asking(test, **PRICES)


def test_it_is_taken_while_no_worker_decides_and_told_of_from_memory() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        seats.holds_back = True
        owners_of(pod).failure = OwnerUnreachable("nobody")
        assert (await pay(client, reservation_id)).status_code == 202
        assert (await shown(client, reservation_id))["status"] == "NOT_STARTED"
        seats.decide()
        # Of a payment under way nobody has to be asked.
        assert (await shown(client, reservation_id))["status"] == "PENDING"

    asking(test, **PRICES)


@pytest.mark.parametrize("redis", ["up", "down"])
def test_f60_a_payment_whose_gateway_is_left_alone_is_begun_by_nobody_and_the_hold_stays(
    redis: str,
) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        seats.keys.is_down = redis == "down"
        leave_alone(pod, {0: {"mock": 59_001}})
        if redis == "down":
            # It may be a repeat of a start that is in the log: nobody knows.
            assert (await pay(client, reservation_id)).status_code == 202
            return
        sent = len(seats.sent)
        # Also of those that come together none is taken for a repeat of another.
        for answer in await asyncio.gather(*(pay(client, reservation_id) for _ in range(20))):
            refused = problem(answer, 503, "GATEWAY_UNAVAILABLE")
            assert refused["gateway"] == "mock"
            assert 50 < int(answer.headers["retry-after"]) <= 60
        assert len(seats.sent) == sent
        assert (await shown(client, reservation_id))["status"] == "NOT_STARTED"
        leave_alone(pod, {})
        assert (await pay(client, reservation_id)).status_code == 202
        assert (await shown(client, reservation_id))["status"] == "PENDING"

    asking(test, **PRICES)


def test_f60_who_has_begun_to_pay_is_answered_as_before_while_the_gateway_is_left_alone() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id, other = await held(client), await held(client, "k2")
        seats.holds_back = True
        first = await pay(client, reservation_id)
        leave_alone(pod, {0: {"mock": 59_001}})
        # Nobody has decided it yet: only the key tells that it was asked for before.
        again = await pay(client, reservation_id)
        assert (again.status_code, again.content) == (202, first.content)
        problem(await pay(client, other, "p2"), 503, "GATEWAY_UNAVAILABLE")
        seats.decide()
        for key in ("p1", "p3"):
            again = await pay(client, reservation_id, key)
            assert (again.status_code, again.content) == (202, first.content)
        assert (await shown(client, reservation_id))["status"] == "PENDING"

    asking(test, **PRICES)


@pytest.mark.parametrize(
    "alone", [{1: {"mock": 60_000}}, {0: {"toss": 60_000, "other destinations": 60_000}}]
)
def test_f60_what_other_workers_or_other_gateways_suffer_refuses_no_payment(
    alone: dict[int, dict[str, int]],
) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        leave_alone(pod, alone)
        assert (await pay(client, await held(client))).status_code == 202

    asking(test, **PRICES)


def test_fifty_starts_at_once_are_one_payment_and_one_answer() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        starts = [pay(client, reservation_id, f"p{number % 5}") for number in range(50)]
        answers = await asyncio.gather(*starts)
        assert {(answer.status_code, answer.content) for answer in answers} == {
            (202, answers[0].content)
        }
        # Payments are asked again by each: for one payment, of the first start.
        asked = [told(value).fields for value in seats.partitions[0].payments]
        assert len(asked) == 50
        assert all(one | {"outcomeId": b""} == asked[0] | {"outcomeId": b""} for one in asked)

    asking(test, **PRICES)


@pytest.mark.parametrize("redis", ["up", "down"])
def test_b38_a_repeat_gets_the_same_answer_whatever_became_of_it(redis: str) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.keys.is_down = redis == "down"
        reservation_id = await held(client)
        first = await pay(client, reservation_id)
        seats.append(0, confirm(reservation_id, user="ann"))
        store_purchase(pod, reservation_id, PurchaseStatus.DONE)
        again = await pay(client, reservation_id, Prefer="wait=1")
        assert (again.status_code, again.content) == (202, first.content)
        answer = await pay(client, reservation_id, body=CARD | {"method": "transfer"})
        if redis == "up":
            problem(answer, 422, "IDEMPOTENCY_KEY_REUSED")
        assert len(set(seats.partitions[0].payments)) <= 2

    asking(test, **PRICES)


def test_b38_a_repeat_gets_the_same_answer_when_the_seats_were_taken_anew_for_late_money() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        first = await pay(client, reservation_id)
        seats.append(0, fail_payment(reservation_id, user="ann"))
        seats.append(0, confirm(reservation_id, user="ann"))
        store_purchase(pod, reservation_id, PurchaseStatus.DONE)
        assert (await shown(client, reservation_id))["epoch"] == 2
        again = await pay(client, reservation_id, Prefer="wait=1")
        assert (again.status_code, again.content) == (202, first.content)
        # Whoever begins another payment under the epoch that has ended is refused by the log.
        problem(await pay(client, reservation_id, "p2", Prefer="wait=1"), 409, "STALE_EPOCH")

    asking(test, **PRICES)


def test_what_the_log_certainly_refuses_is_refused_at_once() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        problem(await pay(client, reservation_id, who=BOB), 404, "UNKNOWN_RESERVATION")
        unknown = CARD | {"gateway": "nobody"}
        problem(await pay(client, reservation_id, body=unknown), 400, "MALFORMED")
        large = CARD | {"parameters": {"a": "x" * 2_000, "b": "x" * 2_000, "c": "x" * 200}}
        problem(await pay(client, reservation_id, body=large), 400, "MALFORMED")
        assert not seats.partitions[0].payments

    asking(test, **PRICES)


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"number": "4242424242424242", "cvc": "123"}, "body.parameters"),
        ({"4242424242424242": "x"}, "body.parameters"),
        ({"token": "tok-1", "cvc": "123"}, "body.parameters"),
        ({"token": "4242424242424242"}, "body.parameters.token"),
        ({"token": "4242-4242-4242-4242"}, "body.parameters.token"),
        # What fits no model is refused before a gateway is asked.
        ({"4242424242424242": 123}, "body.parameters"),
        ({"4242424242424242" * 5: "x"}, "body.parameters"),
        ({"4242424242424242": {"epoch": 1}}, "body.parameters"),
        ({"token": ["4242424242424242"]}, "body.parameters"),
    ],
)
def test_a_cards_number_comes_into_no_log_and_no_answer(
    parameters: dict[str, Any], where: str
) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        answer = await pay(client, reservation_id, body=CARD | {"parameters": parameters})
        refused = problem(answer, 400, "MALFORMED")
        assert [one["where"] for one in refused["errors"]] == [where]
        # The id of the request may have four of its digits by chance.
        assert "42424242" not in answer.text.replace("-", "")
        assert not seats.partitions[0].payments
        assert (await pay(client, reservation_id)).status_code == 202

    asking(test, **PRICES)


def test_b57_names_that_no_document_has_are_in_no_answer() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        number = "4242424242424242"
        answer = await pay(client, reservation_id, body=CARD | {number: "x", "epoch": "1"})
        refused = problem(answer, 400, "MALFORMED")
        assert {one["where"] for one in refused["errors"]} == {"body", "body.epoch"}
        assert number not in answer.text

    asking(test, **PRICES)


def test_seats_without_a_price_are_not_paid_for() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        # Where a pod refuses it, the key stands for nothing yet.
        for key in ("k1", "k2"):
            problem(await pay(client, await held(client, key)), 409, "NOT_PRICED")

    asking(test)


def test_who_waits_is_told_what_the_log_refuses() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        seats.append(0, release(reservation_id, user="ann"))
        refused = problem(await pay(client, reservation_id, Prefer="wait=1"), 409, "CANCELLED")
        assert refused["decided"]
        # Who does not wait reads it there.
        seats.holds_back = True
        assert (await pay(client, reservation_id, "p2")).status_code == 202
        seats.decide()
        assert (await shown(client, reservation_id))["status"] == "REJECTED"

    asking(test, **PRICES)


def test_free_seats_are_sold_without_a_gateway() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        leave_alone(pod, {0: {"mock": 60_000}})
        assert (await pay(client, reservation_id)).status_code == 202
        payment = await shown(client, reservation_id)
        assert (payment["status"], payment["reservation_status"]) == ("DONE", "SOLD")
        assert not seats.partitions[0].payments

    asking(test, currency="EUR", amounts=[0])


def test_money_is_asked_back_of_what_is_sold_by_its_owner_alone() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        path = f"/v1/reservations/{reservation_id}:refund"
        key = {"Idempotency-Key": "r1"}
        problem(await client.post(path, headers={**ANN, **key}), 409, "NOT_PAID")
        await pay(client, reservation_id)
        seats.append(0, confirm(reservation_id, user="ann"))
        problem(await client.post(path, headers={**BOB, **key}), 404, "UNKNOWN_RESERVATION")
        # Whoever keeps the purchase has not come as far.
        problem(await client.post(path, headers={**ANN, **key}), 503, "NOT_READY")
        store_purchase(pod, reservation_id, PurchaseStatus.DONE)
        # Whoever wants a part of it back does not lose all of the seats.
        for amount in (1, 9_000, "1"):
            part = await client.post(path, headers={**ANN, **key}, json={"amount": amount})
            problem(part, 409, "PARTIAL_REFUND")
        other = await client.post(path, headers={**ANN, **key}, json={"seats": [1]})
        problem(other, 400, "MALFORMED")
        assert not log_of(pod).told
        answers = [
            await client.post(path, headers={**ANN, **key}),
            await client.post(path, headers={**ANN, **key}, json={}),
        ]
        assert {answer.status_code for answer in answers} == {202}
        assert answers[0].headers["location"] == f"/v1/payments/{reservation_id}"
        [first, again] = log_of(pod).told
        assert first == again
        partition, told_key, value = first
        assert (partition, told_key) == (0, reservation_id.encode())
        asked = told(value)
        assert (asked.name, asked.userId, asked.eventId) == ("RefundRequested", b"ann", EVENT)
        seats.failure = NotAppended("no brokers")
        problem(await client.post(path, headers={**ANN, **key}), 503, "BROKER_UNAVAILABLE")

    asking(test, **PRICES)


def test_b68_the_key_of_a_payment_or_of_another_refund_asks_no_money_back() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        first, second = [await held(client, key) for key in ("k1", "k2")]
        for sold in (first, second):
            await pay(client, sold, f"pay {sold}")
            seats.append(0, confirm(sold, user="ann"))
            store_purchase(pod, sold, PurchaseStatus.DONE)

        async def ask(sold: str, key: str) -> httpx.Response:
            path = f"/v1/reservations/{sold}:refund"
            return await client.post(path, headers={**ANN, "Idempotency-Key": key})

        problem(await ask(first, f"pay {first}"), 422, "IDEMPOTENCY_KEY_REUSED")
        assert (await ask(first, "back")).status_code == 202
        problem(await ask(second, "back"), 422, "IDEMPOTENCY_KEY_REUSED")
        again = await pay(client, second, "back")
        problem(again, 422, "IDEMPOTENCY_KEY_REUSED")
        assert [key for _, key, _ in log_of(pod).told] == [first.encode()]
        # Nothing depends on Redis.
        seats.keys.is_down = True
        assert (await ask(second, "back")).status_code == 202

    asking(test, **PRICES)


@pytest.mark.parametrize("amount", [0, 4_500])
def test_what_was_sold_without_a_payment_has_no_money_to_go_back(amount: int) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        reservation_id = await held(client)
        if amount:
            seats.append(0, confirm(reservation_id, user="ann"))
        else:
            await pay(client, reservation_id)
        path = f"/v1/reservations/{reservation_id}:refund"
        headers = {**ANN, "Idempotency-Key": "r1"}
        problem(await client.post(path, headers=headers), 409, "NOT_PAID")
        owners_of(pod).failure = OwnerUnreachable("nobody")
        problem(await client.post(path, headers=headers), 503, "OWNER_UNREACHABLE")
        assert not log_of(pod).told

    asking(test, currency="EUR", amounts=[amount])
