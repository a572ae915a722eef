"""Paying for a cart over HTTP: once, for what the buyer saw, all seats or none."""

from typing import Any

import httpx
from support.carts.carting import CARTS, MINUTE_MS, PARTITIONS, SEATS, SECTIONS
from support.carts.paid_carts import PAYMENTS, PRICE, PaidCarts
from support.carts.paid_over_http import asking, held, home_of, pay, shown
from support.pods.carts_asked import ANN, BOB
from support.pods.payments_asked import leave_alone
from support.pods.reservations_asked import problem
from support.seats.section_commands import EVENT

from api.pod import Pod
from state.domain.keys import partition_of, section_key
from state.domain.reservation import Status

A, B, C = SECTIONS
WAIT = {"Prefer": "wait=1"}


def test_a_cart_is_paid_for_shown_and_given_back() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        assert (await shown(client, cart))["status"] == "NOT_STARTED"
        begun = await pay(client, cart)
        assert begun.status_code == 202, begun.text
        place = f"/v1/carts/{cart['cart_id']}/payment"
        assert begun.headers["location"] == place
        assert begun.json() == {"payment_id": f"{cart['cart_id']}_c", "status": "PENDING"}
        now = await shown(client, cart)
        assert (now["status"], now["cart_status"]) == ("PENDING", "PAYING")
        assert (now["amount"], now["currency"], now["gateway"]) == (2 * PRICE, "EUR", "mock")
        assert now["deadline_ms"]
        world.answer_all()
        done = await shown(client, cart)
        assert (done["status"], done["cart_status"]) == ("DONE", "SOLD")
        # By the id that was given out as well as by the cart's address; to nobody else.
        by_id = f"/v1/payments/{begun.json()['payment_id']}"
        assert (await client.get(by_id, headers=ANN)).json() == done
        problem(await client.get(by_id, headers=BOB), 404, "NOT_FOUND")
        assert done["booking_number"].startswith("BK-")
        assert done["revision"] != now["revision"]
        path = f"/v1/carts/{cart['cart_id']}:refund"
        part = await client.post(
            path, headers={**ANN, "Idempotency-Key": "r1"}, json={"amount": 1}
        )
        problem(part, 409, "PARTIAL_REFUND")
        asked = await client.post(path, headers={**ANN, "Idempotency-Key": "r1"})
        assert asked.status_code == 202, asked.text
        world.answer_all()
        assert (await shown(client, cart))["status"] == "REFUNDED"
        assert world.truth(cart["cart_id"], A, B) == [Status.REFUNDED] * 2
        world.settle()
        world.check()

    asking(test)


def test_who_asks_for_the_money_again_while_the_seats_go_back_is_told_the_same() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        await pay(client, cart)
        world.answer_all()
        path = f"/v1/carts/{cart['cart_id']}:refund"
        asked = await client.post(path, headers={**ANN, "Idempotency-Key": "r1"})
        [pending] = world.driver.intents(PAYMENTS, due=True)
        world.answer(pending)
        # The cart knows that its money is back, and no section does.
        for topic in (PAYMENTS, CARTS):
            world.driver.relay(topic, home_of(cart))
        assert (await shown(client, cart))["cart_status"] == "ENDING"
        again = await client.post(path, headers={**ANN, "Idempotency-Key": "r1"})
        assert (again.status_code, again.json()) == (202, asked.json())
        world.settle()
        world.check()

    asking(test)


def test_a_repeat_pays_once_and_another_payment_is_refused() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        first, again = await pay(client, cart), await pay(client, cart, headers=WAIT)
        assert first.json() == again.json()
        problem(await pay(client, cart, "p2"), 409, "PAYMENT_IN_PROGRESS")
        problem(await pay(client, cart, amount=1), 422, "IDEMPOTENCY_KEY_REUSED")
        world.answer_all()
        assert (await pay(client, cart)).status_code == 202
        assert world.ledger.charges == {world.order(cart["cart_id"]): 1}

    asking(test)


def test_f60_a_cart_whose_gateway_is_left_alone_is_paid_for_later_and_a_repeat_is_answered() -> (
    None
):
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        leave_alone(pod, {"mock": 60_000})
        refused = problem(await pay(client, cart), 503, "GATEWAY_UNAVAILABLE")
        assert refused["gateway"] == "mock"
        assert (await shown(client, cart))["status"] == "NOT_STARTED"
        leave_alone(pod, {})
        first = await pay(client, cart)
        assert first.status_code == 202, first.text
        leave_alone(pod, {"mock": 60_000})
        again = await pay(client, cart)
        assert (again.status_code, again.json()) == (202, first.json())

    asking(test)


def test_another_sum_than_that_of_the_cart_begins_nothing() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        problem(await pay(client, cart, amount=PRICE), 409, "WRONG_AMOUNT")
        # The key stands for nothing yet.
        problem(await pay(client, cart, amount=PRICE + 1), 409, "WRONG_AMOUNT")
        problem(await pay(client, cart, "p2", currency="USD"), 409, "WRONG_CURRENCY")
        problem(await pay(client, cart, "p3", gateway="nobody"), 400, "MALFORMED")
        problem(await pay(client, cart, "p4", BOB), 404, "NOT_FOUND")
        assert world.truth(cart["cart_id"], A, B) == [Status.HELD] * 2

    asking(test)


def test_what_costs_nothing_is_sold_at_once_and_has_no_money_to_give_back() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        leave_alone(pod, {"mock": 60_000})
        assert (await pay(client, cart)).status_code == 202
        now = await shown(client, cart)
        assert (now["status"], now["cart_status"], now["gateway"]) == ("DONE", "SOLD", None)
        path = f"/v1/carts/{cart['cart_id']}:refund"
        asked = await client.post(path, headers={**ANN, "Idempotency-Key": "r1"})
        problem(asked, 409, "NOT_PAID")

    asking(test, prices=(0, 0, 0))


def test_while_it_is_paid_for_a_cart_is_neither_given_back_nor_extended() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        await pay(client, cart)
        path = f"/v1/carts/{cart['cart_id']}"
        problem(await client.delete(path, headers=ANN), 409, "PAYMENT_IN_PROGRESS")
        longer = await client.post(f"{path}:extend", headers={**ANN, "Idempotency-Key": "x"})
        problem(longer, 409, "NOT_HELD")
        asked = await client.post(f"{path}:refund", headers={**ANN, "Idempotency-Key": "r"})
        problem(asked, 409, "NOT_PAID")

    asking(test)


def test_while_its_payment_only_begins_a_cart_is_given_back() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        home, on_a, on_b = home_of(cart), place_of(A), place_of(B)
        log: Any = pod.carts.log
        # The section of the second part is away.
        log.hears = lambda: relayed(world, (CARTS, home), (SEATS, on_a))
        await pay(client, cart)
        assert world.truth(cart["cart_id"], A, B) == [Status.PAYING, Status.HELD]
        path = f"/v1/carts/{cart['cart_id']}"
        pending = await client.delete(path, headers={**ANN, "Prefer": "wait=0"})
        assert (pending.status_code, pending.json()["status"]) == (202, "PENDING")
        assert world.truth(cart["cart_id"], A, B) == [Status.RELEASED, Status.HELD]
        relayed(world, (SEATS, on_b), (CARTS, home))
        given_back = await client.delete(path, headers=ANN)
        assert (given_back.status_code, given_back.json()["status"]) == (200, "RELEASED")
        world.settle()
        world.check()

    asking(test)


def place_of(section: str) -> int:
    return partition_of(section_key(EVENT, section), PARTITIONS)


def relayed(world: PaidCarts, *places: tuple[str, int]) -> None:
    """Let only these partitions decide what lies before them."""
    while any(world.driver.relay(*place) for place in places):
        pass


def test_a_change_is_waited_for() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        now = await shown(client, cart)
        await pay(client, cart)
        later = await shown(client, cart, f"?changed_from={now['revision']}")
        assert later["status"] == "PENDING"
        same = await client.get(
            f"/v1/carts/{cart['cart_id']}/payment?changed_from={later['revision']}",
            headers={**ANN, "Prefer": "wait=0"},
        )
        assert same.json()["revision"] == later["revision"]

    asking(test)


def test_a_cart_that_has_lapsed_is_not_paid_for() -> None:
    async def test(world: PaidCarts, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = await held(client)
        world.pass_time(20 * MINUTE_MS)
        problem(await pay(client, cart), 409, "NOT_HELD")
        assert (await shown(client, cart))["status"] == "NOT_STARTED"

    asking(test)
