"""Bounds of a request before anybody looks at what it says: size, time, coding, type, JSON.

A body is read whole, at most `bytes_max` of it and for at most `BODY_TIMEOUT_S`, and refused where
two readers could understand it differently: duplicate keys, bad UTF-8, numbers that are none.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, Final

import orjson

from api.web.problems import Problem
from state.domain.reasons import ApiReason

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Ask = Callable[[], tuple[Message, Message] | None]
"""Returns the two messages of an answer at once, or None; it blocks on nothing."""

BODY_TIMEOUT_S: Final = 5.0
BODY_TURNS: Final = 10
LATE_S: Final = 1.0
"""A loop that is later than this was too busy to say who was slow."""

DEPTH_MAX: Final = 32
CHECKED_AT_ONCE: Final = 65_536
TARGET_BYTES_MAX: Final = 8_192
"""Longest path and query together."""

_CLOSE: Final = (("Connection", "close"),)
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Disconnected(Exception):
    """The client went away before its body was here, or the body has no end that can be found.

    Operator action: none.
    """


def broken_off() -> Problem:
    """Return the problem of a body that did not come whole."""
    return Problem.of(
        ApiReason.MALFORMED, "Send the whole body, with its length or chunked.", headers=_CLOSE
    )


def check_target(scope: Scope) -> None:
    """Raise Problem for a path or query that no client of ours needs."""
    if len(scope["path"]) + len(scope["query_string"]) > TARGET_BYTES_MAX:
        raise Problem.of(ApiReason.MALFORMED, "Ask for less in one request: the path is too long.")


async def read_body(
    scope: Scope,
    headers: Mapping[bytes, bytes],
    receive: Receive,
    *,
    bytes_max: int,
    timeout_s: float = BODY_TIMEOUT_S,
    is_raw: bool = False,
) -> bytes:
    """Return the checked body; empty for methods that have none.

    is_raw: only its size and time are checked: a signature over it has to be looked at first.
    Raises Problem, or Disconnected.
    """
    if scope["method"] in _WITHOUT_BODY:
        return b""
    if not is_raw and headers.get(b"content-encoding", b"identity").lower() != b"identity":
        # A compressed body says nothing about the size it unfolds to.
        raise Problem.of(
            ApiReason.UNSUPPORTED_CONTENT,
            "Send the body without a content coding.",
            headers=(("Accept-Encoding", "identity"), *_CLOSE),
        )
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > bytes_max:
        raise _too_large(bytes_max)
    body = await _in_time(_arrived(receive, bytes_max), timeout_s)
    if body and not is_raw:
        _check_type(headers.get(b"content-type", b""))
        if len(body) > CHECKED_AT_ONCE:
            # A second for some megabytes, in which look-ups go on.
            await asyncio.to_thread(check_json, body)
        else:
            check_json(body)
    return body


async def _in_time(arriving: Coroutine[Any, Any, bytes], timeout_s: float) -> bytes:
    """Return a body; raises Problem for one that does not come in `timeout_s` of a loop in time.

    The time is counted in turns, each begun when the last one was seen to be over. However late a
    loop is, it takes in between two turns what had arrived: what is still missing at the end is
    missing because of the client, unless the loop was so late that nobody can tell.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    left = BODY_TURNS
    handle: asyncio.TimerHandle
    try:
        async with asyncio.timeout(None) as limit:

            def turn() -> None:
                nonlocal left, handle
                left -= 1
                if left:
                    handle = loop.call_later(timeout_s / BODY_TURNS, turn)
                else:
                    limit.reschedule(loop.time())

            handle = loop.call_later(timeout_s / BODY_TURNS, turn)
            try:
                return await arriving
            finally:
                handle.cancel()
    except TimeoutError:
        if loop.time() - began_s > timeout_s + LATE_S:
            raise Problem.of(
                ApiReason.OVERLOADED,
                "This pod is too busy to read the body; ask again, or another.",
                headers=_CLOSE,
            ) from None
        raise Problem.of(
            ApiReason.BODY_TOO_SLOW, f"Send the body within {timeout_s:g} s.", headers=_CLOSE
        ) from None


async def _arrived(receive: Receive, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(bytes_max: int) -> Problem:
    detail = f"Send at most {bytes_max} bytes."
    return Problem.of(ApiReason.BODY_TOO_LARGE, detail, headers=_CLOSE)


def _check_type(content_type: bytes) -> None:
    kind, _, parameters = content_type.partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    if kind.strip().lower() != b"application/json" or charset not in {b"", b"charset=utf-8"}:
        raise Problem.of(
            ApiReason.UNSUPPORTED_CONTENT, "Send JSON: Content-Type: application/json."
        )


def check_json(body: bytes) -> None:
    """Raise Problem unless the body is one JSON text that every reader understands alike."""
    if depth_of(body) > DEPTH_MAX:
        raise _malformed(f"Nest the JSON at most {DEPTH_MAX} deep.")
    try:
        # Strict about UTF-8, lone surrogates, NaN and what follows the text.
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The message names a place; it repeats nothing of the body.
        raise _malformed(f"The body is no JSON text: line {error.lineno}.") from None
    try:
        json.loads(body, object_pairs_hook=_distinct)
    except ValueError:
        # Beside duplicate keys: integers of more digits than Python cares to convert.
        raise _malformed("Name every member once, and send numbers of a sane length.") from None


def depth_of(body: bytes) -> int:
    """Return how deeply brackets nest, strings left out; works on any bytes, in one pass."""
    depth = deepest = 0
    # Between quotes nothing counts; a quote behind a backslash is part of the string.
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    for outside in bare.split(b'"')[::2]:
        for byte in outside:
            if byte in b"[{":
                depth += 1
                deepest = max(deepest, depth)
            elif byte in b"]}":
                depth -= 1
    return deepest


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _malformed(detail: str) -> Problem:
    return Problem.of(ApiReason.MALFORMED, detail)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then goes on with the client."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
