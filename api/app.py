"""One pod as an ASGI application: first come the paths that must be fast, then FastAPI.

    create_app(settings)        a pod of all parts
    create_app(settings, pod)   a pod that a test has built

Every answer gets the correlation id and the security headers, every refusal is a problem, and no
trace of ours goes out.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from api import health
from api.access.identity import OPERATOR
from api.answering import SECURITY, Answer
from api.availability import endpoints as availability
from api.availability import stream as streaming
from api.availability.encoded import AGE_HEADERS
from api.availability.endpoints import QuickLookUps
from api.booking import stream as items
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
from api.web.logs import log
from api.web.methods import Methods, WithoutBody
from api.web.problems import Problem
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
from infra.process.log_lines import current
from state.domain.reasons import ApiReason

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Direct = Callable[[Pod, Scope, Receive, Send], Awaitable[None]]
"""A handler that writes ASGI messages itself; it may raise Problem before its first message."""

DIRECT: Final[Mapping[str, Direct]] = {
    "availability": availability.answer,
    "stream": streaming.answer,
    "places": places.answer,
    "items": items.answer,
}
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
    return QuickLookUps.of(pod, SECURITY)


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

    async def _answer(self, scope: Scope, receive: Receive, answer: Answer) -> None:
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
    elif path.startswith(items.PREFIX) and path.endswith(items.SUFFIX):
        return "items"
    return ""


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
        items,
    ):
        application.include_router(module.router)
    return application
