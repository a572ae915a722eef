"""Buyers pay over HTTP: a pod, a worker of every role and the mock gateway, on a real stack."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import httpx
import pytest
from integration.conftest import FAST_SESSIONS
from integration.pods import PodProcess, Servers, logged, reason, run_audit, run_script
from integration.workers import Worker
from redis import Redis
from support.gateways.running import VARIABLES, RunningGateway, running_gateway
from support.registries.filled import stack_with_schemas

from infra.stack import QUICK_RESTART
from infra.stack.processes import wait_until
from schemas.topics import PAYMENT_COMMANDS, RESERVATION_OUTCOMES
from scripts.traffic.sending import schema_ids
from serdes.wire import header_of
from state.domain.keys import Order, split_issued_id
from state.records.payments import PAYMENTS
from state.redis.keys import seat_locks

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.timeout(600)]

EVENT = 7
PARTITIONS = 4
PRICE = 4_500
PATIENCE_S = 120
PLAN: dict[str, Any] = {
    "event": "Paid",
    "sections": [{"section": "A", "rows": 10, "seats": 20, "category": "front"}],
    "currency": "EUR",
    "prices": {"front": PRICE},
}


class Shop:
    """A pod and a worker, and the gateway that both know."""

    def __init__(
        self, servers: Servers, settings: dict[str, str], worker: Worker, gateway: RunningGateway
    ) -> None:
        self.servers = servers
        self._settings = settings
        self.worker = worker
        self.gateway = gateway
        self.pod = self.new_pod("pod")

    def new_pod(self, name: str) -> PodProcess:
        """Begin to start another pod."""
        pre_lock = {"SEATSTREAM_API_PRE_LOCK_MS": "60000"}
        return PodProcess(self.servers, name, **self._settings, **pre_lock)

    def hear_webhooks(self) -> None:
        """Have the gateway send all that it decides to the pod, twice."""
        url = f"http://127.0.0.1:{self.pod.port}/v1/webhooks/mock"
        self.gateway.control("/webhooks", url=url, shares={"twice": 1.0})

    def start_anew_without_redis(self) -> None:
        """Lose all of Redis and the worker's disk, and end the pod and the worker meanwhile."""
        self.pod.end()
        self.worker.kill()
        self.worker.wipe()
        with Redis.from_url(self.servers.redis_url) as redis:
            redis.flushall()
        self.worker.start("topology").wait_ready()
        self.pod = self.new_pod("pod-again").wait_ready()
        self.hear_webhooks()

    def hold(self, key: str) -> str:
        answer = self.pod.create(EVENT, key, "A", 2)
        assert answer.status_code == 201, answer.text
        reservation_id: str = answer.json()["reservation_id"]
        return reservation_id

    def hold_chosen(self, key: str, row: int) -> str:
        answer = self.choose(key, row)
        assert answer.status_code == 201, answer.text
        reservation_id: str = answer.json()["reservation_id"]
        return reservation_id

    def choose(self, key: str, row: int) -> httpx.Response:
        """Ask for the first two seats of a row."""
        seats = [{"row": row, "seat": seat} for seat in range(2)]
        return self.pod.client.post(
            f"/v1/events/{EVENT}/reservations",
            json={"section": "A", "seats": seats},
            headers={"Idempotency-Key": key},
        )

    def locks(self, row: int) -> int:
        """Return how many of those seats are locked in Redis."""
        keys = seat_locks(EVENT, "A", [(row, seat) for seat in range(2)]).locks
        with Redis.from_url(self.servers.redis_url) as redis:
            return int(redis.exists(*keys))

    def pay(self, reservation_id: str) -> str:
        """Begin a payment; return its address."""
        answer = start(self.pod, reservation_id, f"pay-{reservation_id}")
        assert answer.status_code == 202, answer.text
        return answer.headers["location"]

    def told(self, record: str, reservation_id: str) -> int:
        """Return how many records of this name about a payment are in the log."""
        topic, servers = PAYMENT_COMMANDS.name, self.servers
        ids = schema_ids(servers.registry_url, servers.brokers)
        header = header_of(ids.id_by_subject[f"{topic}-{PAYMENTS}{record}"])
        records = logged(servers.brokers, topic, PARTITIONS, reservation_id)
        return sum((one.value or b"").startswith(header) for one in records)

    def pay_cart(self, place: str, amount: int) -> str:
        """Pay for a cart; return the address of its payment, once that is done."""
        begun = self.pod.client.post(
            f"{place}/payments",
            json={"amount": amount, "currency": "EUR", "method": "card"},
            headers={"Idempotency-Key": f"pay-{place}"[:64]},
        )
        assert begun.status_code == 202, begun.text
        where = begun.headers["location"]
        self.reach(where, "DONE")
        return where

    def reach(self, place: str, status: str) -> dict[str, object]:
        """Wait by long polls until a payment stands so."""
        shown: dict[str, object] = {}

        def stands() -> bool:
            query = {"changed_from": str(shown["revision"])} if shown else {}
            headers = {"Prefer": "wait=5"}
            answer = self.pod.client.get(place, params=query, headers=headers)
            if answer.status_code == 200:
                shown.clear()
                shown.update(answer.json())
            return shown.get("status") == status

        assert wait_until(stands, PATIENCE_S), f"{shown}\n{self.worker.tail()}"
        return shown

    def order(self, reservation_id: str) -> str:
        parts = split_issued_id(reservation_id.removesuffix("_c"))
        assert parts is not None
        return Order(reservation_id, 1, parts.partition).id

    def outcomes(self, reservation_id: str) -> int:
        """Return how many outcomes of a reservation there are."""
        return len(
            logged(self.servers.brokers, RESERVATION_OUTCOMES.name, PARTITIONS, reservation_id)
        )

    def kept(self, reservation_id: str) -> int:
        """Return what the gateway has taken for an order and not given back."""
        order, ledger = self.order(reservation_id), self.gateway.ledger()
        captured = [entry.amount for entry in ledger.captures if entry.order_id == order]
        refunded = [entry.amount for entry in ledger.refunds if entry.order_id == order]
        assert len(captured) <= 1
        return sum(captured) - sum(refunded)


def start(pod: PodProcess, reservation_id: str, key: str, wait_s: int = 0) -> httpx.Response:
    """Ask a pod to begin a payment."""
    wait = {"Prefer": f"wait={wait_s}"} if wait_s else {}
    return pod.client.post(
        f"/v1/reservations/{reservation_id}/payments",
        json={"epoch": 1, "method": "card"},
        headers={"Idempotency-Key": key, **wait},
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("paid")
    with (
        running_gateway() as gateway,
        stack_with_schemas(
            "tests-pods-payments",
            {"kafka", "registry", "redis"},
            {**QUICK_RESTART, **FAST_SESSIONS},
        ) as stack,
    ):
        settings = {**VARIABLES, "MOCK_GATEWAY_URL": gateway.process.url}
        servers = Servers(stack.kafka_brokers, stack.registry_url, stack.redis_url, folder)
        run_script(servers, "create_topics", "--partitions", str(PARTITIONS))
        where = {
            "KAFKA_BROKERS": servers.brokers,
            "SCHEMA_REGISTRY_URL": servers.registry_url,
            "REDIS_URL": servers.redis_url,
        }
        circuits = {"SEATSTREAM_CIRCUIT_OPEN_S": "3"}
        worker = Worker("worker", folder, {**where, **settings, **circuits})
        shop = Shop(servers, settings, worker, gateway)
        try:
            worker.start("topology").wait_ready()
            shop.pod.wait_ready()
            shop.hear_webhooks()
            plan = folder / "plan.json"
            plan.write_text(json.dumps(PLAN))
            run_script(servers, "open_event", str(plan), "--event-id", str(EVENT))
            yield shop
        finally:
            shop.pod.end()
            if worker.child is not None:
                worker.kill()


def test_a_buyer_pays_once_and_gets_seats_and_money_back_when_they_ask(shop: Shop) -> None:
    reservation_id = shop.hold("k-1")
    place = shop.pay(reservation_id)
    assert shop.pay(reservation_id) == place
    paid = shop.reach(place, "DONE")
    assert (paid["reservation_status"], paid["amount"]) == ("SOLD", 2 * PRICE)
    assert paid["booking_number"]
    assert shop.kept(reservation_id) == 2 * PRICE
    headers = {"Idempotency-Key": "back"}
    for _ in range(2):
        answer = shop.pod.client.post(f"/v1/reservations/{reservation_id}:refund", headers=headers)
        assert answer.status_code == 202, answer.text
    shop.reach(place, "REFUNDED")
    assert shop.pod.becomes(f"/v1/reservations/{reservation_id}", "REFUNDED")
    assert shop.kept(reservation_id) == 0


def test_i25_a_cart_is_held_held_longer_and_given_back_as_one(shop: Shop) -> None:
    items = [{"section": "A", "quantity": count} for count in (2, 3)]
    key = {"Idempotency-Key": "cart-1"}
    client, path = shop.pod.client, f"/v1/events/{EVENT}/carts"
    answer = client.post(path, json={"items": items}, headers={**key, "Prefer": "wait=60"})
    assert answer.status_code == 201, f"{answer.text}\n{shop.worker.tail()}"
    cart, place = answer.json(), answer.headers["location"]
    assert [part["status"] for part in cart["parts"]] == ["HELD", "HELD"]
    assert cart["amount"] == 5 * PRICE
    again = client.post(path, json={"items": items}, headers={**key, "Prefer": "wait=60"})
    assert again.json() == cart
    extended = client.post(
        f"{place}:extend", headers={"Idempotency-Key": "longer", "Prefer": "wait=60"}
    )
    assert extended.json()["deadline_ms"] > cart["deadline_ms"]
    given_back = client.delete(place, headers={"Prefer": "wait=60"})
    assert given_back.json()["status"] == "RELEASED"
    assert client.get(place).json()["status"] == "RELEASED"


def test_i10_a_cart_is_paid_for_and_given_back_as_one_and_its_webhooks_are_in_the_log(
    shop: Shop,
) -> None:
    client, items = shop.pod.client, [{"section": "A", "quantity": count} for count in (1, 2)]
    answer = client.post(
        f"/v1/events/{EVENT}/carts",
        json={"items": items},
        headers={"Idempotency-Key": "cart-2", "Prefer": "wait=60"},
    )
    assert answer.status_code == 201, f"{answer.text}\n{shop.worker.tail()}"
    cart, place = answer.json(), answer.headers["location"]
    way = {"amount": cart["amount"], "currency": cart["currency"], "method": "card"}
    key = {"Idempotency-Key": "pay-cart"}
    begun, again = (client.post(f"{place}/payments", json=way, headers=key) for _ in range(2))
    assert (begun.status_code, again.json()) == (202, begun.json()), again.text
    payment, where = begun.json()["payment_id"], begun.headers["location"]
    paid = shop.reach(where, "DONE")
    assert (paid["cart_status"], paid["amount"]) == ("SOLD", 3 * PRICE)
    assert shop.kept(payment) == 3 * PRICE
    assert {part["status"] for part in client.get(place).json()["parts"]} == {"SOLD"}
    assert wait_until(lambda: shop.told("PaymentHint", payment) > 0, PATIENCE_S)
    for _ in range(2):
        asked = client.post(f"{place}:refund", headers={"Idempotency-Key": "cart-back"})
        assert asked.status_code == 202, asked.text
    back = shop.reach(where, "REFUNDED")
    assert back["booking_number"] == paid["booking_number"]
    assert wait_until(lambda: client.get(place).json()["status"] == "REFUNDED", PATIENCE_S)
    assert shop.kept(payment) == 0


def test_who_is_declined_has_no_seats_and_pays_nothing(shop: Shop) -> None:
    reservation_id = shop.hold("k-2")
    shop.gateway.order("decline", shop.order(reservation_id))
    shop.reach(shop.pay(reservation_id), "FAILED")
    assert shop.pod.becomes(f"/v1/reservations/{reservation_id}", "RELEASED")
    assert shop.kept(reservation_id) == 0


def test_f56_what_a_gateway_left_open_is_settled_and_its_webhooks_are_in_the_log(
    shop: Shop,
) -> None:
    reservation_id = shop.hold("k-3")
    order = shop.order(reservation_id)
    shop.gateway.order("pending", order)
    place = shop.pay(reservation_id)
    shop.reach(place, "PROCESSING")
    shop.gateway.control("/settle", order_id=order, outcome="captured")
    assert shop.reach(place, "DONE")["reservation_status"] == "SOLD"
    assert shop.kept(reservation_id) == 2 * PRICE
    # The gateway sends each twice.
    assert wait_until(lambda: shop.told("PaymentHint", reservation_id) >= 2, PATIENCE_S)


def test_a_payment_is_taken_while_no_worker_runs_and_made_when_one_does(shop: Shop) -> None:
    reservation_id = shop.hold("k-4")
    shop.worker.kill()
    place = shop.pay(reservation_id)
    assert shop.pod.show(place).json()["status"] == "NOT_STARTED"
    shop.worker.start("topology").wait_ready()
    assert shop.reach(place, "DONE")["reservation_status"] == "SOLD"
    assert shop.kept(reservation_id) == 2 * PRICE


def test_f60_while_its_gateway_is_dead_no_payment_is_begun_and_every_hold_stays(
    shop: Shop,
) -> None:
    # Enough of them fail at once to open the circuit; they go on as ever.
    begun = [shop.hold(f"f60-begun-{number}") for number in range(5)]
    shop.gateway.process.kill()
    for reservation_id in begun:
        shop.pay(reservation_id)
    circuit = 'seatstream_circuit_state{destination="mock"}'
    assert wait_until(lambda: shop.worker.metric(circuit) > 0, PATIENCE_S), shop.worker.tail()
    refused: list[httpx.Response] = []

    def is_refused() -> bool:
        # Whoever comes when it is tried again is let in, too.
        begun.append(shop.hold(f"f60-late-{len(begun)}"))
        answer = start(shop.pod, begun[-1], f"pay-{begun[-1]}")
        if answer.status_code == 503:
            refused.append(answer)
        return bool(refused)

    assert wait_until(is_refused, PATIENCE_S), shop.worker.tail()
    assert reason(refused[0]) == (503, "GATEWAY_UNAVAILABLE")
    assert 1 <= int(refused[0].headers["retry-after"]) <= 3
    # Nothing was begun, whereas a repeat of what was begun is answered as before.
    assert shop.outcomes(begun[-1]) == 1
    assert shop.pod.client.get(f"/v1/payments/{begun[-1]}").json()["status"] == "NOT_STARTED"
    assert shop.pay(begun[0]) == f"/v1/payments/{begun[0]}"
    shop.gateway.process.restart()
    shop.gateway.process.wait()
    shop.hear_webhooks()
    late = begun[-1]
    assert wait_until(
        lambda: start(shop.pod, late, f"pay-{late}").status_code == 202, PATIENCE_S
    ), shop.worker.tail()
    for reservation_id in begun:
        shop.reach(f"/v1/payments/{reservation_id}", "DONE")
        assert shop.kept(reservation_id) == 2 * PRICE


def test_operators_are_told_that_nothing_needs_them(shop: Shop) -> None:
    answer = shop.pod.client.get("/v1/compensations")
    assert (answer.status_code, answer.json()) == (
        200,
        {"compensations": [], "next_cursor": None, "unknown": []},
    )


def test_l24_locks_of_chosen_seats_go_when_they_are_sold_and_when_they_are_given_back(
    shop: Shop,
) -> None:
    sold, released = shop.hold_chosen("chosen-1", 8), shop.hold_chosen("chosen-2", 9)
    assert (shop.locks(8), shop.locks(9)) == (2, 2)
    refused = shop.choose("chosen-3", 9)
    assert (refused.status_code, refused.json()["reason"]) == (409, "SEAT_LOCKED")
    assert shop.pod.client.delete(f"/v1/reservations/{released}").status_code == 200
    shop.reach(shop.pay(sold), "DONE")
    gone = wait_until(lambda: not shop.locks(8) and not shop.locks(9), PATIENCE_S)
    assert gone, shop.worker.tail()
    # The key of who was refused stands for nothing yet, and the seats are free.
    shop.hold_chosen("chosen-3", 9)


def test_fifty_starts_at_once_over_two_pods_are_one_charge_and_have_one_answer(
    shop: Shop,
) -> None:
    reservation_id = shop.hold("fifty")
    # Whoever starts what is already paid is told so: the payment ends when all have started it.
    shop.gateway.order("pending", shop.order(reservation_id))
    other = shop.new_pod("pod-2")
    try:
        pods = (shop.pod, other.wait_ready())
        # Half of them are repeats of one, the others know nothing of one another.
        keys = ["start"] * 25 + [f"start-{number}" for number in range(25)]
        gate = Barrier(len(keys))

        def begin(number: int) -> httpx.Response:
            gate.wait(PATIENCE_S)
            return start(pods[number % 2], reservation_id, keys[number])

        with ThreadPoolExecutor(len(keys)) as threads:
            answers = list(threads.map(begin, range(len(keys))))
        assert {answer.status_code for answer in answers} == {202}
        assert len({(one.content, one.headers["location"]) for one in answers}) == 1
        place = answers[0].headers["location"]
        shop.reach(place, "PROCESSING")
        shop.gateway.control("/settle", order_id=shop.order(reservation_id), outcome="captured")
        paid = shop.reach(place, "DONE")
        assert other.show(place).json()["booking_number"] == paid["booking_number"]
        # Each of them is decided, beside the hold and the sale.
        assert wait_until(lambda: shop.outcomes(reservation_id) == len(keys) + 2, PATIENCE_S), (
            shop.outcomes(reservation_id)
        )
    finally:
        other.end()
    assert shop.kept(reservation_id) == 2 * PRICE


def test_a_key_has_its_answer_after_redis_the_pod_and_the_workers_disk_were_lost(
    shop: Shop,
) -> None:
    sold, open_still = shop.hold("kept-1"), shop.hold("kept-2")
    shop.gateway.order("pending", shop.order(open_still))
    first = {one: start(shop.pod, one, f"key-{one}") for one in (sold, open_still)}
    paid = shop.reach(first[sold].headers["location"], "DONE")
    shop.reach(first[open_still].headers["location"], "PROCESSING")
    shop.start_anew_without_redis()
    for one, answer in first.items():
        # The section has decided the repeat before it is answered.
        again = start(shop.pod, one, f"key-{one}", wait_s=20)
        assert (again.status_code, again.content) == (202, answer.content), again.text
        assert again.headers["location"] == answer.headers["location"]
    again_paid = shop.reach(first[sold].headers["location"], "DONE")
    assert again_paid["booking_number"] == paid["booking_number"]
    shop.gateway.control("/settle", order_id=shop.order(open_still), outcome="captured")
    shop.reach(first[open_still].headers["location"], "DONE")
    assert [shop.kept(one) for one in first] == [2 * PRICE, 2 * PRICE]


class Limited:
    """An event with limits, and one buyer who asks two pods."""

    def __init__(self, shop: Shop, pods: tuple[PodProcess, PodProcess], event: int) -> None:
        self.shop = shop
        self.pods = pods
        self.event = event

    def open(self, **rules: int) -> None:
        """Open it, for sale at once; return when both pods know of it."""
        body = {
            "event_id": self.event,
            "name": f"Event {self.event}",
            "starts_at_ms": int(time.time() * 1000) + 86_400_000,
            "plan": PLAN
            | {"sections": [PLAN["sections"][0] | {"section": name} for name in "ABC"]},
            **rules,
        }
        headers = {"Idempotency-Key": f"open-{self.event}"}
        done = self.pods[0].client.post("/v1/events", json=body, headers=headers)
        assert done.status_code in {201, 202}, done.text
        assert wait_until(lambda: all(map(self.is_on_sale, self.pods)), PATIENCE_S)

    def is_on_sale(self, pod: PodProcess) -> bool:
        found = pod.client.get(f"/v1/events/{self.event}")
        return found.status_code == 200 and bool(found.json()["sale_state"] == "on_sale")

    def want(self, key: str, quantity: int = 1, *, at: int = 0) -> httpx.Response:
        """Ask one of the pods for a cart; a key has a section of its own."""
        items = [{"section": "ABC"[len(key) % 3], "quantity": quantity}]
        return self.pods[at % 2].client.post(
            f"/v1/events/{self.event}/carts",
            json={"items": items},
            headers={"Idempotency-Key": key, "Prefer": "wait=60"},
        )

    def want_at_once(self, keys: list[str], *, at: int = 0) -> Counter[str]:
        """Ask for a cart under each key at the same time; return how often what was answered.

        at: which of the pods is asked first; then they take turns.
        """
        with ThreadPoolExecutor(len(keys)) as threads:
            asked = [
                threads.submit(self.want, key, at=number) for number, key in enumerate(keys, at)
            ]
            answers = [one.result() for one in asked]
        return Counter(
            answer.json().get("reason") or answer.json()["status"] for answer in answers
        )


@contextmanager
def two_pods(shop: Shop) -> Iterator[tuple[PodProcess, PodProcess]]:
    """Give the pod of the shop and another one, of the same user."""
    other = shop.new_pod("limits-pod")
    try:
        yield shop.pod, other.wait_ready()
    finally:
        other.end()


def test_d14_what_a_buyer_may_have_is_exact_at_two_pods_whatever_is_asked_again_or_given_back(
    shop: Shop,
) -> None:
    with two_pods(shop) as pods:
        limited, brief = Limited(shop, pods, 70), Limited(shop, pods, 71)
        limited.open(max_seats_per_user=6, max_open_holds_per_user=4)
        keys = [f"d14-{number}-{'x' * number}" for number in range(12)]
        assert limited.want_at_once(keys) == {"HELD": 4, "HOLD_LIMIT": 8}
        # The same keys come again at once, at both pods: they are counted once.
        again = [key for key in keys for _ in range(2)]
        assert limited.want_at_once(again) == {"HELD": 8, "HOLD_LIMIT": 16}
        single = pods[1].create(limited.event, "d14-single", "A")
        assert (single.status_code, single.json()["reason"]) == (409, "CART_NEEDED")
        held = [
            f"/v1/carts/{answer.json()['cart_id']}"
            for answer in map(limited.want, keys)
            if answer.status_code == 201
        ]
        # What is given back may be had again, whoever asks first.
        for _ in range(2):
            assert pods[0].client.delete(held[0]).json()["status"] == "RELEASED"
        more = [f"d14-more-{number}" for number in range(4)]
        assert limited.want_at_once(more) == {"HELD": 1, "HOLD_LIMIT": 3}
        # What is sold is no open hold, and a seat still.
        sold = shop.pay_cart(held[1], PRICE)
        more = [f"d14-again-{number}" for number in range(4)]
        assert limited.want_at_once(more) == {"HELD": 1, "HOLD_LIMIT": 3}
        # Five seats are had; two of one hold would be too many, were there a hold left.
        assert shop.pod.client.delete(held[2]).json()["status"] == "RELEASED"
        assert reason(limited.want("d14-three", 3)) == (409, "HOLD_LIMIT")
        back = shop.pod.client.post(f"{held[1]}:refund", headers={"Idempotency-Key": "d14-back"})
        assert back.status_code == 202, back.text
        shop.reach(sold, "REFUNDED")
        assert wait_until(
            lambda: shop.pod.client.get(held[1]).json()["status"] == "REFUNDED", PATIENCE_S
        )
        assert limited.want("d14-three-now", 3).status_code == 201
        brief.open(max_seats_per_user=2, hold_ms=2_000, max_hold_ms=2_000)
        first = brief.want("d14-brief", 2)
        assert first.status_code == 201, first.text
        place = f"/v1/carts/{first.json()['cart_id']}"
        assert wait_until(
            lambda: shop.pod.client.get(place).json()["status"] == "RELEASED", PATIENCE_S
        )
        assert brief.want("d14-brief-2", 2, at=1).status_code == 201
    done = run_audit(shop.servers, "--json", "--ledger", str(shop.gateway.process.ledger))
    figures: dict[str, Any] = json.loads(done)
    assert (figures["verdict"], figures["held_over_limit"]) == ("exact", 0), done
