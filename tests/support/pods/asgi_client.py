"""Asks an ASGI application directly: one request, its answer, and streams read piece by piece."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from api.app import ASGIApp


@dataclass
class Answer:
    """One whole answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def scope_of(method: str, target: str, headers: Mapping[str, str]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"pod"),
            *((name.lower().encode(), text.encode()) for name, text in headers.items()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


async def request(
    app: ASGIApp,
    target: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    timeout_s: float = 60,
) -> Answer:
    """Ask once and return the answer; the client stays connected until it is complete."""
    body = b"" if json is None else orjson.dumps(json)
    given = {"content-type": "application/json"} if json is not None else {}
    answer = Answer()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert not answer.status, "two answers to one request"
            answer.status = message["status"]
            answer.headers = {n.decode(): v.decode() for n, v in message.get("headers", ())}
        else:
            answer.body += message.get("body", b"")

    async with asyncio.timeout(timeout_s):
        await app(scope_of(method, target, {**given, **(headers or {})}), receive, send)
    return answer
