"""The FastAPI application that the documented endpoints belong to: its document and its problems.

FastAPI's own 422 is a problem with status 400 here, and the document says so.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from api.web import reference
from api.web.problems import CONTENT_TYPE, Problem
from api.web.requests import Receive, Scope, Send
from api.web.waits import ClientGone
from state.domain.reasons import ApiReason, Reason
from state.owners.questions import OwnersBusy
from state.redis.line import TooManyAsk

ERRORS_MAX: Final = 10
_KEY: Final = ("header", "Idempotency-Key")
# What pydantic says of a bound: all of it is the document's, and nothing the client's.
_BOUNDS: Final = ("ge", "le", "min_length", "max_length", "expected")

_BY_STATUS: Final = {
    404: (ApiReason.NOT_FOUND, "See /docs for what there is."),
    405: (ApiReason.METHOD_NOT_ALLOWED, "See the header Allow."),
}


DESCRIPTION: Final = """\
Free seats of events with the age of every answer, and reservations decided by one log.

Every endpoint needs `Authorization: Bearer` with a JSON Web Token. A refusal is a problem of
RFC 9457: programs read its `reason`. Commands take an `Idempotency-Key`: whoever is not sure
whether one was taken repeats it with the same key. `HEAD` is answered wherever `GET` is. Tokens,
cursors and ids are given back as they were given out.
"""

_OPERATIONS: Final = {
    "reserve": "reserve_seats",
    "show": "show_reservation",
    "release": "release_reservation",
    "extend": "extend_reservation",
    "free_seats": "show_free_seats",
    "layout": "show_layout",
}
"""Names of operations whose functions are called otherwise; a generated client calls them so."""


class ProblemBody(BaseModel):
    """RFC 9457: why a request was refused, for people and for programs."""

    model_config = ConfigDict(title="Problem", extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    reason: str
    correlation_id: str


class Names(NamedTuple):
    """Names in the document: of parameters and members, and of members that hold others' names.

    forms: of schemas, between which a body chooses; no step of a path to a member.
    """

    known: frozenset[str]
    free: frozenset[str]
    forms: frozenset[str]


class Documented(FastAPI):
    """FastAPI whose document tells of problems as they are sent."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document; it is made once."""
        if self.openapi_schema is None:
            self.openapi_schema = with_problems(super().openapi())
        return self.openapi_schema

    @cached_property
    def names(self) -> Names:
        """Return the names that the document has."""
        return names_in(self.openapi())


def with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with a problem for every refusal, instead of FastAPI's 422."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = ProblemBody.model_json_schema()
    refused = {
        "description": "Refused; `reason` says why.",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    # Where an integer has no format, clients in some languages take 32 bits for it.
    _tell_width(document)
    operations = (one for methods in document["paths"].values() for one in methods.values())
    for operation in operations:
        responses = operation["responses"]
        if "HTTPValidationError" in str(responses.get("422")):
            del responses["422"]
        responses |= {"4XX": refused, "5XX": refused}
    return document


def names_in(document: Any) -> Names:
    """Return the names that a document has, beside those of the parts of a request."""
    known = {"body", "path", "query", "header"}
    free: set[str] = set()
    nodes = [document]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, dict):
            nodes += node.values()
            if {"in", "name"} <= node.keys():
                known.add(node["name"])
            if isinstance(properties := node.get("properties"), dict):
                known |= properties.keys()
                free |= {
                    name
                    for name, schema in properties.items()
                    if isinstance(schema.get("additionalProperties"), dict)
                }
    forms = document.get("components", {}).get("schemas", {}).keys() - known
    return Names(frozenset(known), frozenset(free), frozenset(forms))


def place(steps: Sequence[Any], names: Names) -> str:
    """Return where in a request something is wrong, in names that the document has.

    A name that is the client's own is cut off, with all behind it: it may be a card's number.
    """
    told = []
    for step in steps:
        if step in names.forms:
            continue
        if isinstance(step, str) and step not in names.known:
            break
        told.append(str(step))
        if step in names.free:
            break
    return ".".join(told)


def _tell_width(node: Any) -> None:
    if isinstance(node, list):
        for one in node:
            _tell_width(one)
    elif isinstance(node, dict):
        if node.get("type") == "integer":
            node["format"] = "int64"
        for one in node.values():
            _tell_width(one)


def application() -> FastAPI:
    """Return an application without endpoints."""
    built = Documented(
        title="seatstream",
        version="1",
        summary="Availability with its age, and reservations.",
        description=DESCRIPTION,
        servers=[{"url": "/", "description": "Where this document is from: a pod, or its proxy."}],
        generate_unique_id_function=lambda route: _OPERATIONS.get(route.name, route.name),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        dependencies=[Depends(no_unknown_names)],
    )
    built.add_exception_handler(Problem, _on_problem)
    built.add_exception_handler(TooManyAsk, _on_too_many)
    built.add_exception_handler(OwnersBusy, _on_busy_owner)
    built.add_exception_handler(RequestValidationError, _on_invalid)
    built.add_exception_handler(HTTPException, _on_http)
    built.add_exception_handler(ClientGone, _on_client_gone)
    built.add_exception_handler(Exception, _on_mistake)

    reference.add_to(built)
    return built


async def no_unknown_names(request: Request) -> None:
    """Refuse names in the query that the endpoint does not know: they would do nothing, silently.

    Raises Problem (400).
    """
    if not request.query_params:
        return
    route: APIRoute = request.scope["route"]
    if request.query_params.keys() - set(_query_names(route.dependant)):
        told = [{"where": "query", "why": "a name that /docs does not list"}]
        raise Problem.of(
            ApiReason.MALFORMED, "Correct what `errors` names; see /docs.", errors=told
        )


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return response(request, error)


async def _on_too_many(request: Request, _: Exception) -> Response:
    # Let through uncounted, they would be the very ones that the limits are for.
    detail = "More is asked than limits can be counted for; ask again shortly."
    return response(request, Problem.of(ApiReason.OVERLOADED, detail))


async def _on_busy_owner(request: Request, _: Exception) -> Response:
    # Not that its keeper does not answer: it answers others.
    detail = "More is asked of its keeper than it answers at once; ask again shortly."
    return response(request, Problem.of(ApiReason.OVERLOADED, detail))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return response(request, invalid(error.errors(), request.app.names))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason, detail = _BY_STATUS.get(
        error.status_code, (ApiReason.MALFORMED, "The request cannot be understood.")
    )
    status = error.status_code if error.status_code in _BY_STATUS else 400
    headers = tuple((error.headers or {}).items())
    return response(request, Problem(status, reason, detail, headers=headers))


class Unsent(Response):
    """Sends nothing: nobody is there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


async def _on_client_gone(_: Request, __: Exception) -> Response:
    return Unsent()


async def _on_mistake(request: Request, _: Exception) -> Response:
    # It is raised again behind this answer, and logged there with its trace.
    return response(request, mistake())


def mistake() -> Problem:
    """Return the problem of an error of ours; nothing of it goes out."""
    detail = "Nothing is wrong with the request; ask with the correlation id."
    return Problem.of(Reason.INTERNAL, detail)


def invalid(errors: Sequence[Any], names: Names) -> Problem:
    """Return the problem of a request that does not fit its model; nothing of it is repeated."""
    if any(error["loc"] == _KEY and error["type"] == "missing" for error in errors):
        return Problem.of(
            ApiReason.IDEMPOTENCY_KEY_MISSING,
            "Send Idempotency-Key: a new one for each request, the same one for a repeat.",
        )
    told = [
        {"where": place(error["loc"], names), "why": str(error["type"]), **_bound(error)}
        for error in _of_nearest_forms(errors, names)[:ERRORS_MAX]
    ]
    return Problem.of(
        ApiReason.MALFORMED,
        "Correct what `errors` names; see /docs.",
        errors=jsonable_encoder(told),
    )


def _bound(error: Any) -> dict[str, str]:
    """Return what would fit, where the document bounds it: `{"needed": "16"}`."""
    context = error.get("ctx") or {}
    bounds = [str(context[kind]) for kind in _BOUNDS if kind in context]
    return {"needed": bounds[0]} if bounds else {}


def _of_nearest_forms(errors: Sequence[Any], names: Names) -> list[Any]:
    """Return the errors, without those of a form of a body where another form has fewer."""
    counts: dict[tuple[Any, ...], Counter[str]] = {}
    for choice, form in (one for error in errors for one in _forms(error, names)):
        counts.setdefault(choice, Counter())[form] += 1
    return [
        error
        for error in errors
        if all(
            counts[choice][form] == min(counts[choice].values())
            for choice, form in _forms(error, names)
        )
    ]


def _forms(error: Any, names: Names) -> list[tuple[tuple[Any, ...], str]]:
    """Return which forms an error is of: where there is a choice, and the name of the form."""
    steps = error["loc"]
    return [(tuple(steps[:at]), step) for at, step in enumerate(steps) if step in names.forms]


def response(request: Request, problem: Problem) -> Response:
    """Return a problem as a response."""
    request.state.reason = problem.reason.name
    correlation = request.state.correlation
    return Response(
        problem.body(request.url.path, correlation.id),
        status_code=problem.status,
        media_type=CONTENT_TYPE,
        headers=dict((*problem.headers, ("Cache-Control", "no-store"))),
    )
