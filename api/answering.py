"""One answer on its way: its headers, and what is told of it at its end."""

import time
from collections.abc import Sequence
from typing import Any, Final

from api.pod import Pod
from api.web.logs import Ended, correlation_of, tell
from api.web.problems import CONTENT_TYPE, Problem
from api.web.requests import Scope, Send
from infra.process.log_lines import Correlation

_STREAMS: Final = frozenset({"stream", "places", "items"})
"""Routes whose answers last as long as their clients want."""

SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of every answer that does not say otherwise."""


class Answer:
    """One answer on its way: adds headers, remembers the status, tells metrics and the log."""

    __slots__ = ("_scope", "_send", "_started_s", "correlation", "route", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._started_s = time.perf_counter()
        self._scope = scope
        self._send = send
        self.correlation: Correlation = correlation_of(scope["headers"])
        self.status = 0
        self.route = "refused"
        scope.setdefault("state", {})["correlation"] = self.correlation

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            headers.append((b"x-correlation-id", self.correlation.id.encode()))
            given = {name for name, _ in headers}
            headers += [pair for pair in SECURITY if pair[0] not in given]
            message = {**message, "headers": headers}
        await self._send(message)

    async def allow(self, methods: Sequence[str]) -> None:
        """Answer that these methods there are."""
        headers = [(b"allow", ", ".join(methods).encode())]
        await self.send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, problem: Problem) -> None:
        """Send a problem, unless an answer has begun already."""
        if self.status:
            return
        self._scope["state"]["reason"] = problem.reason.name
        body = problem.body(self._scope["path"], self.correlation.id)
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers),
        ]
        await self.send(
            {"type": "http.response.start", "status": problem.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": body})

    def finish(self, pod: Pod) -> None:
        """Tell what became of it."""
        state, client = self._scope["state"], self._scope.get("client")
        identity = state.get("identity")
        tell(
            pod.metrics,
            Ended(
                route=self.route,
                method=self._scope.get("asked_method", self._scope["method"]),
                asked=self._scope["path"],
                status=self.status,
                seconds=time.perf_counter() - self._started_s,
                client=client[0] if client else "",
                correlation=self.correlation,
                user=None if identity is None else identity.user_id,
                reason=state.get("reason", ""),
                is_stream=self.route in _STREAMS,
            ),
        )
