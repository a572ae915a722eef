"""One answer on its way: its headers, its metrics, its span, and its line in the access log."""

import time
from collections.abc import Sequence
from typing import Any, Final

from api.pod import Pod
from api.web.logs import access, correlation_of
from api.web.problems import CONTENT_TYPE, Problem
from api.web.requests import Scope, Send
from infra.process import spans
from infra.process.card_numbers import has_card_number
from infra.process.log_lines import Correlation

_STREAMS: Final = frozenset({"stream", "places"})
"""Routes whose answers last as long as their clients want."""

_SERVERS_FAULT: Final = 500
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
        """Count the answer and, where it cost something, tell the access log."""
        seconds = time.perf_counter() - self._started_s
        status = str(self.status)
        pod.metrics.requests.labels(self.route, status).inc()
        if self.route not in _STREAMS:
            pod.metrics.request_seconds.labels(self.route).observe(seconds)
        reason = self._scope["state"].get("reason", "")
        self._tell_span(seconds)
        if reason:
            pod.metrics.problems.labels(reason).inc()
        # Look-ups from memory come by the ten thousand a second: metrics tell of them.
        if self.route in {"availability", "health"} and self.status < 400:
            return
        access.info("%s", self.route, extra={"fields": self._fields(seconds, reason)})

    def _tell_span(self, seconds: float) -> None:
        spans.tell(
            f"{self._scope['method']} {self.route}",
            spans.Kind.SERVER,
            self.correlation.traceparent,
            seconds,
            (
                ("http.response.status_code", str(self.status)),
                ("seatstream.correlation_id", self.correlation.id),
            ),
            is_error=self.status >= _SERVERS_FAULT,
        )

    def _fields(self, seconds: float, reason: str) -> dict[str, Any]:
        client, path = self._scope.get("client"), self._scope["path"]
        if self.route == "unknown" and has_card_number(path):
            # In a path that is ours, digits are ids.
            path = "(the number of a card)"
        identity = self._scope["state"].get("identity")
        fields = {
            "method": self._scope.get("asked_method", self._scope["method"]),
            "path": path,
            "status": self.status,
            "ms": round(1000 * seconds, 1),
            "client": client[0] if client else "",
            "correlation_id": self.correlation.id,
        }
        if identity is not None:
            fields["user"] = identity.user_id
        if reason:
            fields["reason"] = reason
        return fields
