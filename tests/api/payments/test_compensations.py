"""Payments that a person has to look after, as their owners list them."""

from typing import Any

import httpx
import pytest
from support.pages.tokens import bearer
from support.pods.payments_asked import log_of, store_purchase
from support.pods.reservation_pods import Seats
from support.pods.reservations_asked import ANN, asking, owners_of, problem
from support.seats.section_commands import EVENT, PARTITIONS, A, told

from api.pod import Pod
from state.domain.keys import COMPENSATION
from state.domain.purchases.statuses import PurchaseStatus
from state.owners.questions import OwnerNotReady
from state.records.payments import OtherPayment

OPERATOR = bearer(sub="olga", roles=["operator"])
PATH = "/v1/compensations"
NEEDED = PurchaseStatus.COMPENSATION_REQUIRED


def need(pod: Pod, *payments: str) -> None:
    for payment in payments:
        store_purchase(pod, payment, NEEDED)
        owners_of(pod).purchases[COMPENSATION + payment.encode()] = b""


async def listed(client: httpx.AsyncClient, **query: Any) -> Any:
    answer = await client.get(PATH, params=query, headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_partition_s_are_listed_in_pages() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        assert await listed(client) == {
            "compensations": [],
            "next_cursor": None,
            "unknown": [],
        }
        need(pod, "p1", "p2", "p3")
        # The owners of this test have the same records in each partition.
        want = [
            (partition, f"p{number}") for partition in range(PARTITIONS) for number in (1, 2, 3)
        ]
        found, cursor = [], None
        for _ in range(10):
            query = {"limit": 5} if cursor is None else {"limit": 5, "cursor": cursor}
            page = await listed(client, **query)
            found += [(one["partition"], one["payment_id"]) for one in page["compensations"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == want
        whole = await listed(client)
        assert len(whole["compensations"]) == len(want)
        first = whole["compensations"][0]
        assert (first["user_id"], first["event_id"], first["section"]) == ("ann", EVENT, A)
        assert (first["amount"], first["currency"], first["gateway"]) == (9_000, "EUR", "mock")

    asking(test)


def test_what_was_resolved_since_it_was_listed_is_left_out() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        need(pod, "p1", "p2")
        store_purchase(pod, "p1", PurchaseStatus.REFUNDED)
        page = await listed(client)
        assert {one["payment_id"] for one in page["compensations"]} == {"p2"}

    asking(test)


def test_a_partition_that_cannot_be_asked_is_named_and_hides_no_other() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        need(pod, "p1")
        owners = owners_of(pod)
        owners.away.add(1)
        page = await listed(client)
        assert [one["partition"] for one in page["compensations"]] == [0, 2, 3]
        assert (page["next_cursor"], page["unknown"]) == (None, [1])
        owners.failure = OwnerNotReady("restoring")
        page = await listed(client)
        assert (page["compensations"], page["unknown"]) == ([], list(range(PARTITIONS)))

    asking(test)


@pytest.mark.parametrize(
    "cursor", ["", "1", ":p1", "-1:p1", "x:p1", "1:a b", "1234567:p1", "²:p1"]
)
def test_a_cursor_that_no_page_gave_out_is_refused(cursor: str) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await client.get(PATH, params={"cursor": cursor}, headers=OPERATOR)
        problem(answer, 400, "MALFORMED")

    asking(test)


def test_only_operators_see_and_resolve_them() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        problem(await client.get(PATH, headers=ANN), 403, "NOT_ALLOWED")
        answer = await client.post(f"{PATH}/0/p1:resolve", json={"finding": "UNPAID"}, headers=ANN)
        problem(answer, 403, "NOT_ALLOWED")

    asking(test)


@pytest.mark.parametrize(
    ("finding", "number"),
    [("REFUNDED", 1), ("UNPAID", 2), ("LOOK_AGAIN", 3), ("PAID_ELSEWHERE", 4)],
)
def test_a_finding_is_in_the_log_before_it_is_answered(finding: str, number: int) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        need(pod, "p1")
        store_purchase(pod, "p1", NEEDED, is_sold=True)
        path = f"{PATH}/2/p1:resolve"
        answer = await client.post(path, json={"finding": finding}, headers=OPERATOR)
        assert (answer.status_code, answer.json()["payment_id"]) == (202, "p1")
        [(partition, key, value)] = log_of(pod).told
        assert (partition, key) == (2, b"p1")
        said = told(value)
        assert (said.name, said.finding) == ("CompensationResolved", number)
        # Who found it, of which section.
        assert (said.userId, said.section, said.eventId) == (b"olga", A.encode(), EVENT)

    asking(test)


def test_money_that_a_gateway_has_taken_is_not_found_unpaid() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        need(pod, "p1")
        store_purchase(pod, "p1", NEEDED, payment_id=b"pay_1")
        path = f"{PATH}/0/p1:resolve"
        answer = await client.post(path, json={"finding": "UNPAID"}, headers=OPERATOR)
        problem(answer, 409, "REFUND_DUE")
        assert not log_of(pod).told
        answer = await client.post(path, json={"finding": "REFUNDED"}, headers=OPERATOR)
        assert answer.status_code == 202

    asking(test)


def test_seats_that_are_not_known_to_be_sold_were_not_paid_for_elsewhere() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        need(pod, "p1")
        [listed_one, *_] = (await listed(client))["compensations"]
        assert listed_one["seats_sold"] is False
        path = f"{PATH}/0/p1:resolve"
        answer = await client.post(path, json={"finding": "PAID_ELSEWHERE"}, headers=OPERATOR)
        problem(answer, 409, "NOT_PAID")
        assert not log_of(pod).told

    asking(test)


def test_a_finding_about_what_needs_nobody_is_refused() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        store_purchase(pod, "p1", PurchaseStatus.DONE)
        for path in (f"{PATH}/0/p1:resolve", f"{PATH}/0/p2:resolve", f"{PATH}/9/p1:resolve"):
            answer = await client.post(path, json={"finding": "REFUNDED"}, headers=OPERATOR)
            problem(answer, 404, "NOT_FOUND")
        need(pod, "p3")
        answer = await client.post(
            f"{PATH}/0/p3:resolve", json={"finding": "MAYBE"}, headers=OPERATOR
        )
        problem(answer, 400, "MALFORMED")
        assert not log_of(pod).told

    asking(test)


def test_payments_beside_one_are_listed_and_resolved_by_themselves() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        need(pod, "p1")
        told_of = OtherPayment(b"toss", b"ch_2", b"eve", 2, 4_500, b"EUR", 7)
        found = told_of._replace(payment_id=b"ch_3", finding=1)
        store_purchase(pod, "p1", PurchaseStatus.DONE, others=(told_of, found))
        [one] = [each for each in (await listed(client))["compensations"] if not each["partition"]]
        assert (one["payment_id"], one["beside"], one["user_id"]) == ("p1", True, "eve")
        assert (one["gateway"], one["gateway_payment_id"], one["amount"]) == (
            "toss",
            "ch_2",
            4_500,
        )

        async def resolve(finding: str, **named: str) -> httpx.Response:
            body = {"finding": finding, **named}
            return await client.post(f"{PATH}/0/p1:resolve", json=body, headers=OPERATOR)

        beside = {"gateway": "toss", "gateway_payment_id": "ch_2"}
        problem(await resolve("REFUNDED"), 404, "NOT_FOUND")
        problem(
            await resolve("REFUNDED", **(beside | {"gateway_payment_id": "ch_3"})),
            404,
            "NOT_FOUND",
        )
        problem(await resolve("REFUNDED", gateway="toss"), 400, "MALFORMED")
        problem(await resolve("LOOK_AGAIN", **beside), 400, "MALFORMED")
        assert not log_of(pod).told
        assert (await resolve("UNPAID", **beside)).status_code == 202
        [(_, key, value)] = log_of(pod).told
        said = told(value)
        assert (key, said.finding, said.gateway, said.paymentId) == (b"p1", 2, b"toss", b"ch_2")

    asking(test)


def test_a_payment_and_those_beside_it_stand_on_one_page() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        need(pod, "p1", "p2")
        others = tuple(OtherPayment(b"toss", b"ch_%d" % n, b"ann", 1, 0, b"", 7) for n in (1, 2))
        store_purchase(pod, "p1", NEEDED, others=others)
        page = await listed(client, limit=1)
        found = [(one["payment_id"], one["beside"]) for one in page["compensations"]]
        assert found == [("p1", False), ("p1", True), ("p1", True)]
        behind = await listed(client, limit=1, cursor=page["next_cursor"])
        assert [one["payment_id"] for one in behind["compensations"]] == ["p2"]

    asking(test)
