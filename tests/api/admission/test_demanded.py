"""Where an event demands admission, seats are for who was let in, and for nobody else (B77)."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import httpx
import pytest
from redis.exceptions import ResponseError
from support.pods.api_client import OPERATOR
from support.pods.api_pods import client_of, problem_of
from support.pods.whole_pods import EVENT, whole_pod
from support.seats.section_commands import A as SECTION
from support.waiting.keys import passes

from api.admission.desk import WaitingDesk
from api.guard import ENTRY_TOKEN
from api.pod import Pod
from state.redis.line import TooManyAsk

KEYS = count()
NOW_MS = 1_900_000_000_000
WISHES = {
    "reservations": {"section": SECTION, "quantity": 1},
    "carts": {"items": [{"section": "A", "quantity": 1}]},
}
# Of carts nobody decides in these tests: that they are taken is what counts.
TAKEN = {"reservations": {201}, "carts": {201, 202}}

Test = Callable[[httpx.AsyncClient, Pod], Awaitable[None]]


def run(test: Test, waiting: WaitingDesk | None = None, **of_event: object) -> None:
    async def go() -> None:
        pod = whole_pod(waiting, **of_event)
        async with client_of(pod) as client:
            await test(client, pod)

    asyncio.run(go())


async def ask(
    client: httpx.AsyncClient, kind: str, user: str = "first", token: str | None = None
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {user}:buyer", "Idempotency-Key": f"k-{next(KEYS)}"}
    if token is not None:
        headers[ENTRY_TOKEN] = token
    return await client.post(f"/v1/events/{EVENT}/{kind}", json=WISHES[kind], headers=headers)


def entry(user: str = "first", event: int = EVENT, ends_ms: int = NOW_MS + 60_000) -> str:
    return passes().entry(event, user, 1, ends_ms)


async def demand(client: httpx.AsyncClient, *, required: bool) -> httpx.Response:
    headers = {**OPERATOR, "Idempotency-Key": f"k-{next(KEYS)}"}
    path = f"/v1/events/{EVENT}:admission"
    return await client.post(path, json={"required": required}, headers=headers)


@pytest.mark.parametrize("kind", WISHES)
def test_b77_only_who_was_let_in_asks_for_seats(kind: str) -> None:
    async def test(client: httpx.AsyncClient, pod: Pod) -> None:
        problem_of(await ask(client, kind), 403, "ADMISSION_REQUIRED")
        for token in (
            "forged",
            entry()[:-2],
            entry(user="another"),
            entry(event=EVENT + 1),
            entry(ends_ms=NOW_MS - 1_000),
            passes().queue(EVENT, "first", 1),
        ):
            problem_of(await ask(client, kind, token=token), 401, "TURN_NOT_PROVED")
        # A good token of who is not in any more.
        rooms: Any = pod.waiting.rooms
        rooms.models[EVENT].known["b"] = 1
        problem_of(await ask(client, kind, "b", entry("b")), 403, "ADMISSION_REQUIRED")
        answer = await ask(client, kind, token=entry())
        assert answer.status_code in TAKEN[kind], answer.text

    run(test, admission_required=True)


@pytest.mark.parametrize("kind", WISHES)
def test_an_event_that_demands_none_asks_for_none(kind: str) -> None:
    async def test(client: httpx.AsyncClient, _: Pod) -> None:
        for token in (None, "whatever"):
            answer = await ask(client, kind, f"user-{token}", token)
            assert answer.status_code in TAKEN[kind], answer.text

    run(test)


def test_an_operator_demands_admission_and_demands_it_no_more() -> None:
    async def test(client: httpx.AsyncClient, _: Pod) -> None:
        answer = await demand(client, required=True)
        for required in (True, False):
            answer = await demand(client, required=required)
            assert (answer.status_code, answer.json()["admission_required"]) == (200, required)
            shown = await client.get(f"/v1/events/{EVENT}", headers=OPERATOR)
            assert shown.json()["admission_required"] is required
            asked = await ask(client, "reservations", f"user-{next(KEYS)}")
            assert asked.status_code == (403 if required else 201)
        # The second wish for the same changed nothing.
        assert answer.json()["revision"] == 3
        unknown = f"/v1/events/{EVENT + 1}:admission"
        headers = {**OPERATOR, "Idempotency-Key": "other"}
        answer = await client.post(unknown, json={"required": True}, headers=headers)
        problem_of(answer, 404, "NOT_FOUND")
        headers["Authorization"] = "Bearer first:buyer"
        answer = await client.post(unknown, json={"required": True}, headers=headers)
        problem_of(answer, 403, "NOT_ALLOWED")

    run(test)


def test_f64_without_redis_the_proof_alone_lets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: httpx.AsyncClient, pod: Pod) -> None:
        async def fail(*_: Any, **__: Any) -> Any:
            raise ResponseError("LOADING")

        monkeypatch.setattr(pod.waiting.rooms, "look", fail)
        problem_of(await ask(client, "reservations"), 403, "ADMISSION_REQUIRED")
        assert (await ask(client, "reservations", token=entry())).status_code == 201
        assert pod.waiting.unchecked == 1

    run(test, admission_required=True)


def test_a_redis_that_is_busy_lets_nobody_through_unchecked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(client: httpx.AsyncClient, pod: Pod) -> None:
        async def fail(*_: Any, **__: Any) -> Any:
            raise TooManyAsk

        monkeypatch.setattr(pod.waiting.rooms, "look", fail)
        problem_of(await ask(client, "reservations", token=entry()), 429, "OVERLOADED")
        assert pod.waiting.unchecked == 0

    run(test, admission_required=True)


def test_f66_a_room_that_was_lost_is_out_of_reach_and_no_event_without_one() -> None:
    async def test(client: httpx.AsyncClient, pod: Pod) -> None:
        rooms: Any = pod.waiting.rooms
        rooms.models.clear()
        path, headers = f"/v1/events/{EVENT}/waiting-room", {"Authorization": "Bearer a:buyer"}
        for answer in (
            await client.get(path, headers=headers),
            await client.post(path, json={}, headers=headers),
            await client.get(f"{path}/stream", headers=headers),
        ):
            problem_of(answer, 503, "ROOM_UNREACHABLE")
        # Of who was let in nobody knows whether that is over: lost is neither yes nor no.
        answer = await ask(client, "reservations", token=entry())
        problem_of(answer, 503, "ROOM_UNREACHABLE")
        # Whoever sets it up is told that there is none.
        answer = await client.get(f"{path}/state", headers=OPERATOR)
        problem_of(answer, 404, "NO_WAITING_ROOM")

    run(test, admission_required=True)


def test_a_pod_without_keys_lets_nobody_through_where_admission_is_demanded() -> None:
    async def test(client: httpx.AsyncClient, _: Pod) -> None:
        problem_of(await ask(client, "reservations", token=entry()), 503, "ROOM_UNREACHABLE")
        problem_of(await demand(client, required=True), 404, "NO_WAITING_ROOM")

    run(test, WaitingDesk("", None), admission_required=True)


def test_an_event_that_nobody_can_tell_of_now_lets_nobody_through_by_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(client: httpx.AsyncClient, pod: Pod) -> None:
        async def uncertain(*_: Any) -> bool:
            return False

        monkeypatch.setattr(pod.catalogue, "get", lambda _: None)
        monkeypatch.setattr(pod.catalogue, "certain", uncertain)
        problem_of(await ask(client, "reservations"), 503, "BROKER_UNAVAILABLE")

    run(test, admission_required=True)
