"""One HTTP call to a gateway: its JSON answer of bounded size, or what a missing answer means."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from streams.gateways.protocol import ANSWER_BYTES_MAX, Unavailable, Unknown

_RETRY_AFTER_MAX_S: Final = 3_600.0
_NO_TIME: Final = Unavailable("no time left to ask")
_LATE: Final = Unknown("no answer in time", in_trouble=True)
Answer = TypeVar("Answer")
_NO_FIELDS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Said:
    """What a gateway answered: a status below 500, but not 408 or 429, and the fields of its JSON.

    content: the body, of at most ANSWER_BYTES_MAX bytes.
    """

    status: int
    fields: Mapping[str, Any] = field(repr=False)
    content: bytes = field(default=b"", repr=False, compare=False)


class HttpCalls:
    """Calls to one gateway over connections that are kept open, all within one event loop.

    The caller bounds how many calls run at once; this class does not. A call that waited here for
    a connection would have less time left for its answer.

    headers: headers of every request, credentials included; never shown.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {**headers, "Accept-Encoding": "identity"}
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        path: str,
        timeout_s: float,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = _NO_FIELDS,
    ) -> Said | Unknown | Unavailable:
        """Make one attempt. With Unavailable, not reached or too busy, the gateway did nothing."""
        data = None if body is None else json.dumps(body).encode()
        url = self._base_url + path
        return await within(timeout_s, lambda: self.exchange(method, url, data, headers))

    async def exchange(
        self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> Said | Unknown | Unavailable:
        """Make one attempt as `ask` does, with these bytes as body; the caller bounds its time."""
        try:
            async with self._opened().request(
                method,
                url,
                data=data,
                headers={**self._headers, **headers},
                # A redirect must not carry our credentials to another server.
                allow_redirects=False,
            ) as answer:
                return _read(answer.status, answer.headers, await _content(answer))
        except aiohttp.ClientConnectorError as error:
            return Unavailable(f"not reached: {type(error).__name__}")
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            # Without the error's text, which may repeat what was sent.
            return Unknown(f"no whole answer: {type(error).__name__}", in_trouble=True)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Content-Type": "application/json"},
            )
        return self._session

    async def close(self) -> None:
        """Close all connections; no call may follow."""
        if self._session is not None:
            await self._session.close()


async def within(
    timeout_s: float, ask: Callable[[], Awaitable[Answer]]
) -> Answer | Unknown | Unavailable:
    """Return the answer that `ask` finds by one call or two; Unknown where that takes too long."""
    if timeout_s <= 0:
        return _NO_TIME
    try:
        async with asyncio.timeout(timeout_s):
            return await ask()
    except TimeoutError:
        return _LATE


async def _content(answer: aiohttp.ClientResponse) -> bytes | None:
    """Return the body; None where it is over the limit, whose rest is not read."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)


def _read(
    status: int, headers: Mapping[str, str], content: bytes | None
) -> Said | Unknown | Unavailable:
    """Judge an answer: 5xx and 408 leave open whether the gateway did something."""
    if status == 429:
        return Unavailable("too many requests: 429", _seconds(headers.get("Retry-After", "")))
    if status >= 500 or status == 408:
        return Unknown(f"status {status}", in_trouble=True)
    if content is None:
        why = f"status {status}, and an answer of more than {ANSWER_BYTES_MAX} bytes"
        return Unknown(why, in_trouble=True)
    fields = json_object(content)
    if fields is None:
        return Unknown(f"status {status}, and no JSON object", in_trouble=True)
    return Said(status, fields, content)


def json_object(content: bytes) -> Mapping[str, Any] | None:
    """Return the fields of a JSON object in UTF-8; None for any other content."""
    try:
        fields = json.loads(content.decode())
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _seconds(text: str) -> float:
    """Return the seconds of a Retry-After header, an hour at most; 0 for none, or for a date."""
    if not (text.isascii() and text.isdigit()):
        return 0.0
    # Ten digits hold any pause, and are few enough to convert.
    return min(float(text[:10]), _RETRY_AFTER_MAX_S)
