"""HEAD is GET without its body, and 405 and OPTIONS name every method that a path knows."""

import asyncio

import pytest
from support.pods.api_client import BUYER
from support.pods.api_pods import client_of
from support.pods.asgi_client import request
from support.pods.whole_pods import whole_pod

from api.app import Application, documented
from api.web.methods import PAGES, Methods

READ = ("GET", "HEAD", "OPTIONS")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        *((page, READ) for page in PAGES),
        ("/v1/events", ("GET", "HEAD", "OPTIONS", "POST")),
        ("/v1/events/7", READ),
        ("/v1/events/7:close", ("OPTIONS", "POST")),
        ("/v1/events/7/availability", READ),
        ("/v1/events/7/availability/stream", READ),
        ("/v1/events/7/sections/A/availability", READ),
        ("/v1/availability:batchGet", ("OPTIONS", "POST")),
        ("/v1/events/7/reservations", ("OPTIONS", "POST")),
        ("/v1/reservations/r-0", ("DELETE", "GET", "HEAD", "OPTIONS")),
        ("/v1/reservations/r-0:extend", ("OPTIONS", "POST")),
        ("/*", ()),
        ("/", ()),
        ("/health", ()),
        ("/v1/events/7/nothing", ()),
    ],
)
def test_f1_options_and_405_name_all_methods_of_a_path(
    path: str, methods: tuple[str, ...]
) -> None:
    assert Methods(documented().openapi()["paths"]).of(path) == methods

    async def go() -> None:
        async with client_of(whole_pod()) as client:
            for method in ("PUT", "PATCH", "TRACE", "GET", "POST", "DELETE", "OPTIONS"):
                if method in methods and method != "OPTIONS":
                    continue
                answer = await client.request(method, path, headers=BUYER)
                expected: tuple[int, str | None]
                if not methods:
                    expected = (404, None)
                elif method == "OPTIONS":
                    expected = (204, ", ".join(methods))
                else:
                    expected = (405, ", ".join(methods))
                    assert answer.json()["reason"] == "METHOD_NOT_ALLOWED"
                assert (answer.status_code, answer.headers.get("allow")) == expected

    asyncio.run(go())


def test_f1_options_may_be_asked_of_the_server_and_not_of_a_path() -> None:
    # RFC 9110, 9.3.7; no client here sends it.
    assert Methods(documented().openapi()["paths"]).of("*") == ("OPTIONS",)


CHANGES = {"x-correlation-id", "seatstream-staleness-ms"}


@pytest.mark.parametrize(
    "path",
    [
        "/health/live", "/health/ready", "/info", "/docs", "/openapi.json", "/v1/events",
        "/v1/events/7", "/v1/events/7/sections", "/v1/events/7/availability",
        "/v1/events/7/sections/A/availability", "/v1/events/7/sections/A/seats",
        "/v1/events/7/sections/A/layout", "/v1/reservations/r-0", "/v1/events/8", "/nothing",
    ],
)  # fmt: skip
def test_f1_head_is_get_without_a_body(path: str) -> None:
    async def go() -> None:
        application = Application(whole_pod())
        whole = await request(application, path, headers=BUYER)
        head = await request(application, path, method="HEAD", headers=BUYER)
        assert whole.body
        assert (head.status, head.body) == (whole.status, b"")
        # The age in a body is of the moment that was asked at.
        assert abs(int(head.headers.pop("content-length")) - len(whole.body)) < 8
        whole.headers.pop("content-length", None)
        for name in CHANGES:
            assert (name in head.headers) == (name in whole.headers)
            head.headers.pop(name, None)
            whole.headers.pop(name, None)
        assert head.headers == whole.headers

    asyncio.run(go())


def test_f1_the_head_of_a_stream_ends_with_its_headers() -> None:
    async def go() -> None:
        pod = whole_pod()
        head = await request(
            Application(pod), "/v1/events/7/availability/stream", method="HEAD", headers=BUYER
        )
        assert head.headers["content-type"].startswith("text/event-stream")
        assert (head.status, head.body, "content-length" in head.headers) == (200, b"", False)
        assert pod.metrics.streams_open._value.get() == 0

    asyncio.run(go())
