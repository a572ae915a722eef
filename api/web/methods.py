"""Methods: HEAD as GET without its body, OPTIONS and 405 with all that a path knows."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.routing import compile_path

from api.web import reference
from api.web.requests import Message, Receive, Scope, Send

PAGES: Final = (
    *("/health/live", "/health/ready", "/metrics", "/info", "/openapi.json"),
    *reference.PATHS,
)
"""Pages that are not in the document; they know GET only."""


class Methods:
    """Which methods each path knows.

    paths: templates of the document, with their methods in lower case.
    """

    def __init__(self, paths: Mapping[str, Mapping[str, Any]]) -> None:
        known = {path: ["get"] for path in PAGES} | {path: list(paths[path]) for path in paths}
        # `OPTIONS *` is asked of the server, not of a path.
        known["*"] = []
        # What has a verb behind its id is not another id.
        in_order = sorted(known, key=lambda path: (":" not in path, path))
        self._known = [(compile_path(path)[0], _all(known[path])) for path in in_order]

    def of(self, path: str) -> tuple[str, ...]:
        """Return the methods of a path, sorted; none for a path that nobody knows."""
        for pattern, methods in self._known:
            if pattern.match(path):
                return methods
        return ()


def _all(methods: Sequence[str]) -> tuple[str, ...]:
    upper = {method.upper() for method in methods} | {"OPTIONS"}
    if "GET" in upper:
        upper.add("HEAD")
    return tuple(sorted(upper))


class WithoutBody:
    """One exchange of a HEAD request, which is answered as GET is, but for the body.

    Use: `scope, receive, send` of it in place of those that came.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The log tells what was asked.
        self.scope: Scope = {**scope, "method": "GET", "asked_method": "HEAD"}
        self._receive = receive
        self._send = send
        self._start: Message | None = None
        self._has_answered = asyncio.Event()

    async def receive(self) -> Message:
        """Return what the client sends until it has its answer; then it is as good as gone."""
        if self._has_answered.is_set():
            return {"type": "http.disconnect"}
        received = asyncio.ensure_future(self._receive())
        waited = {received, asyncio.ensure_future(self._has_answered.wait())}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waited:
                one.cancel()
        if received.done() and not self._has_answered.is_set():
            # An empty body is no end: who waits for the answer is there.
            return received.result()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is None:
            # The rest of a stream.
            return
        headers = list(start.get("headers", ()))
        is_whole = not message.get("more_body", False)
        if is_whole and not any(name.lower() == b"content-length" for name, _ in headers):
            headers.append((b"content-length", b"%d" % len(message.get("body", b""))))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})
        self._has_answered.set()
