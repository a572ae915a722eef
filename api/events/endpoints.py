"""Events: listed, searched and shown from memory; opened and closed by operators.

Everybody with a token may look; what is shown is the pod's catalogue, up to a second old. How an
event is opened and closed stands in `event_changes`.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from api.events import changes as event_changes
from api.events.bodies import EventBody, EventPage, EventSections, event_body, section_body
from api.events.catalogue import Catalogue, known_event, now_ms
from api.guard import Anyone, anyone, pod_of
from api.web.etags import UNMODIFIED, etag_of, unless_known
from api.web.ids import EventIdInPath
from api.web.problems import Problem, bad, retry_after
from api.web.waits import caller_of
from api.web.whole_numbers import PATTERN, USUAL_FORM, DayMs, Int64
from state.domain.event import Event, SaleState, is_found, sale_state, searchable
from state.domain.reasons import ApiReason
from state.views.events.catalogue import Events, Listed

router = APIRouter(tags=["events"])
router.include_router(event_changes.router)

PAGE_MAX: Final = 100
SEARCH_MAX: Final = 100

_CURSOR: Final = re.compile(rf"({PATTERN})\.({PATTERN})".encode())


@router.get(
    "/v1/events",
    response_model=EventPage,
    dependencies=[Depends(anyone)],
    responses=UNMODIFIED,
)
async def list_events(
    request: Request,
    catalogue: Catalogue,
    search: Annotated[
        str, Query(max_length=SEARCH_MAX, description="Words of name and venue, in any order.")
    ] = "",
    states: Annotated[
        list[SaleState] | None,
        Query(alias="sale_state", max_length=len(SaleState), description="Any of these."),
    ] = None,
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX), USUAL_FORM, Query()] = 50,
    cursor: Annotated[
        str | None,
        Query(
            max_length=64,
            pattern=r"^[A-Za-z0-9_-]+$",
            description="`next_cursor` of the page before, as it was.",
        ),
    ] = None,
) -> Response:
    """List events by their begin, a page at a time."""
    at_ms = now_ms()
    wanted = searchable(search)
    listing = catalogue.listing()
    first = 0 if cursor is None else bisect_right(listing, _position(cursor), key=_place)
    page: list[Event] = []
    more = False
    for listed in listing[first:]:
        if not is_found(wanted, listed.text):
            continue
        if states and sale_state(listed.event, at_ms) not in states:
            continue
        more = len(page) == limit
        if more:
            break
        page.append(listed.event)
    body = {
        "events": [event_body(event, at_ms) for event in page],
        "next_cursor": _cursor(page[-1]) if more else None,
    }
    return _answer(request, catalogue, body)


@router.get("/v1/events/{event_id}", response_model=EventBody, responses=UNMODIFIED)
async def show_event(
    request: Request,
    catalogue: Catalogue,
    event_id: EventIdInPath,
    who: Anyone,
    min_revision: Annotated[Int64, Query()] = 0,
    wait_ms: Annotated[DayMs | None, Query(description="Longest wait for the revision.")] = None,
) -> Response:
    """Show one event, at the revision demanded or a later one."""

    def is_met() -> bool:
        event = catalogue.get(event_id)
        return event is not None and event.revision >= min_revision

    pod, caller = pod_of(request), caller_of(request, who.user_id)
    wait_ms = min(pod.settings.wait_ms if wait_ms is None else wait_ms, pod.settings.wait_max_ms)
    wait_s = wait_ms / 1000
    if min_revision and not is_met():
        await pod.waits.of(caller, lambda: catalogue.until(is_met, wait_s))
    if min_revision and not is_met():
        found = catalogue.get(event_id)
        raise Problem.of(
            ApiReason.NOT_YET,
            "Ask again later, or for what there is by naming no revision.",
            headers=(retry_after(1_000),),
            revision=0 if found is None else found.revision,
        )
    event = await known_event(pod, caller, event_id)
    return _answer(request, catalogue, event_body(event, now_ms()))


@router.get("/v1/events/{event_id}/sections", response_model=EventSections, responses=UNMODIFIED)
async def list_sections(
    request: Request, catalogue: Catalogue, event_id: EventIdInPath, who: Anyone
) -> Response:
    """List an event's sections: names, capacities, categories."""
    event = await known_event(pod_of(request), caller_of(request, who.user_id), event_id)
    body = {
        "event_id": event_id,
        "revision": event.revision,
        "currency": event.currency,
        "sections": [section_body(section) for section in event.sections],
    }
    return _answer(request, catalogue, body)


def _place(listed: Listed) -> tuple[int, int]:
    return listed.event.starts_at_ms, listed.event.event_id


def _cursor(last: Event) -> str:
    return _encoded(b"%d.%d" % (last.starts_at_ms, last.event_id))


def _encoded(position: bytes) -> str:
    return urlsafe_b64encode(position).decode().rstrip("=")


def _position(cursor: str) -> tuple[int, int]:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        text = b""
    match = _CURSOR.fullmatch(text)
    # What is not as it was may still be decoded.
    if match is None or _encoded(text) != cursor:
        bad("query.cursor", "`next_cursor` of the page before, as it was")
    return int(match[1]), int(match[2])


def _answer(request: Request, catalogue: Events, content: dict[str, Any]) -> Response:
    body = orjson.dumps(content)
    # Of the body, not of a revision: whether an event is on sale changes with time alone.
    etag = etag_of(body).decode()
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Seatstream-Staleness-Ms": str(catalogue.staleness_ms()),
    }
    return unless_known(request, body, headers)
