"""What every answer has, whichever endpoint gave it, and what every request is asked first."""

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import Depends, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from support.pages.tokens import bearer
from support.pods.api_pods import asking, client_of_routes, pod_with, problem_of
from support.pods.event_log import EventLog

from api.access.identity import Identity
from api.guard import anyone, pod_of
from api.pod import PartAbsent, Pod
from api.settings import ApiSettings
from infra.process import spans
from infra.process.spans import Span

SECURITY = ("x-content-type-options", "referrer-policy", "content-security-policy")


def endpoints_of_tests(application: FastAPI) -> None:
    """Add what asks for nothing but a token, fails, or takes a body."""

    @application.get("/test/anyone")
    async def ask_anyone(who: Annotated[Identity, Depends(anyone)]) -> str:
        return who.user_id

    @application.post("/test/create")
    async def create() -> str:
        return "created"

    @application.get("/test/number/{number}")
    async def number(number: int) -> int:
        return number

    @application.get("/test/exit")
    async def leave() -> None:
        # As a package of somebody's does, such as a gateway's.
        raise SystemExit("secret")

    @application.get("/test/mistake")
    async def mistake() -> None:
        raise ZeroDivisionError("a secret of ours")

    @application.get("/test/absent")
    async def absent(pod: Annotated[Pod, Depends(pod_of)]) -> None:
        pod.outcomes.end_waits()


def asking_tests(pod: Pod, test: Any) -> None:
    async def go() -> None:
        async with client_of_routes(pod, endpoints_of_tests) as client:
            await test(client)

    asyncio.run(go())


def test_a_request_of_a_recorded_trace_is_a_span_with_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Span] = []
    monkeypatch.setattr(spans, "_told_to", [SimpleNamespace(add=told.append)])
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

    async def test(client: httpx.AsyncClient) -> None:
        for flags in ("00", "01"):
            headers = {"traceparent": f"00-{trace}-{parent}-{flags}", "X-Correlation-Id": "c-7"}
            await client.get("/test/mistake", headers=headers)
        await client.get("/test/mistake")

    asking_tests(pod_with(), test)
    [span] = told
    assert (span.trace_id, span.parent_id, span.is_error) == (trace, parent, True)
    assert span.name.startswith("GET ")
    assert dict(span.attributes) == {
        "http.response.status_code": "500",
        "seatstream.correlation_id": "c-7",
    }


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
        for path in ("/test/mistake", "/test/absent", "/test/exit"):
            answer = await client.get(path)
            problem_of(answer, 500, "INTERNAL")
            assert "secret" not in answer.text
            assert "Error" not in answer.text

    with caplog.at_level(logging.ERROR, "seatstream.api"):
        asking_tests(pod_with(), test)
    errors = [record.exc_info for record in caplog.records if record.exc_info]
    assert [error[0] for error in errors] == [ZeroDivisionError, PartAbsent, SystemExit]


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
        await client.get("/pay/4111-1111-1111-1111")

    with caplog.at_level(logging.INFO, "seatstream.api.access"):
        asking_tests(pod_with(), test)
    lines = [record.fields for record in caplog.records if record.name == "seatstream.api.access"]  # type: ignore[attr-defined]
    told = [(line["path"], line["status"], line.get("user"), line.get("reason")) for line in lines]
    assert told == [
        ("/test/anyone", 200, "alice", None),
        ("/nothing\r\nINFO: sold", 404, None, "NOT_FOUND"),
        # I24: what a stranger writes into a path must be in no log line either.
        ("(the number of a card)", 404, None, "NOT_FOUND"),
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


@given(st.text(min_size=1, max_size=40), st.sampled_from(["GET", "POST", "PUT", "DELETE"]))
def test_no_path_is_a_mistake_of_ours(path: str, method: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, "/" + quote(path, errors="replace"))
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert json.loads(answer.content)["reason"]

    asking(pod_with(), test)
