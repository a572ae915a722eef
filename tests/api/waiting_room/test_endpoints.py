"""The waiting room over HTTP, at a real Redis: enter, ask, leave; and how it is run."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from itertools import count
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from support.pods.api_client import OPERATOR, client_of
from support.pods.api_pods import problem_of
from support.redis.events import EVENTS
from support.redis.locking import redis_at
from support.waiting.keys import passes, passes_of_today
from support.waiting.proving import prove
from support.waiting.turns_in_memory import IDS, TurnsInMemory

from api.admission.desk import WaitingDesk
from api.admission.passes import ENTRY, QUEUE
from api.admission.turns import TurnLog
from state.redis.keys import waiting_room

NAMES = count()

Test = Callable[[httpx.AsyncClient, Redis, WaitingDesk], Awaitable[None]]


def run(url: str, test: Test) -> None:
    async def go() -> None:
        desk = WaitingDesk(url, passes_of_today())
        async with client_of(waiting=desk) as client, redis_at(url) as redis:
            await test(client, redis, desk)
        await desk.close()

    asyncio.run(go())


def buyer() -> dict[str, str]:
    """Return the header of a buyer that no other test has."""
    return {"Authorization": f"Bearer visitor-{next(NAMES)}:buyer"}


def name_of(who: dict[str, str]) -> str:
    return who["Authorization"].removeprefix("Bearer ").partition(":")[0]


def place_of(event: int) -> str:
    return f"/v1/events/{event}/waiting-room"


async def opened(client: httpx.AsyncClient, **how: Any) -> int:
    event = next(EVENTS)
    body = {"state": "open", "cap": 100, **how}
    answer = await client.post(f"{place_of(event)}/state", json=body, headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    return event


async def entered(
    client: httpx.AsyncClient, event: int, who: dict[str, str], status: int = 201, **body: Any
) -> Any:
    answer = await client.post(place_of(event), json=body, headers=who)
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def looked(client: httpx.AsyncClient, event: int, who: dict[str, str]) -> Any:
    answer = await client.get(place_of(event), headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_user_enters_waits_is_let_in_and_makes_room(redis_url: str) -> None:
    async def test(client: httpx.AsyncClient, _: Redis, desk: WaitingDesk) -> None:
        event = await opened(client, cap=1, message="Doors at eight.")
        ann, ben = buyer(), buyer()
        assert (await looked(client, event, ann))["state"] == "NONE"
        first = await entered(client, event, ann)
        assert (first["state"], first["position"]) == ("WAITING", 1)
        assert first["message"] == "Doors at eight."
        assert (await entered(client, event, ben))["position"] == 2
        # Q04, Q05: again, or in another tab.
        again = await entered(client, event, ben, 200)
        assert again["position"] == 2
        await prove(desk.rooms, event)
        (turn,) = await desk.rooms.promote(event, "p-1", 9)
        assert turn.user_id == name_of(ann)
        told = await looked(client, event, ann)
        assert (told["state"], told["poll_after_ms"], told["position"]) == (
            "ADMITTED",
            1_000,
            None,
        )
        assert (
            passes_of_today().turn_in(told["entry_token"], ENTRY, event, name_of(ann)) == turn.turn
        )
        assert (await looked(client, event, ben))["position"] == 1
        assert (await looked(client, event, ben))["poll_after_ms"] == 8_000
        for _again in range(2):
            left = await client.delete(place_of(event), headers=ann)
            assert (left.status_code, left.json()["state"]) == (200, "NONE")
        assert (await looked(client, event, ben))["poll_after_ms"] == 5_000

    run(redis_url, test)


def test_q10_d33_whoever_shows_the_queue_token_has_the_turn_after_redis_lost_it(
    redis_url: str,
) -> None:
    async def test(client: httpx.AsyncClient, redis: Redis, _: WaitingDesk) -> None:
        event = await opened(client)
        ann, ben, late = buyer(), buyer(), buyer()
        tokens = [(await entered(client, event, who))["queue_token"] for who in (ann, ben)]
        await redis.delete(*waiting_room(event))
        await client.post(
            f"{place_of(event)}/state", json={"state": "open", "cap": 5}, headers=OPERATOR
        )
        await redis.hset(waiting_room(event)[0], "turn", str(2**51))
        await entered(client, event, late)
        back = await entered(client, event, ben, queue_token=tokens[1])
        assert back["position"] == 1
        assert (await entered(client, event, ann, queue_token=tokens[0]))["position"] == 1
        assert (await looked(client, event, late))["position"] == 3
        assert back["queue_token"] is not None
        assert passes_of_today().turn_in(back["queue_token"], QUEUE, event, name_of(ben)) > 0

    run(redis_url, test)


def test_q16_b77_a_bad_token_is_401_and_leaves_the_position(redis_url: str) -> None:
    async def test(client: httpx.AsyncClient, _: Redis, __: WaitingDesk) -> None:
        event = await opened(client)
        ann, ben = buyer(), buyer()
        token = (await entered(client, event, ann))["queue_token"]
        for shown in (token[:-3], token + "x", "forged"):
            answer = await client.post(place_of(event), json={"queue_token": shown}, headers=ann)
            problem_of(answer, 401, "TURN_NOT_PROVED")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        answer = await client.post(place_of(event), json={"queue_token": token}, headers=ben)
        problem_of(answer, 401, "TURN_NOT_PROVED")
        assert (await looked(client, event, ann))["position"] == 1
        assert (await looked(client, event, ben))["state"] == "NONE"

    run(redis_url, test)


def test_s000_14_what_cannot_be_entered_says_why(redis_url: str) -> None:
    async def test(client: httpx.AsyncClient, _: Redis, __: WaitingDesk) -> None:
        none = next(EVENTS)
        for answer in (
            await client.post(place_of(none), json={}, headers=buyer()),
            await client.get(place_of(none), headers=buyer()),
            await client.get(f"{place_of(none)}/state", headers=OPERATOR),
        ):
            problem_of(answer, 404, "NO_WAITING_ROOM")
        closed, event, ann = await opened(client, state="closed"), await opened(client), buyer()
        answer = await client.post(place_of(closed), json={}, headers=ann)
        problem_of(answer, 409, "ROOM_CLOSED")
        assert answer.headers["retry-after"] == "30"
        await entered(client, event, ann)
        other = await opened(client)
        body = problem_of(
            await client.post(place_of(other), json={}, headers=ann), 409, "WAITS_ELSEWHERE"
        )
        assert body["event_id"] == event

    run(redis_url, test)


def test_an_operator_opens_pauses_and_sees_it_and_a_buyer_does_not(redis_url: str) -> None:
    async def test(client: httpx.AsyncClient, _: Redis, desk: WaitingDesk) -> None:
        event = await opened(client, cap=2, per_minute=600)
        for _at in range(3):
            await entered(client, event, buyer())
        await prove(desk.rooms, event)
        await desk.rooms.promote(event, "p-1", 9)
        path = f"{place_of(event)}/state"
        told = (await client.get(path, headers=OPERATOR)).json()
        assert (told["joined"], told["waiting"], told["admitted"]) == (3, 1, 2)
        assert (told["cap"], told["per_minute"]) == (2, 600)
        assert told["promoted_per_minute"] > 0
        answer = await client.post(
            path, json={"state": "paused", "message": "Back soon."}, headers=OPERATOR
        )
        assert answer.json() == {**told, "state": "paused", "message": "Back soon."} | {
            "promoted_per_minute": answer.json()["promoted_per_minute"]
        }
        for asking in (
            client.get(path, headers=buyer()),
            client.post(path, json={"cap": 9}, headers=buyer()),
        ):
            problem_of(await asking, 403, "NOT_ALLOWED")
        problem_of(await client.post(path, json={"cap": -1}, headers=OPERATOR), 400, "MALFORMED")
        problem_of(await client.get(place_of(event), headers=OPERATOR), 403, "NOT_ALLOWED")
        problem_of(await client.get(place_of(event)), 401, "UNAUTHENTICATED")

    run(redis_url, test)


def test_d31_who_comes_before_the_opening_is_told_no_place_and_later_the_seed(
    redis_url: str,
) -> None:
    async def go() -> None:
        topic: Any = TurnsInMemory()
        desk = WaitingDesk(redis_url, passes_of_today(), turns=TurnLog(topic, IDS))
        async with client_of(waiting=desk) as client, redis_at(redis_url) as redis:
            seconds, _ = await redis.time()
            opens_ms = 1_000 * (int(seconds) + 3_600)
            event, who = await opened(client, opens_ms=opens_ms), buyer()
            told = await entered(client, event, who)
            assert (told["state"], told["position"]) == ("PRE_QUEUE", None)
            assert told["opens_ms"] == opens_ms
            lots = f"{place_of(event)}/lots"
            before = (await client.get(lots, headers=who)).json()
            assert (before["commitment"], before["seed"]) == (told["commitment"], None)
            path = f"{place_of(event)}/state"
            late = await client.post(path, json={"opens_ms": opens_ms + 1}, headers=OPERATOR)
            problem_of(late, 409, "NO_LOTS")
            # It was drawn, and the seed is told.
            await redis.hset(waiting_room(event)[0], "shown", "1")
            after = (await client.get(lots, headers=who)).json()
            assert sha256(bytes.fromhex(after["seed"])).hexdigest() == told["commitment"]
            assert (await looked(client, event, who))["position"] == 1
            without = (
                await client.get(f"{place_of(await opened(client))}/lots", headers=who)
            ).json()
            assert {without[name] for name in ("opens_ms", "commitment", "seed")} == {None}
            problem_of(
                await client.get(f"{place_of(next(EVENTS))}/lots", headers=who),
                404,
                "NO_WAITING_ROOM",
            )
        await desk.close()

    asyncio.run(go())


@pytest.mark.parametrize("has_keys", [True, False])
def test_d33_the_keys_are_shown_to_whoever_has_a_token(has_keys: bool) -> None:
    async def go() -> None:
        desk = WaitingDesk("", passes() if has_keys else None)
        async with client_of(waiting=desk) as client:
            problem_of(await client.get("/v1/waiting-room-keys"), 401, "UNAUTHENTICATED")
            answer = await client.get("/v1/waiting-room-keys", headers=buyer())
            shown = answer.json()["keys"]
            assert [key["kid"] for key in shown] == (["new", "old"] if has_keys else [])
            assert not any("d" in key for key in shown)

    asyncio.run(go())
