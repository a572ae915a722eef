"""What is demanded of a request before its endpoint runs."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from support.pages.tokens import bearer
from support.pods.api_pods import client_of_routes, pod_with, problem_of

from api.access.identity import Identity
from api.guard import anyone, buyer, limited, operator
from api.pod import Pod
from api.settings import ApiSettings
from state.redis.keys import limit_of_network, limit_of_user
from state.redis.line import TooManyAsk
from state.redis.rate_limit import Limit, RateLimits, Refused


def guarded(application: FastAPI) -> None:
    @application.get("/test/anyone")
    async def ask_anyone(who: Annotated[Identity, Depends(anyone)]) -> str:
        return who.user_id

    @application.get("/test/buyer")
    async def ask_buyer(who: Annotated[Identity, Depends(buyer)]) -> str:
        return who.user_id

    @application.get("/test/operator")
    async def ask_operator(who: Annotated[Identity, Depends(operator)]) -> str:
        return who.user_id

    @application.post("/test/create", dependencies=limited("create"))
    async def create() -> str:
        return "created"


def asking_tests(pod: Pod, test: Any) -> None:
    async def go() -> None:
        async with client_of_routes(pod, guarded) as client:
            await test(client)

    asyncio.run(go())


class Told(RateLimits):
    """Notes what is counted, and refuses by the limit at `refused` of those that it is asked."""

    def __init__(self, refused: Refused | None = None) -> None:
        super().__init__("")
        self.asked: list[Sequence[tuple[str, Limit | None]]] = []
        self._answer = refused

    async def ask(
        self, keyed: Sequence[tuple[str, Limit | None]], now_ms: int = 0
    ) -> Refused | None:
        assert now_ms == 0
        self.asked.append(keyed)
        return self._answer


def test_a_request_counts_for_its_user_and_for_the_network_it_came_from() -> None:
    settings = ApiSettings(limit_create=Limit(2, 60_000), limit_network=Limit(9, 1_000))
    limits = Told()

    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.post("/test/create", headers=bearer(sub="ann"))
        assert answer.json() == "created"

    asking_tests(pod_with(settings, limits=limits), test)
    assert limits.asked == [
        (
            (limit_of_user("create", "ann"), Limit(2, 60_000)),
            (limit_of_network("all", "127.0.0.1"), Limit(9, 1_000)),
        )
    ]


@pytest.mark.parametrize(("index", "whose"), [(0, "This user"), (1, "This network address")])
def test_who_has_asked_too_often_is_told_whose_limit_it_was_and_when_to_come(
    index: int, whose: str
) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.post("/test/create", headers=bearer())
        body = problem_of(answer, 429, "TOO_MANY_REQUESTS")
        assert body["detail"].startswith(f"{whose} has asked too often")
        assert answer.headers["retry-after"] == "3"

    asking_tests(pod_with(limits=Told(Refused(index, 2_001))), test)


def test_b66_nothing_is_counted_for_who_shows_no_valid_token() -> None:
    limits = Told()

    async def test(client: httpx.AsyncClient) -> None:
        problem_of(await client.post("/test/create"), 401, "UNAUTHENTICATED")
        bad = [(b"Authorization", b"Bearer \xe9")]
        problem_of(await client.post("/test/create", headers=bad), 401, "UNAUTHENTICATED")

    asking_tests(pod_with(limits=limits), test)
    assert limits.asked == []


def test_a_role_is_demanded_and_a_token_is_not_enough() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for path in ("/test/anyone", "/test/buyer", "/test/operator"):
            answer = await client.get(path)
            problem_of(answer, 401, "UNAUTHENTICATED")
            assert answer.headers["www-authenticate"] == "Bearer"
        ours = bearer(roles=["buyer"])
        assert (await client.get("/test/buyer", headers=ours)).json() == "alice"
        problem_of(await client.get("/test/operator", headers=ours), 403, "NOT_ALLOWED")
        nobody = bearer(roles=[])
        assert (await client.get("/test/anyone", headers=nobody)).json() == "alice"
        problem_of(await client.get("/test/buyer", headers=nobody), 403, "NOT_ALLOWED")

    asking_tests(pod_with(), test)


def test_s11_more_than_limits_can_be_counted_for_is_429_and_nobody_passes_uncounted() -> None:
    class Overtaxed(RateLimits):
        async def ask(self, *_: Any, **__: Any) -> Any:
            raise TooManyAsk

    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.post("/test/create", headers=bearer())
        problem_of(answer, 429, "OVERLOADED")
        assert answer.headers["retry-after"] == "1"

    asking_tests(pod_with(limits=Overtaxed("")), test)


@pytest.mark.redis
def test_one_user_too_many_is_429_with_the_wait_and_others_go_on(redis_url: str) -> None:
    settings = ApiSettings(limit_create=Limit(2, 60_000), limit_network=None)

    async def test(client: httpx.AsyncClient) -> None:
        user = "limited"
        for _ in range(2):
            answer = await client.post("/test/create", headers=bearer(sub=user))
            assert answer.status_code == 200
        answer = await client.post("/test/create", headers=bearer(sub=user))
        problem_of(answer, 429, "TOO_MANY_REQUESTS")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        other = await client.post("/test/create", headers=bearer(sub="other"))
        assert other.status_code == 200

    async def closing(client: httpx.AsyncClient) -> None:
        limits = RateLimits(redis_url)
        pod.limits = limits
        try:
            await test(client)
        finally:
            await limits.close()

    pod = pod_with(settings)
    asking_tests(pod, closing)
