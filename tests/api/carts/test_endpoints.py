"""Carts over HTTP: one wish, one answer, whatever its sections, pods and clients do."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from support.carts.carting import MINUTE_MS, PARTITIONS, SECTIONS, Carting
from support.pods.carts_asked import ANN, BOB, asking, create, log_of, owners_of, wish
from support.pods.reservations_asked import problem
from support.records.event_values import event
from support.records.status_records import Fed
from support.seats.section_commands import EVENT, confirm, hold

from api.pod import Pod
from schemas.topics import RESERVATION_OUTCOMES
from state.domain.carts.limits import Limits
from state.domain.keys import cart_key, partition_of
from state.domain.reservation import Status
from state.domain.status import SectionStatus
from state.kafka.command_log import AppendUnknown, NotAppended
from state.owners.questions import OwnerUnreachable

A, B, C = SECTIONS
BOTH = wish((A, 2), (B, 3))


def test_d15_all_sections_are_held_by_one_request() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        chosen = {"section": C, "seats": [{"row": 0, "seat": 1}]}
        answer = await create(client, {"items": [*BOTH["items"], chosen]})
        assert answer.status_code == 201, answer.text
        cart = answer.json()
        assert answer.headers["location"] == f"/v1/carts/{cart['cart_id']}"
        assert (cart["status"], cart["on_failure"]) == ("HELD", "release")
        assert [part["status"] for part in cart["parts"]] == ["HELD"] * 3
        assert cart["parts"][0]["seats"] == [{"row": 0, "seat": 0}, {"row": 0, "seat": 1}]
        assert cart["parts"][2]["seats"] == [{"row": 0, "seat": 1}]
        assert cart["deadline_ms"] == min(part["deadline_ms"] for part in cart["parts"])
        assert world.truth(cart["cart_id"], A, B, C) == [Status.HELD] * 3
        shown = await client.get(answer.headers["location"], headers=ANN)
        assert shown.json() == cart

    asking(test)


def test_d12_a_party_larger_than_any_block_is_held_in_pieces_where_it_may_be_parted() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        item: dict[str, Any] = {"section": A, "quantity": 5}
        whole = {"items": [item, *wish((B, 1))["items"]]}
        refused = problem(await create(client, whole), 409, "NO_ADJACENT_SEATS")
        assert refused["section"] == A
        parted = {"items": [{**item, "split": True}, *wish((B, 1))["items"]]}
        answer = await create(client, parted, "k2")
        assert answer.status_code == 201, answer.text
        seats = [(seat["row"], seat["seat"]) for seat in answer.json()["parts"][0]["seats"]]
        assert seats == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
        again = await create(client, parted, "k2")
        assert again.json() == answer.json()
        # Under the same key another wish, whatever Redis has forgotten.
        pod.desk.keys.digest_by_stem.clear()  # type: ignore[attr-defined]
        problem(await create(client, whole, "k2"), 422, "IDEMPOTENCY_KEY_REUSED")

    asking(test, ("..\n...\n..", "....", "...."))


def test_d12_the_view_refuses_no_party_that_may_be_parted_for_its_largest_block() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        items = {"section": A, "quantity": 5}, {"section": A, "quantity": 5, "split": True}
        refused = problem(await create(client, {"items": [items[0]]}), 409, "NO_ADJACENT_SEATS")
        assert refused["source"] == "view"
        answer = await create(client, {"items": [items[1]]})
        assert answer.status_code == 201, answer.text
        many = {"items": [{**items[1], "quantity": 8}]}
        assert problem(await create(client, many, "k2"), 409, "SOLD_OUT")["source"] == "view"

    fed = Fed()
    fed.tell(SectionStatus(1, 5, 7, 0, 3), A)
    fed.heartbeat()
    asking(test, ("..\n...\n..", "....", "...."), view=fed.view)


def test_d12_a_party_is_parted_over_the_sections_that_are_named_where_none_has_room() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        over = {"sections": [A, B], "quantity": 6, "split": True}
        answer = await create(client, {"items": [over, *wish((C, 1))["items"]]})
        assert answer.status_code == 201, answer.text
        cart = answer.json()
        # Who refused all of them is not shown.
        shown = [(part["section"], len(part["seats"])) for part in cart["parts"]]
        assert shown == [(C, 1), (A, 4), (B, 2)]
        assert [part["status"] for part in cart["parts"]] == ["HELD"] * 3
        again = await create(client, {"items": [over, *wish((C, 1))["items"]]})
        assert again.json() == cart
        pod.desk.keys.digest_by_stem.clear()  # type: ignore[attr-defined]
        other = {"items": [over | {"sections": [B, A]}, *wish((C, 1))["items"]]}
        problem(await create(client, other), 422, "IDEMPOTENCY_KEY_REUSED")
        given_back = await client.delete(answer.headers["location"], headers=ANN)
        assert [part["status"] for part in given_back.json()["parts"]] == ["RELEASED"] * 3
        many = {"items": [over | {"quantity": 9}]}
        refused = problem(await create(client, many, "k2"), 409, "SOLD_OUT")
        assert (refused["section"], refused["decided"]) == (B, True)

    asking(test, ("....", "....", "...."))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sections": [A, B], "quantity": 6},
        {"sections": [A, B], "quantity": 6, "split": False},
        {"sections": [A], "quantity": 6, "split": True},
        {"sections": [A, A], "quantity": 6, "split": True},
        {"sections": [A, B], "section": C, "quantity": 6, "split": True},
        {"sections": ["a", B], "quantity": 6, "split": True},
        {"sections": [A, B], "quantity": 17, "split": True},
        {"sections": [f"S-{number}" for number in range(8)], "quantity": 6, "split": True},
    ],
)
def test_d12_what_is_no_party_of_sections_is_no_request(wrong: dict[str, Any]) -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await create(client, {"items": [wrong, *wish((C, 1))["items"]]})
        assert answer.status_code == 400, answer.text
        right = {"sections": [A, B], "quantity": 6, "split": True}
        kept = await create(client, {"items": [right], "on_failure": "keep"})
        assert kept.status_code == 400, kept.text

    asking(test)


def test_a_refused_part_is_the_answer_and_nothing_is_held() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        refused = problem(await create(client, BOTH), 409, "SOLD_OUT")
        assert (refused["section"], refused["decided"]) == (B, True)
        assert world.truth(refused["cart_id"], A, B) == [Status.RELEASED, Status.REJECTED]
        again = problem(await create(client, BOTH), 409, "SOLD_OUT")
        assert again["cart_id"] == refused["cart_id"]
        shown = await client.get(f"/v1/carts/{refused['cart_id']}", headers=ANN)
        assert [part["reason"] for part in shown.json()["parts"]] == [None, "SOLD_OUT"]

    asking(test, ("....", "..", "...."))


def test_with_keep_what_can_be_had_is_held() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH | {"on_failure": "keep"})).json()
        assert cart["status"] == "HELD"
        assert [part["status"] for part in cart["parts"]] == ["HELD", "REJECTED"]

    asking(test, ("....", "..", "...."))


@pytest.mark.parametrize("redis", ["up", "down"])
def test_the_same_key_is_the_same_cart_and_another_body_is_refused(redis: str) -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        keys: Any = pod.desk.keys
        keys.is_down = redis == "down"
        first, again = await create(client, BOTH), await create(client, BOTH)
        assert first.json() == again.json()
        problem(await create(client, wish((A, 2))), 422, "IDEMPOTENCY_KEY_REUSED")
        keep = BOTH | {"on_failure": "keep"}
        problem(await create(client, keep), 422, "IDEMPOTENCY_KEY_REUSED")
        assert (await create(client, wish((A, 1)), key="k2")).status_code == 201

    asking(test)


def test_one_key_for_two_events_is_no_cart_of_the_other_event() -> None:
    """Redis does not remember, and both of the buyer's keys lie on one partition."""

    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        keys: Any = pod.desk.keys
        keys.is_down = True
        home = partition_of(cart_key(EVENT, b"ann"), PARTITIONS)
        other = next(
            number
            for number in range(EVENT + 1, EVENT + 100)
            if partition_of(cart_key(number, b"ann"), PARTITIONS) == home
        )
        assert (await create(client, BOTH)).status_code == 201
        headers = {**ANN, "Idempotency-Key": "k1"}
        asked = await client.post(f"/v1/events/{other}/carts", json=BOTH, headers=headers)
        problem(asked, 422, "IDEMPOTENCY_KEY_REUSED")

    asking(test)


def test_what_is_not_decided_is_pending_and_found_later() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await create(client, BOTH, Prefer="wait=0")
        assert answer.status_code == 202
        assert answer.json()["status"] == "PENDING"
        place = answer.headers["location"]
        asked = (await client.get(place, headers=ANN)).json()
        assert (asked["status"], asked["parts"][0]["status"]) == ("ASKING", "PENDING")
        world.relay_all()
        held = await client.get(f"{place}?changed_from={asked['revision']}", headers=ANN)
        assert held.json()["status"] == "HELD"

    asking(test, relays=False)


def test_a_repeat_of_what_is_still_running_is_told_so() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        first = await create(client, BOTH, Prefer="wait=0")
        again = await create(client, BOTH, Prefer="wait=0")
        problem(again, 409, "STILL_RUNNING")
        assert again.headers["location"] == first.headers["location"]

    asking(test, relays=False)


def test_what_the_view_proves_impossible_is_refused_at_once_unless_it_may_be_kept() -> None:
    fed = Fed()
    fed.tell(SectionStatus(1, 5, 1, 0, 1), B)
    fed.heartbeat()

    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        told = problem(await create(client, BOTH), 409, "SOLD_OUT")
        assert (told["decided"], told["source"]) == (False, "view")
        assert not world.told(RESERVATION_OUTCOMES.name)[3:]
        assert (await create(client, BOTH | {"on_failure": "keep"})).status_code == 201

    asking(test, view=fed.view)


def test_a_wait_ends_when_nothing_changes() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH)).json()
        path = f"/v1/carts/{cart['cart_id']}?changed_from={cart['revision']}"
        same = await client.get(path, headers={**ANN, "Prefer": "wait=0"})
        assert same.json() == cart

    asking(test)


def test_a_cart_is_given_back_once_and_again() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH)).json()
        path = f"/v1/carts/{cart['cart_id']}"
        for _ in range(2):
            answer = await client.delete(path, headers=ANN)
            assert (answer.status_code, answer.json()["status"]) == (200, "RELEASED")
        assert world.truth(cart["cart_id"], A, B) == [Status.RELEASED, Status.RELEASED]
        # The key stands for the cart as it is now.
        assert (await create(client, BOTH)).json()["status"] == "RELEASED"

    asking(test)


def test_an_extension_moves_the_deadline_and_a_repeat_does_not() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH)).json()
        path = f"/v1/carts/{cart['cart_id']}:extend"
        world.driver.advance(MINUTE_MS)
        wrong: list[Any] = [{"hold_ms": 86_400_000}, [], 1, True]
        for said in wrong:
            key = {**ANN, "Idempotency-Key": "x0"}
            problem(await client.post(path, headers=key, json=said), 400, "MALFORMED")
        nothing: list[Any] = [None, {}]
        for said in nothing:
            key = {**ANN, "Idempotency-Key": "x1"}
            answer = await client.post(path, headers=key, json=said)
            assert answer.status_code == 200, answer.text
            assert answer.json()["deadline_ms"] == cart["deadline_ms"] + MINUTE_MS
            world.driver.advance(MINUTE_MS)
        await client.delete(f"/v1/carts/{cart['cart_id']}", headers=ANN)
        over = await client.post(path, headers={**ANN, "Idempotency-Key": "x2"})
        problem(over, 409, "NOT_HELD")

    asking(test)


def test_another_users_cart_does_not_exist() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH)).json()
        path = f"/v1/carts/{cart['cart_id']}"
        problem(await client.get(path, headers=BOB), 404, "NOT_FOUND")
        problem(await client.delete(path, headers=BOB), 404, "NOT_FOUND")
        extension = {**BOB, "Idempotency-Key": "x"}
        problem(await client.post(f"{path}:extend", headers=extension), 404, "NOT_FOUND")
        nobody = await client.get("/v1/carts/r-1", headers={**ANN, "Prefer": "wait=0"})
        problem(nobody, 404, "NOT_FOUND")

    asking(test)


def test_a_part_is_none_of_the_reservations() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH)).json()
        part = f"/v1/reservations/{cart['cart_id']}_0"
        problem(await client.get(part, headers=ANN), 404, "UNKNOWN_RESERVATION")
        problem(await client.delete(part, headers=ANN), 404, "UNKNOWN_RESERVATION")

    asking(test)


def test_a_cart_of_which_a_part_is_sold_is_not_given_back() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH)).json()
        world.ask(confirm(f"{cart['cart_id']}_0", section=A))
        refused = await client.delete(f"/v1/carts/{cart['cart_id']}", headers=ANN)
        problem(refused, 409, "ALREADY_SOLD")
        assert world.truth(cart["cart_id"], A, B) == [Status.SOLD, Status.HELD]

    asking(test)


def test_what_may_be_kept_is_given_back_beside_a_part_that_is_sold() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH | {"on_failure": "keep"})).json()
        world.ask(confirm(f"{cart['cart_id']}_0", section=A))
        for _ in range(2):
            answer = await client.delete(f"/v1/carts/{cart['cart_id']}", headers=ANN)
            assert (answer.status_code, answer.json()["status"]) == (200, "SOLD")
            assert [part["status"] for part in answer.json()["parts"]] == ["SOLD", "RELEASED"]
        assert world.truth(cart["cart_id"], A, B) == [Status.SOLD, Status.RELEASED]

    asking(test)


def test_what_is_sold_as_a_whole_is_not_given_back_though_it_might_have_been_kept() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        cart = (await create(client, BOTH | {"on_failure": "keep"})).json()
        for number, section in enumerate((A, B)):
            world.ask(confirm(f"{cart['cart_id']}_{number}", section=section))
        refused = await client.delete(f"/v1/carts/{cart['cart_id']}", headers=ANN)
        problem(refused, 409, "ALREADY_SOLD")

    asking(test)


def test_a_cart_that_is_not_begun_yet_is_given_back_by_its_key() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        owners_of(pod).is_behind = True
        pending = await create(client, BOTH, "k1", Prefer="wait=0")
        assert pending.status_code == 202
        place = pending.headers["location"]
        known = {**ANN, "Idempotency-Key": "k1", "Prefer": "wait=0"}
        for path, headers in (
            (place, known),
            (f"{place}?event_id={EVENT}", known | {"Idempotency-Key": "k2"}),
            (f"{place}?event_id={EVENT}", known | BOB),
        ):
            problem(await client.delete(path, headers=headers), 404, "NOT_FOUND")
        taken = await client.delete(f"{place}?event_id={EVENT}", headers=known)
        assert (taken.status_code, taken.headers["location"]) == (202, place)
        owners_of(pod).is_behind = False
        assert (await client.get(place, headers=ANN)).json()["status"] == "RELEASED"
        assert world.truth(taken.json()["cart_id"], A, B) == [Status.RELEASED] * 2

    asking(test)


def test_nothing_is_accepted_without_brokers() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        log_of(pod).failure = NotAppended("no brokers")
        problem(await create(client, BOTH), 503, "BROKER_UNAVAILABLE")
        log_of(pod).failure = AppendUnknown("nobody knows")
        answer = await create(client, BOTH, "k2", Prefer="wait=0")
        assert answer.status_code == 202

    asking(test)


def test_a_wish_that_was_taken_is_pending_while_nobody_can_be_asked() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        owners_of(pod).failure = OwnerUnreachable("nobody")
        answer = await create(client, BOTH, Prefer="wait=0")
        assert answer.status_code == 202
        problem(
            await client.get(answer.headers["location"], headers=ANN), 503, "OWNER_UNREACHABLE"
        )
        owners_of(pod).failure = None
        assert (await create(client, BOTH)).json()["status"] == "HELD"

    asking(test)


@pytest.mark.parametrize(
    "body",
    [
        {"items": []},
        wish(*[(A, 1)] * 9),
        wish((A, 0)),
        wish((A, 1), on_failure="maybe"),
        wish((A, 1), split=True),
        {"items": [{"section": A}]},
        {"items": [{"section": A, "quantity": 1, "seats": [{"row": 0, "seat": 0}]}]},
        {"items": [{"section": A, "seats": [{"row": 0, "seat": 0}]}] * 2},
        {"items": [{"section": A, "seats": [{"row": 0, "seat": 0}]}] * 2, "on_failure": "keep"},
    ],
)
def test_what_is_no_wish_is_refused(body: dict[str, Any]) -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        problem(await create(client, body), 400, "MALFORMED")

    asking(test)


def test_seats_of_others_are_not_waited_for() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        world.ask(hold("r1", 4, section=A))
        problem(await create(client, BOTH), 409, "SOLD_OUT")

    asking(test)


def limited_pod(pod: Pod, **limits: int) -> None:
    """Let the pod know that the event has limits."""
    catalogue: Any = pod.catalogue
    catalogue.described[EVENT] = event(EVENT, limits=Limits(**limits))


def test_b64_d14_a_buyer_has_no_more_of_an_event_than_its_limit() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        limited_pod(pod, max_seats=3)
        first = (await create(client, wish((A, 2)))).json()
        refused = problem(await create(client, wish((B, 1), (C, 1)), "k2"), 409, "HOLD_LIMIT")
        assert refused["decided"]
        assert (await create(client, wish((B, 1), (C, 1)), "k3", BOB)).status_code == 201
        await client.delete(f"/v1/carts/{first['cart_id']}", headers=ANN)
        assert (await create(client, wish((B, 1), (C, 1)), "k4")).status_code == 201

    asking(test)


def test_seats_of_an_event_with_limits_are_held_by_carts_only() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        limited_pod(pod, max_open_holds=3)
        path, body = f"/v1/events/{EVENT}/reservations", {"section": A, "quantity": 1}
        asked = await client.post(path, json=body, headers={**ANN, "Idempotency-Key": "k"})
        refused = problem(asked, 409, "CART_NEEDED")
        assert asked.headers["location"] in refused["detail"]
        # What is told is what helps.
        there = await client.post(
            asked.headers["location"], json=wish((A, 1)), headers={**ANN, "Idempotency-Key": "k"}
        )
        assert there.status_code == 201

    asking(test)


def test_s3_11_a_pod_of_described_events_sells_none_whose_description_is_gone() -> None:
    """What it limits is not known then: seats beyond the limit would be held."""

    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        pod.settings = replace(pod.settings, described_only=True)
        limited_pod(pod, max_seats=3)
        assert (await create(client, wish((A, 3)))).status_code == 201
        catalogue: Any = pod.catalogue
        catalogue.described.clear()
        refused = problem(await create(client, wish((B, 3)), "k2"), 409, "NOT_DESCRIBED")
        assert "opens it again" in refused["detail"]
        path, body = f"/v1/events/{EVENT}/reservations", {"section": B, "quantity": 3}
        asked = await client.post(path, json=body, headers={**ANN, "Idempotency-Key": "k"})
        problem(asked, 409, "NOT_DESCRIBED")
        limited_pod(pod, max_seats=3)
        problem(await create(client, wish((C, 1)), "k3"), 409, "HOLD_LIMIT")

    asking(test)


def test_a_pod_that_does_not_know_an_events_limits_lets_nobody_hold() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        catalogue: Any = pod.catalogue
        catalogue.is_cut_off = True
        problem(await create(client, wish((A, 1))), 503, "BROKER_UNAVAILABLE")
        # What is known is never too old: limits do not change.
        limited_pod(pod, max_seats=1)
        assert (await create(client, wish((A, 1)))).status_code == 201

    asking(test)


def test_an_event_on_sale_that_nobody_has_described_is_asked_about_once() -> None:
    fed = Fed()

    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        catalogue: Any = pod.catalogue
        # Its limits may still be told, before it is open.
        assert (await create(client, wish((A, 1)))).status_code == 201
        catalogue.is_cut_off = True
        problem(await create(client, wish((A, 1)), "k2"), 503, "BROKER_UNAVAILABLE")
        catalogue.is_cut_off = False
        fed.tell(SectionStatus(1, 5, 4, 0, 4), A)
        fed.heartbeat()
        assert (await create(client, wish((A, 1)), "k3")).status_code == 201
        catalogue.is_cut_off = True
        assert (await create(client, wish((A, 1)), "k4")).status_code == 201
        # Whoever limits it afterwards is heard.
        limited_pod(pod, max_open_holds=1)
        problem(await create(client, wish((A, 1), (B, 1)), "k5"), 409, "HOLD_LIMIT")

    asking(test, view=fed.view)
