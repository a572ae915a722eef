"""One pod as an ASGI application: first come the paths that must be fast, then FastAPI.

    create_app(settings)        a pod of all parts
    create_app(settings, pod)   a pod that a test has built

Every answer gets the correlation id and the security headers, every refusal is a problem, and no
trace of ours goes out.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from api import health
from api.access.identity import OPERATOR
from api.availability import endpoints as availability
from api.availability import stream as streaming
from api.availability.encoded import AGE_HEADERS
from api.availability.endpoints import QuickLookUps
from api.building import whole_pod
from api.carts import endpoints as carts
from api.carts import payments as cart_payments
from api.events import endpoints as events
from api.events import seat_maps
from api.guard import ENTRY_TOKEN
from api.http1.framing import check_head
from api.payments import compensations, webhooks
from api.payments import endpoints as payments
from api.pod import Pod
from api.purchases import endpoints as purchases
from api.reservations import endpoints as reservations
from api.settings import ApiSettings
from api.waiting_room import endpoints as waiting_room
from api.waiting_room import stream as places
from api.web import openapi
from api.web.logs import access, correlation_of, log
from api.web.methods import Methods, WithoutBody
from api.web.problems import CONTENT_TYPE, Problem
from api.web.requests import (
    Disconnected,
    Receive,
    Scope,
    Send,
    broken_off,
    check_target,
    read_body,
    replayed,
)
from api.web.waits import ClientGone
from infra.process import spans
from infra.process.card_numbers import has_card_number
from infra.process.log_lines import Correlation, current
from state.domain.reasons import ApiReason

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Direct = Callable[[Pod, Scope, Receive, Send], Awaitable[None]]
"""A handler that writes ASGI messages itself; it may raise Problem before its first message."""

DIRECT: Final[Mapping[str, Direct]] = {
    "availability": availability.answer,
    "stream": streaming.answer,
    "places": places.answer,
}
_STREAMS: Final = frozenset({"stream", "places"})

_SERVERS_FAULT: Final = 500
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_EXPOSED: Final = (
    "ETag",
    "Location",
    "Retry-After",
    "X-Correlation-Id",
    "Preference-Applied",
    *AGE_HEADERS,
)
_ACCEPTED: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    ENTRY_TOKEN,
    "X-Correlation-Id",
    "traceparent",
)


def create_app(settings: ApiSettings, pod: Pod | None = None) -> ASGIApp:
    """Return the application; whoever serves it starts and stops the pod."""
    application: ASGIApp = Application(pod or whole_pod(settings))
    if settings.cors_origins:
        application = CORSMiddleware(
            application,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "HEAD", "POST", "DELETE"),
            allow_headers=_ACCEPTED,
            expose_headers=_EXPOSED,
        )
    return application


def quick_lookups_of(pod: Pod) -> QuickLookUps | None:
    """Return what answers most look-ups of a pod; None for one that has no view."""
    return QuickLookUps.of(pod, _SECURITY)


class Application:
    """Dispatches requests; see the module."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.documented = documented()
        self._methods = Methods(self.documented.openapi()["paths"])
        self._quick = quick_lookups_of(pod)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            head = WithoutBody(scope, receive, send)
            scope, receive, send = head.scope, head.receive, head.send
        messages = None if self._quick is None else self._quick.answer(scope)
        if messages is not None:
            await send(messages[0])
            await send(messages[1])
            return
        answer = Answer(scope, send)
        token = current.set(answer.correlation)
        try:
            await self._answer(scope, receive, answer)
        except Problem as problem:
            await answer.refuse(problem)
        except ClientGone:
            answer.route = "disconnected"
        except Disconnected:
            answer.route = "disconnected"
            # Or its body had no end that can be found; who has left hears nothing of it.
            await answer.refuse(broken_off())
        except (Exception, SystemExit):  # noqa: BLE001
            # The last resort, so that one request's mistake is an answer and a log line with its
            # ids, and nothing of it goes out. A gateway's package may even want to end the pod.
            log.exception("an error of ours")
            await answer.refuse(openapi.mistake())
        finally:
            current.reset(token)
            answer.finish(self.pod)

    async def _answer(self, scope: Scope, receive: Receive, answer: "Answer") -> None:
        refusal: Problem | None = scope["state"].get("refusal")
        if refusal is not None:
            # The server's, of what is no request.
            raise refusal
        check_head(scope)
        check_target(scope)
        kind = direct_kind(scope["path"]) if scope["method"] == "GET" else ""
        direct = DIRECT.get(kind)
        if direct is not None:
            answer.route = kind
            await direct(self.pod, scope, receive, answer.send)
            return
        if scope["method"] == "GET" and await health.answer(self.pod, scope["path"], answer.send):
            answer.route = "health"
            return
        if scope["method"] == "OPTIONS" and self._methods.of(scope["path"]):
            answer.route = "options"
            await answer.allow(self._methods.of(scope["path"]))
            return
        headers = dict(scope["headers"])
        maximum = self._body_bytes_max(scope, headers)
        is_raw = scope["path"].startswith(webhooks.PATH)
        body = await read_body(scope, headers, receive, bytes_max=maximum, is_raw=is_raw)
        answer.route = "unknown"
        methods = self._methods.of(scope["path"])
        if methods and scope["method"] not in methods:
            raise Problem.of(
                ApiReason.METHOD_NOT_ALLOWED,
                "See the header Allow.",
                headers=(("Allow", ", ".join(methods)),),
            )
        scope["app"] = self.documented
        scope["pod"] = self.pod
        await self.documented(scope, replayed(body, receive), answer.send)
        answer.route = getattr(scope.get("route"), "path", "unknown")

    def _body_bytes_max(self, scope: Scope, headers: Mapping[bytes, bytes]) -> int:
        settings = self.pod.settings
        if scope["method"] == "POST" and scope["path"] == "/v1/events":
            # Asked before anything is read: only who may open events sends whole seating plans.
            with suppress(Problem):
                who = self.pod.verifier.identify(headers.get(b"authorization"))
                if OPERATOR in who.roles:
                    return settings.event_body_bytes_max
        return settings.body_bytes_max


def direct_kind(path: str) -> str:
    """Return which direct handler a GET of this path belongs to; empty for none."""
    # Slices instead of a pattern: this is the first thing that a look-up pays for.
    if path.startswith("/v1/events/"):
        if path.endswith("/availability"):
            return "availability"
        if path.endswith("/availability/stream"):
            return "stream"
        if path.endswith("/waiting-room/stream"):
            return "places"
    return ""


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
            headers += [pair for pair in _SECURITY if pair[0] not in given]
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


@cache
def documented() -> FastAPI:
    """Return the FastAPI application of the documented endpoints; it knows no pod."""
    return with_endpoints()


def with_endpoints() -> FastAPI:
    """Return a FastAPI application of its own with the documented endpoints."""
    application = openapi.application()
    for module in (
        availability,
        streaming,
        reservations,
        carts,
        cart_payments,
        payments,
        compensations,
        purchases,
        webhooks,
        events,
        seat_maps,
        waiting_room,
        places,
    ):
        application.include_router(module.router)
    return application
