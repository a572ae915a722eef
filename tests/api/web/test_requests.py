"""What is too large, too slow, compressed, ambiguous or no JSON is refused early (B65)."""

import asyncio
import gzip
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.problems import Problem
from api.web.requests import (
    DEPTH_MAX,
    Disconnected,
    Message,
    check_json,
    depth_of,
    read_body,
    replayed,
)
from state.domain.reasons import ApiReason

BYTES_MAX = 65_536
JSON = {b"content-type": b"application/json"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def arriving(*chunks: bytes, ends: bool = True) -> Any:
    """Return what gives a body piece by piece; without an end it waits for ever after them."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": not ends or number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


def read(receive: Any, headers: dict[bytes, bytes] | None = None, **bounds: Any) -> bytes:
    scope = {"type": "http", "method": "POST"}
    given = JSON if headers is None else headers
    return asyncio.run(read_body(scope, given, receive, **{"bytes_max": BYTES_MAX, **bounds}))


def refused(receive: Any, headers: dict[bytes, bytes] | None = None, **bounds: Any) -> ApiReason:
    with pytest.raises(Problem) as caught:
        read(receive, headers, **bounds)
    assert isinstance(caught.value.reason, ApiReason)
    return caught.value.reason


@given(json_values, st.integers(1, 10))
def test_every_json_value_gets_through_unchanged_however_it_is_cut(value: Any, cut: int) -> None:
    body = json.dumps(value).encode(errors="surrogatepass")
    if depth_of(body) <= DEPTH_MAX and b"\\ud" not in body:
        pieces = [body[at : at + cut] for at in range(0, len(body), cut)]
        assert read(arriving(*pieces)) == body


@given(json_values)
def test_depth_is_counted_as_a_reader_of_json_would(value: Any) -> None:
    def depth(inner: Any) -> int:
        if isinstance(inner, dict):
            return 1 + max(map(depth, inner.values()), default=0)
        if isinstance(inner, list):
            return 1 + max(map(depth, inner), default=0)
        return 0

    assert depth_of(json.dumps(value).encode()) == depth(value)


@given(st.binary(max_size=200))
def test_no_bytes_are_anything_but_json_or_a_problem(body: bytes) -> None:
    with suppress(Problem):
        check_json(body)
        json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"b": [{"a": 1, "\\u0061": 2}]}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
        b'{"a": "\xff\xfe"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": 1} {"a": 2}',
        b"{'a': 1}",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b"nonsense",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_two_readers_could_understand_differently_is_refused(body: bytes) -> None:
    assert refused(arriving(body)) is ApiReason.MALFORMED


def test_a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    most = b'"' + b"x" * (BYTES_MAX - 2) + b'"'
    assert len(read(arriving(most))) == BYTES_MAX
    assert refused(arriving(most + b" ")) is ApiReason.BODY_TOO_LARGE


def test_a_megabyte_is_refused_by_its_length_before_it_is_read() -> None:
    headers = {**JSON, b"content-length": b"1000000"}
    assert refused(arriving(ends=False), headers) is ApiReason.BODY_TOO_LARGE


def test_a_body_without_a_length_is_refused_at_the_limit_and_not_behind_it() -> None:
    async def endless() -> Message:
        endless_read.append(4_096)
        return {"type": "http.request", "body": b" " * 4_096, "more_body": True}

    endless_read: list[int] = []
    assert refused(endless) is ApiReason.BODY_TOO_LARGE
    assert sum(endless_read) <= BYTES_MAX + 4_096


@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b"br", b"deflate, gzip", b"zstd"])
def test_a_compressed_body_is_refused_unread(coding: bytes) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    headers = {**JSON, b"content-encoding": coding}
    assert refused(arriving(bomb), headers) is ApiReason.UNSUPPORTED_CONTENT


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"application/xml",
        b"application/json; charset=utf-16",
        b"application/jsonp",
        b"multipart/form-data; boundary=x",
    ],
)
def test_a_body_of_another_type_is_refused(content_type: bytes) -> None:
    headers = {b"content-type": content_type}
    assert refused(arriving(b"{}"), headers) is ApiReason.UNSUPPORTED_CONTENT


def test_the_type_may_name_its_charset() -> None:
    for told in (b"application/json; charset=utf-8", b'Application/JSON;charset="UTF-8"'):
        assert read(arriving(b"{}"), {b"content-type": told}) == b"{}"


def test_no_body_needs_no_type() -> None:
    assert read(arriving(b""), {}) == b""


def test_a_body_that_drips_is_given_up() -> None:
    reason = refused(arriving(b"{", ends=False), timeout_s=0.05)
    assert reason is ApiReason.BODY_TOO_SLOW


class LateLoop(asyncio.SelectorEventLoop):
    """A loop whose clock a test moves on, as if something had kept the loop busy."""

    late_s = 0.0

    def time(self) -> float:
        return super().time() + self.late_s


def read_late(receive: Any, timeout_s: float = 5.0) -> bytes:
    scope = {"type": "http", "method": "POST"}
    with asyncio.Runner(loop_factory=LateLoop) as runner:
        return runner.run(
            read_body(scope, JSON, receive, bytes_max=BYTES_MAX, timeout_s=timeout_s)
        )


@pytest.mark.parametrize("turns", range(8))
def test_f4_a_body_that_came_with_its_head_is_never_too_slow_however_late_the_pod_is(
    turns: int,
) -> None:
    async def receive() -> Message:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LateLoop)
        arrived = loop.create_future()

        def wait_for_its_turn(left: int) -> None:
            # A minute's work for others between any two steps of this request.
            loop.late_s += 60
            if left:
                loop.call_soon(wait_for_its_turn, left - 1)
            else:
                arrived.set_result(b"{}")

        loop.call_soon(wait_for_its_turn, turns)
        return {"type": "http.request", "body": await arrived, "more_body": False}

    assert read_late(receive) == b"{}"


def test_f4_a_pod_that_is_late_does_not_say_that_the_client_was_slow() -> None:
    loops: list[LateLoop] = []

    async def receive() -> Message:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LateLoop)
        loops.append(loop)

        def busy() -> None:
            loop.late_s += 60
            if loops:
                loop.call_later(0.001, busy)

        loop.call_soon(busy)
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Problem) as caught:
        read_late(receive)
    assert caught.value.reason is ApiReason.OVERLOADED


def test_a_client_that_leaves_gets_no_answer() -> None:
    async def leaves() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(Disconnected):
        read(leaves)


def test_a_body_read_once_is_given_once_more_and_then_the_client_goes_on() -> None:
    async def go() -> None:
        receive = replayed(b"{}", arriving(b"later"))
        assert await receive() == {"type": "http.request", "body": b"{}", "more_body": False}
        assert (await receive())["body"] == b"later"

    asyncio.run(go())
