"""A head that two readers could understand differently is refused, by each path that there is."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.api_client import BUYER
from support.pods.asgi_client import scope_of
from support.pods.whole_pods import EVENT, whole_pod

from api.app import Application
from api.availability.endpoints import QuickLookUps
from api.http1 import framing
from api.http1.framing import ONCE, check_head, is_plain_head
from api.web.problems import Problem

Pairs = list[tuple[bytes, bytes]]
HOST = (b"host", b"pod")
TARGET = f"/v1/events/{EVENT}/availability"


def refused(pairs: Pairs, version: str = "1.1") -> int:
    """Return the status that a head is refused with; 0 for one that is not."""
    scope: dict[str, Any] = {"headers": pairs, "http_version": version}
    try:
        check_head(scope)
    except Problem as found:
        problem = found
    else:
        return 0
    assert ("Connection", "close") in problem.headers
    assert not is_plain_head(pairs, dict(pairs), version)
    return problem.status


@pytest.mark.parametrize("name", sorted(ONCE))
def test_f5_what_a_request_has_once_is_refused_twice(name: bytes) -> None:
    good = b"chunked" if name == b"transfer-encoding" else b"1"
    once = [(name, good)] if name == b"host" else [HOST, (name, good)]
    assert refused(once) == 0
    assert refused([*once, (b"x", b"y"), (name, good)]) == 400


def test_lists_may_stand_in_several_headers() -> None:
    several = [HOST, (b"prefer", b"wait=1"), (b"prefer", b"x"), (b"x-forwarded-for", b"::1")]
    several.append((b"x-forwarded-for", b"::2"))
    assert refused(several) == 0
    # The quick way reads one of each, so it leaves them to the other.
    assert not is_plain_head(several, dict(several), "1.1")


@pytest.mark.parametrize(
    ("codings", "length", "status"),
    [
        (b"chunked", None, 0),
        (b"Chunked ", None, 0),
        (b"chunked", b"5", 400),
        (b"chunked, chunked", None, 400),
        (b"gzip, chunked", None, 501),
        (b"gzip, chunked", b"5", 501),
        (b"identity", None, 501),
        (b"chunked;q=1", None, 501),
        (b"\x0bchunked", None, 501),
        (b"", None, 501),
    ],
)
def test_f5_the_end_of_a_body_is_told_once_and_in_a_way_that_we_know(
    codings: bytes, length: bytes | None, status: int
) -> None:
    pairs = [HOST, (b"transfer-encoding", codings)]
    if length is not None:
        pairs.insert(1, (b"content-length", length))
    assert refused(pairs) == status


@pytest.mark.parametrize(
    "host",
    [b"pod", b"pod:8000", b"a.example.", b"10.0.0.1:80", b"[::1]", b"[2001:db8::1]:8000", b"a_b",
     b"xn--bcher-kva.example", b"pod:"],
)  # fmt: skip
def test_a_host_may_be_any_name_or_address(host: bytes) -> None:
    assert refused([(b"host", host)]) == 0


@pytest.mark.parametrize(
    "host",
    [b"", b" ", b"a b", b"a/b", b"u@a", b"a:b", b"a:80:80", b"[::1", b"::1", b"a?b",
     b"a#b", b"http://a", b"\xc3\xa4", b"a\x00", b"a:123456"],
)  # fmt: skip
def test_f5_a_host_that_is_none_is_refused(host: bytes) -> None:
    assert refused([(b"host", host)]) == 400


def test_f5_only_the_version_before_hosts_goes_without() -> None:
    assert [refused([], version) for version in ("1.1", "1.0")] == [400, 0]


def test_f5_the_version_before_chunks_sends_none() -> None:
    assert refused([(b"transfer-encoding", b"chunked")], "1.0") == 400


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([*sorted(ONCE), b"accept", b"x-forwarded-for", b"if-none-match"]),
        st.sampled_from([b"pod", b"chunked", b"5", b"", b"a b", BUYER["Authorization"].encode()]),
    ),
    max_size=6,
)


@given(HEADERS)
def test_f5_both_ways_of_a_look_up_agree_on_every_head(pairs: Pairs) -> None:
    """What the quick way answers is what the long way answers; the rest it leaves to that."""

    async def go() -> None:
        pod = whole_pod()
        knows: Any = knowing(pod.verifier.identify)
        pod.verifier.knows = knows  # type: ignore[method-assign]
        scope: dict[str, Any] = {**scope_of("GET", TARGET, {}), "headers": pairs}
        quick = QuickLookUps(pod, ()).answer(scope)
        status = await long_way(Application(pod), scope)
        if quick is not None:
            assert quick[0]["status"] == status == 200

    asyncio.run(go())


def knowing(identify: Callable[..., Any]) -> Callable[[bytes | None], Any]:
    def knows(authorization: bytes | None) -> Any:
        try:
            return identify(authorization)
        except Problem:
            return None

    return knows


async def long_way(application: Application, scope: dict[str, Any]) -> int:
    application._quick = None
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await application({**scope, "state": {}}, receive, send)
    return statuses[0]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/v1/events?limit=2?", "/v1/events", b"limit=2?"),
        (b"/v1/%41%C3%A4", "/v1/A\u00e4", b""),
        (b"http://pod/v1/events?a", "/v1/events", b"a"),
        (b"http://pod", "/", b""),
    ],
)
def test_a_scope_has_the_path_of_its_target_as_it_means(
    target: bytes, path: str, query: bytes
) -> None:
    client, server = ("127.0.0.1", 5), ("127.0.0.1", 80)
    scope = framing.scope_of(b"GET", target, "1.1", [(b"host", b"pod")], (client, server))
    assert (scope["path"], scope["query_string"]) == (path, query)
    assert (scope["client"], scope["server"]) == (client, server)
    assert scope["headers"] == [(b"host", b"pod")]
    assert scope["state"] == {}
