"""What every answer has, whichever endpoint gave it, and what every request is asked first."""

import asyncio
import json
import logging
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import Depends
from hypothesis import given
from hypothesis import strategies as st
from support.pages.tokens import bearer
from support.pods.api_pods import asking, pod_with
from support.pods.event_log import EventLog

from api.access.identity import Identity
from api.app import Application, with_endpoints
from api.guard import anyone, buyer, limited, operator
from api.pod import PartAbsent, Pod
from api.settings import ApiSettings
from state.redis.line import TooManyAsk
from state.redis.rate_limit import Limit, RateLimits
from state.views.availability.view import AvailabilityView

SECURITY = ("x-content-type-options", "referrer-policy", "content-security-policy")


def application_of(pod: Pod) -> Any:
    """Return an application with endpoints of the test's own beside the real ones."""
    application = Application(pod)
    application.documented = with_endpoints()

    @application.documented.get("/test/anyone")
    async def ask_anyone(who: Annotated[Identity, Depends(anyone)]) -> str:
        return who.user_id

    @application.documented.get("/test/buyer")
    async def ask_buyer(who: Annotated[Identity, Depends(buyer)]) -> str:
        return who.user_id

    @application.documented.get("/test/operator")
    async def ask_operator(who: Annotated[Identity, Depends(operator)]) -> str:
        return who.user_id

    @application.documented.post("/test/create", dependencies=[Depends(limited("create"))])
    async def create() -> str:
        return "created"

    @application.documented.get("/test/number/{number}")
    async def number(number: int) -> int:
        return number

    @application.documented.get("/test/mistake")
    async def mistake() -> None:
        raise ZeroDivisionError("a secret of ours")

    @application.documented.get("/test/absent")
    async def absent() -> None:
        pod.outcomes.end_waits()

    return application


def asking_tests(pod: Pod, test: Any) -> None:
    async def go() -> None:
        transport = httpx.ASGITransport(application_of(pod), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
            await test(client)

    asyncio.run(go())


def problem_of(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["reason"]) == (status, reason)
    assert body["correlation_id"] == answer.headers["x-correlation-id"]
    assert body["instance"] == answer.request.url.path
    return body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health/live"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
        ("DELETE", "/openapi.json"),
        ("GET", "/test/mistake"),
        ("GET", "/test/anyone"),
    ],
)
def test_every_answer_has_the_correlation_id_and_the_security_headers(
    method: str, path: str
) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, headers={"X-Correlation-Id": "order-7"})
        assert answer.headers.get_list("x-correlation-id") == ["order-7"]
        for name in SECURITY:
            assert len(answer.headers.get_list(name)) == 1
        assert "server" not in answer.headers

    asking_tests(pod_with(), test)


def test_a_mistake_of_ours_is_a_problem_and_its_trace_stays_with_us(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for path in ("/test/mistake", "/test/absent"):
            answer = await client.get(path)
            problem_of(answer, 500, "INTERNAL")
            assert "secret" not in answer.text
            assert "Error" not in answer.text

    with caplog.at_level(logging.ERROR, "seatstream.api"):
        asking_tests(pod_with(), test)
    errors = [record.exc_info for record in caplog.records if record.exc_info]
    assert [error[0] for error in errors] == [ZeroDivisionError, PartAbsent]


def test_unknown_paths_methods_and_bad_values_are_problems() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        problem_of(await client.get("/nothing"), 404, "NOT_FOUND")
        answer = await client.put("/test/anyone", json={})
        problem_of(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "GET"
        body = problem_of(await client.get("/test/number/seven"), 400, "MALFORMED")
        assert body["errors"] == [{"where": "path.number", "why": "int_parsing"}]
        unknown = await client.get("/test/number/7?nubmer=8")
        assert problem_of(unknown, 400, "MALFORMED")["errors"][0]["where"] == "query"
        long = await client.get("/test/number/" + "7" * 9_000)
        problem_of(long, 400, "MALFORMED")

    asking_tests(pod_with(), test)


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


def test_a_body_is_checked_before_anybody_sees_it() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for content, headers, status, reason in (
            (b"x" * 1_000_000, {}, 413, "BODY_TOO_LARGE"),
            (b'{"a":1,"a":2}', {"Content-Type": "application/json"}, 400, "MALFORMED"),
            (b"{}", {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_CONTENT"),
            (b"{}", {"Content-Encoding": "gzip"}, 415, "UNSUPPORTED_CONTENT"),
        ):
            answer = await client.post("/test/create", content=content, headers=headers)
            problem_of(answer, status, reason)

    asking_tests(pod_with(), test)


def test_an_access_line_tells_of_a_request_and_look_ups_write_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        await client.get("/health/live")
        await client.get("/metrics")
        await client.get("/test/anyone", headers=bearer() | {"X-Correlation-Id": "order-7"})
        await client.get("/nothing%0d%0aINFO: sold")

    with caplog.at_level(logging.INFO, "seatstream.api.access"):
        asking_tests(pod_with(), test)
    lines = [record.fields for record in caplog.records if record.name == "seatstream.api.access"]  # type: ignore[attr-defined]
    told = [(line["path"], line["status"], line.get("user"), line.get("reason")) for line in lines]
    assert told == [
        ("/test/anyone", 200, "alice", None),
        ("/nothing\r\nINFO: sold", 404, None, "NOT_FOUND"),
    ]
    assert lines[0]["correlation_id"] == "order-7"


def test_requests_are_counted_by_route_and_never_by_path() -> None:
    pod = pod_with()

    async def test(client: httpx.AsyncClient) -> None:
        for number in range(3):
            await client.get(f"/test/number/{number}")
            await client.get(f"/nothing/{number}")
        page = (await client.get("/metrics")).text
        assert 'requests_total{route="/test/number/{number}",status="200"} 3.0' in page
        assert 'requests_total{route="unknown",status="404"} 3.0' in page
        assert 'problems_total{reason="NOT_FOUND"} 3.0' in page

    asking_tests(pod, test)


def test_origins_are_told_only_where_they_are_allowed() -> None:
    preflight = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "idempotency-key",
    }

    async def closed(client: httpx.AsyncClient) -> None:
        answer = await client.get("/health/live", headers={"Origin": "https://shop.example"})
        assert "access-control-allow-origin" not in answer.headers
        answer = await client.options("/v1/events", headers=preflight)
        assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert not [name for name in answer.headers if name.startswith("access-control")]

    async def opened(client: httpx.AsyncClient) -> None:
        answer = await client.get("/health/live", headers={"Origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        other = await client.get("/health/live", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        told = await client.options("/v1/events", headers=preflight)
        assert told.status_code == 200
        assert "access-control-allow-credentials" not in told.headers

    asking(pod_with(), closed)
    asking(pod_with(ApiSettings(cors_origins=("https://shop.example",))), opened)


def test_a_pod_says_what_it_waits_for_and_that_it_ends() -> None:
    pod = pod_with()

    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)
        pod.drain()
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/health/live")).status_code == 200

    asking(pod, test)


def test_a_pod_whose_thread_ended_by_a_mistake_asks_to_be_started_again() -> None:
    view = AvailabilityView("127.0.0.1:1")
    pod = pod_with(view=view)

    async def test(client: httpx.AsyncClient) -> None:
        assert (await client.get("/health/live")).status_code == 200
        view._feed.failure = ZeroDivisionError()
        answer = await client.get("/health/live")
        assert answer.status_code == 503
        assert answer.json()["ended"] == {"view": "ZeroDivisionError"}

    asking(pod, test)


@pytest.mark.parametrize(
    "bad",
    [
        "x" * 65,
        "x" * 10_000,
        "a%00b",
        "a%0ab",
        "a%0d%0ab",
        "..%2Fetc%2Fpasswd",
        "%22%7B%7D",
        "%C3%A9",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/reservations/{}"),
        ("DELETE", "/v1/reservations/{}"),
        ("POST", "/v1/reservations/{}:extend"),
        ("GET", "/v1/events/7/sections/{}/seats"),
        ("GET", "/v1/events/7/sections/{}/availability"),
        ("GET", "/v1/events/{}/availability"),
        ("GET", "/v1/events/{}"),
    ],
)
def test_an_id_that_is_none_is_refused_before_anybody_is_asked(
    method: str, path: str, bad: str
) -> None:
    """B34, B36: what could be asked is not there."""

    async def test(client: httpx.AsyncClient) -> None:
        headers = bearer(roles=["buyer", "operator"]) | {"Idempotency-Key": "k"}
        body = {"epoch": 1, "extend_by_ms": 1_000} if method == "POST" else None
        answer = await client.request(method, path.format(bad), headers=headers, json=body)
        # A path with a slash in it is another path; one may be longer than any that there is.
        refused = {400, 404, 405} if "%2F" in bad else {400}
        assert answer.status_code in refused, answer.text
        assert "\n" not in answer.text
        assert "\x00" not in answer.text

    asking(pod_with(catalogue=EventLog().catalogue()), test)


def test_info_names_the_version_of_the_project() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        told = (await client.get("/info")).json()
        assert told["version"] == "0.1.0"
        assert "io.seatstream.commands.HoldBestAvailable" in told["schemas"]

    asking(pod_with(), test)


@given(st.text(min_size=1, max_size=40), st.sampled_from(["GET", "POST", "PUT", "DELETE"]))
def test_no_path_is_a_mistake_of_ours(path: str, method: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, "/" + quote(path, errors="replace"))
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert json.loads(answer.content)["reason"]

    asking(pod_with(), test)


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
