"""Reservations over HTTP, decided by the real handler in this process."""

import asyncio
import random
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.pods.api_pods import client_of
from support.pods.conditions import until
from support.pods.reservation_pods import AppendUnknown, NotAppended, Seats, pod_over
from support.pods.reservations_asked import (
    ANN,
    BOB,
    DOCUMENT,
    PATH,
    asking,
    create,
    feed_of,
    problem,
    waiting,
)
from support.records.status_records import Fed
from support.seats.section_commands import ELSEWHERE, EVENT, A, confirm

from api.pod import Pod
from state.domain.keys import issued_id, stem_of
from state.domain.status import SectionStatus


def test_a_hold_is_answered_with_its_committed_outcome() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await create(client)
        assert answer.status_code == 201, answer.text
        body = answer.json()
        assert body["seats"] == [{"row": 0, "seat": 0}, {"row": 0, "seat": 1}]
        assert body["status"] == "HELD"
        assert body["epoch"] == 1
        assert body["deadline_ms"] > body["decided_at_ms"]
        token = f"{EVENT}-{A}:{body['version']}:{body['decided_at_ms']}"
        assert body["consistency_token"] == token
        assert body["reservation_id"] == issued_id(stem_of("ann", "k1"), 0)
        assert answer.headers["location"] == f"/v1/reservations/{body['reservation_id']}"
        shown = await client.get(answer.headers["location"], headers=ANN)
        assert shown.json() == body

    asking(test)


def test_chosen_seats_are_held_all_or_none() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        wanted = [{"row": 1, "seat": 3}, {"row": 0, "seat": 5}]
        answer = await create(client, "k1", {"section": A, "seats": wanted})
        assert answer.status_code == 201
        assert sorted(answer.json()["seats"], key=lambda seat: seat["row"]) == wanted[::-1]
        other = {"section": A, "seats": [{"row": 1, "seat": 2}, {"row": 1, "seat": 3}]}
        refused = problem(await create(client, "k2", other), 409, "SEAT_TAKEN")
        assert refused["seat"] == {"row": 1, "seat": 3}
        assert refused["decided"]
        unknown = {"section": A, "seats": [{"row": 9, "seat": 2}]}
        problem(await create(client, "k3", unknown), 400, "UNKNOWN_SEAT")

    asking(test)


def test_b38_a_repeat_gets_the_same_answer_whatever_became_of_it() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        first = await create(client)
        seats.append(0, confirm(first.json()["reservation_id"], user="ann"))
        again = [await create(client) for _ in range(3)]
        assert {answer.status_code for answer in (first, *again)} == {201}
        assert all(answer.content == first.content for answer in again)
        shown = await client.get(first.headers["location"], headers=ANN)
        assert shown.json()["status"] == "SOLD"
        assert shown.json()["deadline_ms"] is None
        # Members in another order are the same body.
        turned = await create(client, body=dict(reversed(DOCUMENT.items())))
        assert turned.content == first.content

    asking(test)


@pytest.mark.parametrize("redis", ["up", "down"])
@pytest.mark.parametrize(
    "other",
    [
        {"section": A, "quantity": 3},
        {"section": A, "seats": [{"row": 1, "seat": 1}, {"row": 1, "seat": 2}]},
        {"section": ELSEWHERE, "quantity": 2},
    ],
    ids=["count", "seats", "section"],
)
def test_b39_f10_another_body_under_a_key_is_refused_and_changes_nothing(
    other: dict[str, Any], redis: str
) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.keys.is_down = redis == "down"
        seats.open("....", ELSEWHERE)
        first = await create(client)
        problem(await create(client, body=other), 422, "IDEMPOTENCY_KEY_REUSED")
        shown = await client.get(first.headers["location"], headers=ANN)
        assert shown.content == first.content
        # Somebody else's key of the same name is another.
        assert (await create(client, body=other, who=BOB)).status_code == 201

    asking(test)


def test_a_key_is_demanded() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await client.post(PATH, json=DOCUMENT, headers=ANN)
        problem(answer, 400, "IDEMPOTENCY_KEY_MISSING")
        answer = await create(client, "k" * 256)
        problem(answer, 400, "MALFORMED")
        assert not seats.sent

    asking(test)


@pytest.mark.parametrize(
    "body",
    [
        {"section": "a", "quantity": 1},
        {"section": "\uff21", "quantity": 1},
        {"section": "A ", "quantity": 1},
        {"section": "A" * 33, "quantity": 1},
        {"section": A, "quantity": 0},
        {"section": A, "quantity": 17},
        {"section": A, "quantity": 2**31 - 1},
        {"section": A, "quantity": 2**40},
        {"section": A, "quantity": "2"},
        {"section": A, "quantity": 2.0},
        {"section": A, "quantity": True},
        {"section": A},
        {"section": A, "quantity": 1, "seats": [{"row": 0, "seat": 0}]},
        {"section": A, "seats": []},
        {"section": A, "seats": [{"row": 0, "seat": 0}] * 10_000},
        {"section": A, "seats": [{"row": -1, "seat": 0}]},
        {"section": A, "seats": [{"row": "A", "seat": "1e3"}]},
        {"section": A, "seats": [{"row": 0, "seat": "0x10"}]},
        {"section": A, "seats": [{"row": 0, "seat": 0, "section": "B"}]},
        {"section": A, "quantity": 1, "price": 100},
        {"section": A, "quantity": 1, "amount": 0},
        {"section": A, "quantity": 1, "currency": "EUR"},
        {"section": A, "seats": [{"row": 0, "seat": 0, "amount": 0}]},
        {"section": A, "quantity": 1, "hold_ms": 0},
        {"section": A, "quantity": 1, "user_id": "bob"},
        [],
        "A",
        None,
    ],
)
def test_b34_b51_b54_b55_b56_b57_b62_b63_what_no_request_can_mean_is_refused(body: Any) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await client.post(PATH, json=body, headers={**ANN, "Idempotency-Key": "k"})
        # 413 for the longest of them.
        assert answer.status_code in {400, 413}, answer.text
        assert not seats.sent
        assert not seats.keys.digest_by_stem

    asking(test)


@pytest.mark.parametrize(
    "text", ["", "a" * 10_000, "a%00b", "a%0Ab", "..%2Fetc", "%22", "{}", "%C3%A4", "a:b"]
)
def test_b36_an_id_that_none_can_be_is_not_found_or_refused(text: str) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/v1/reservations/{text}", headers=ANN)
        assert answer.status_code in {400, 404, 414}
        answer = await client.delete(f"/v1/reservations/{text}", headers=ANN)
        assert answer.status_code in {400, 404, 405, 414}
        assert not seats.sent

    asking(test)


def test_a_hold_that_the_log_refuses_is_told_with_its_reason() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        told = problem(await create(client, body={"section": A, "quantity": 8}), 409, "SOLD_OUT")
        assert told["decided"]
        again = problem(await create(client, body={"section": A, "quantity": 8}), 409, "SOLD_OUT")
        assert again["outcome_id"] == told["outcome_id"]
        shown = await client.get(f"/v1/reservations/{told['reservation_id']}", headers=ANN)
        assert shown.json()["status"] == "REJECTED"
        assert shown.json()["reason"] == "SOLD_OUT"
        unknown = {"section": "NOWHERE", "quantity": 1}
        problem(await create(client, "k2", unknown), 404, "UNKNOWN_SECTION")
        many = {"section": A, "quantity": 9}
        problem(await create(client, "k3", many), 400, "BAD_COUNT")

    asking(test, "....")


def test_what_the_view_proves_impossible_is_refused_at_once_and_the_key_stays_free() -> None:
    async def test(_: Seats, __: Pod, ___: httpx.AsyncClient) -> None:
        seats = Seats().open("......")
        fed = Fed()
        fed.tell(SectionStatus(1, 5, 1, 0, 1), A)
        fed.heartbeat()
        pod = pod_over(seats, view=fed.view)
        async with client_of(pod) as client:
            told = problem(await create(client), 409, "SOLD_OUT")
            assert (told["decided"], told["source"], told["version"]) == (False, "view", 1)
            assert not seats.sent
            fed.tell(SectionStatus(2, 6, 6, 0, 6), A)
            first = await create(client)
            assert first.status_code == 201
            # Decided already: what the view says now does not count.
            fed.tell(SectionStatus(3, 7, 0, 6, 0), A)
            assert (await create(client)).content == first.content

    asking(test)


def test_f81_a_stale_view_refuses_nothing() -> None:
    async def test(_: Seats, __: Pod, ___: httpx.AsyncClient) -> None:
        seats = Seats().open("......")
        fed = Fed()
        fed.tell(SectionStatus(1, 5, 0, 0, 0), A)
        fed.heartbeat()
        fed.now_ms += 10_000
        async with client_of(pod_over(seats, view=fed.view)) as client:
            assert (await create(client)).status_code == 201

    asking(test)


def test_a_hold_that_takes_longer_is_pending_until_a_poll_finds_it() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.holds_back = True
        answer = await create(client, Prefer="wait=0")
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "PENDING"
        assert answer.headers["preference-applied"] == "wait=0"
        assert int(answer.headers["retry-after"]) >= 1
        place = answer.headers["location"]
        running = await create(client, Prefer="wait=0")
        problem(running, 409, "STILL_RUNNING")
        assert running.headers["location"] == place
        assert running.headers["retry-after"]
        problem(
            await client.get(place, headers={**ANN, "Prefer": "wait=0"}),
            404,
            "UNKNOWN_RESERVATION",
        )
        poll = asyncio.create_task(client.get(place, headers={**ANN, "Prefer": "wait=9"}))
        await until(lambda: waiting(pod) > 0)
        seats.decide()
        seats.holds_back = False
        shown = await poll
        assert shown.status_code == 200
        assert shown.headers["preference-applied"] == "wait=9"
        assert shown.json()["status"] == "HELD"
        assert (await create(client)).content == shown.content

    asking(test)


def test_f08_the_same_request_at_two_pods_at_once_is_one_reservation() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        other = pod_over(seats)
        seats.holds_back = True
        async with client_of(other) as second:
            asked = [
                asyncio.create_task(create(one, Prefer="wait=9"))
                for one in (client, second, client)
            ]
            await until(lambda: waiting(pod) == 2 and waiting(other) == 1 and len(seats.sent) == 3)
            seats.decide()
            answers = await asyncio.gather(*asked)
            assert {answer.status_code for answer in answers} == {201}
            assert len({answer.content for answer in answers}) == 1
            assert waiting(other) == 0
        stored = [key for key in seats.partitions[0].stored() if key.startswith(b"r")]
        assert len(stored) == 1

    asking(test)


def test_f02_an_append_of_unknown_result_is_pending_and_a_poll_tells_the_truth() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.failure, seats.is_appended, seats.holds_back = AppendUnknown("?"), True, True
        answer = await create(client)
        assert answer.status_code == 202
        seats.decide()
        shown = await client.get(answer.headers["location"], headers=ANN)
        assert shown.json()["status"] == "HELD"
        # Appended, and decided while the answer is waited for.
        seats.failure, seats.holds_back = AppendUnknown("?"), False
        assert (await create(client, "k2")).status_code == 201

    asking(test)


def test_f02_where_nothing_was_appended_a_repeat_with_the_key_is_the_first() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.failure = AppendUnknown("?")
        answer = await create(client, Prefer="wait=0")
        assert answer.status_code == 202
        problem(
            await client.get(answer.headers["location"], headers=ANN), 404, "UNKNOWN_RESERVATION"
        )
        assert (await create(client)).status_code == 201

    asking(test)


def test_f06_what_was_certainly_not_appended_is_unavailable() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.failure = NotAppended("127.0.0.1:9092 is down")
        answer = await create(client)
        told = problem(answer, 503, "BROKER_UNAVAILABLE")
        assert "127.0.0.1" not in str(told)
        assert not seats.sent
        assert (await create(client)).status_code == 201

    asking(test)


def test_f09_a_flood_on_one_section_is_refused_and_leaves_room_for_others() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.open("....", ELSEWHERE)
        seats.holds_back = True
        asked = [asyncio.create_task(create(client, f"k{n}", Prefer="wait=9")) for n in range(20)]
        await until(lambda: sum(one.done() for one in asked) == 18)
        running = [one for one in asked if not one.done()]
        for one in asked:
            if one.done():
                problem(one.result(), 429, "OVERLOADED")
        assert len(running) == 2
        elsewhere = {"section": ELSEWHERE, "quantity": 1}
        another = asyncio.create_task(create(client, "else", elsewhere, Prefer="wait=9"))
        await until(lambda: len(seats.sent) == 3)
        seats.decide()
        assert (await another).status_code == 201
        assert {(await one).status_code for one in running} == {201}
        assert pod.desk.in_flight.refused == 18

    asking(test, in_flight_max=8, wait_ms=2_000)


def test_b67_somebody_elses_reservation_is_not_there() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        place = (await create(client)).headers["location"]
        sent = len(seats.sent)
        quick = {**BOB, "Prefer": "wait=0"}
        problem(await client.get(place, headers=quick), 404, "UNKNOWN_RESERVATION")
        problem(await client.delete(place, headers=quick), 404, "UNKNOWN_RESERVATION")
        extension = await client.post(
            f"{place}:extend", json={"epoch": 1}, headers={**quick, "Idempotency-Key": "x"}
        )
        problem(extension, 404, "UNKNOWN_RESERVATION")
        assert len(seats.sent) == sent
        # One that is not there looks no different.
        nobody = await client.get(f"/v1/reservations/{'a' * 26}-0", headers=quick)
        mine = await client.get(place, headers=quick)
        assert {**nobody.json(), "instance": "", "correlation_id": ""} == {
            **mine.json(), "instance": "", "correlation_id": "",
        }  # fmt: skip

    asking(test)


def test_seats_are_given_back_once_however_often_that_is_asked() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        place = (await create(client)).headers["location"]
        problem(await client.delete(f"{place}?epoch=2", headers=ANN), 409, "STALE_EPOCH")
        first = await client.delete(place, headers=ANN)
        assert first.status_code == 200
        assert (first.json()["status"], first.json()["cause"]) == ("RELEASED", "CANCELLED")
        assert (await client.delete(place, headers=ANN)).content == first.content
        assert (await client.get(place, headers=ANN)).content == first.content
        assert seats.partitions[0].status().availableCount == 12
        place = (await create(client, "k2")).headers["location"]
        seats.append(0, confirm(place.rpartition("/")[2], user="ann"))
        problem(await client.delete(place, headers=ANN), 409, "ALREADY_SOLD")

    asking(test)


def test_f04_b41_who_knows_the_key_cancels_what_is_not_decided_yet() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        place = f"/v1/reservations/{issued_id(stem_of('ann', 'k1'), 0)}"
        where = f"{place}?event_id={EVENT}&section={A}"
        key = {"Idempotency-Key": "k1"}
        problem(await client.delete(place, headers={**ANN, **key}), 404, "UNKNOWN_RESERVATION")
        problem(await client.delete(where, headers=ANN), 404, "UNKNOWN_RESERVATION")
        problem(await client.delete(where, headers={**BOB, **key}), 404, "UNKNOWN_RESERVATION")
        elsewhere = f"{place}?event_id={EVENT}&section={ELSEWHERE}"
        answer = await client.delete(elsewhere, headers={**ANN, **key})
        problem(answer, 404, "UNKNOWN_RESERVATION")
        assert not seats.sent
        cancelled = await client.delete(where, headers={**ANN, **key})
        assert cancelled.status_code == 200
        assert cancelled.json()["seats"] == []
        problem(await create(client), 409, "CANCELLED")
        shown = await client.get(place, headers=ANN)
        assert shown.content == cancelled.content

    asking(test)


def test_an_extension_is_made_once_for_one_key() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        created = await create(client)
        place = created.headers["location"]

        async def extend(key: str, epoch: int = 1) -> httpx.Response:
            return await client.post(
                f"{place}:extend", json={"epoch": epoch}, headers={**ANN, "Idempotency-Key": key}
            )

        seats.partitions[0].now_ms += 1_000
        first = await extend("x1")
        assert first.status_code == 200, first.text
        assert first.json()["deadline_ms"] == created.json()["deadline_ms"] + 1_000
        assert first.json()["seats"] == created.json()["seats"]
        seats.partitions[0].now_ms += 500
        assert (await extend("x1")).content == first.content
        problem(await extend("x1", 2), 422, "IDEMPOTENCY_KEY_REUSED")
        # The key of the reservation stands for another request.
        problem(await extend("k1"), 422, "IDEMPOTENCY_KEY_REUSED")
        second = await extend("x2")
        assert second.json()["deadline_ms"] == first.json()["deadline_ms"] + 500
        problem(await extend("x3"), 409, "EXTENSION_CAP")
        problem(await extend("x4", 2), 409, "STALE_EPOCH")
        assert (await client.get(place, headers=ANN)).content == second.content

    asking(test, hold_ms=2_000, max_hold_ms=3_500)


def test_the_price_fixed_when_seats_were_held_is_in_every_answer() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        wanted = [{"row": 0, "seat": 2}, {"row": 1, "seat": 0}, {"row": 1, "seat": 4}]
        created = await create(client, "k1", {"section": A, "seats": wanted})
        place = created.headers["location"]
        price = {"amount": 4_500 + 2 * 2_950, "currency": "EUR"}

        async def check(answer: httpx.Response) -> None:
            assert {name: answer.json()[name] for name in price} == price, answer.text
            # From memory, and from the owner's store.
            assert (await client.get(place, headers=ANN)).json().items() >= price.items()
            feed_of(pod).forget()
            assert (await client.get(place, headers=ANN)).json().items() >= price.items()

        assert created.status_code == 201, created.text
        await check(created)
        seats.partitions[0].now_ms += 1_000
        key = {**ANN, "Idempotency-Key": "x1"}
        await check(await client.post(f"{place}:extend", json={"epoch": 1}, headers=key))
        await check(await client.delete(place, headers=ANN))
        rejected = await create(client, "k2", {"section": A, "quantity": 7})
        assert "amount" not in problem(rejected, 409, "NO_ADJACENT_SEATS")

    asking(test, hold_ms=2_000, currency="EUR", amounts=(4_500, 2_950))


def test_correlation_and_trace_pass_into_the_record_and_out() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        trace = f"00-{'a' * 32}-{'b' * 16}-01"
        answer = await create(client, X_Correlation_Id="shop.17", traceparent=trace)
        assert answer.headers["x-correlation-id"] == "shop.17"
        assert seats.sent == [(0, {"correlation-id": b"shop.17", "traceparent": trace.encode()})]
        place = answer.headers["location"]
        # B78: what could break a line is replaced, and goes nowhere.
        answer = await client.delete(place, headers={**ANN, "X-Correlation-Id": "a b\x1b[0m"})
        assert seats.sent[1][1]["correlation-id"].isalnum()
        assert seats.sent[1][1]["correlation-id"].decode() == answer.headers["x-correlation-id"]

    asking(test)


def test_a_pod_that_ends_answers_pending_at_once() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        seats.holds_back = True
        asked = asyncio.create_task(create(client, Prefer="wait=9"))
        await until(lambda: waiting(pod) > 0)
        pod.end_waits()
        assert (await asked).status_code == 202
        assert (await create(client, "k2", Prefer="wait=9")).status_code == 202

    asking(test)


def test_a_pod_that_has_not_read_the_outcomes_takes_nothing() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        feed_of(pod)._contents = None
        problem(await create(client), 503, "NOT_READY")
        assert not seats.sent

    asking(test)


@given(st.integers(0, 2**32), st.integers(2, 12))
@settings(max_examples=of_whole(25))
def test_no_waiter_and_no_room_is_lost_when_callers_go_away(seed: int, callers: int) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        chance = random.Random(seed)
        seats.holds_back = True
        place = f"/v1/reservations/{issued_id(stem_of('ann', 'k0'), 0)}"
        tasks = []
        for number in range(callers):
            if chance.random() < 0.5:
                call = create(client, f"k{number % 3}", Prefer="wait=9")
            else:
                call = client.get(place, headers={**ANN, "Prefer": "wait=9"})
            tasks.append(asyncio.create_task(call))
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            if chance.random() < 0.6:
                chance.choice(tasks).cancel()
            if chance.random() < 0.2:
                seats.decide()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asking(test)


@pytest.mark.parametrize(
    ("quoted", "plain"),
    [('"k1"', "k1"), (r'"a\"b\\c"', r'a"b\c'), ('" k "', " k "), ('"a;b, c"', "a;b, c")],
)
def test_f3_a_quoted_key_is_the_key_between_its_quotes(quoted: str, plain: str) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        first = await create(client, quoted)
        assert first.status_code == 201, first.text
        assert first.json()["reservation_id"] == issued_id(stem_of("ann", plain), 0)
        again = await create(client, quoted)
        assert (again.status_code, again.content) == (201, first.content)
        if plain == plain.strip():
            assert (await create(client, plain)).content == first.content
        cancelled = await client.delete(
            f"/v1/reservations/{first.json()['reservation_id']}",
            headers={**ANN, "Idempotency-Key": quoted},
        )
        assert cancelled.status_code == 200, cancelled.text

    asking(test)
