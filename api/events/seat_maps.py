"""Seat maps of a section, as its owner has committed them: which seats are free, and the layout.

The layout (labels, aisles, categories) never changes under its version, so clients keep it; what
changes is one bit a seat. Both come from the owning worker's store, through a short cache.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from api.guard import Anyone, anyone, limited, pod_of
from api.pod import Pod
from api.web.consistency_tokens import TOKEN_FORM, Token, tokens_in
from api.web.etags import UNMODIFIED, etag_of, unless_known
from api.web.ids import EventIdInPath, SectionIdInPath
from api.web.problems import Problem, ToldAs, another_log, bad, retry_after, told_as
from api.web.waits import caller_of
from api.web.whole_numbers import USUAL_FORM, DayMs, Int64
from state.domain.layout import Plan, Row
from state.domain.reasons import ApiReason, Reason
from state.domain.status import is_other_history
from state.owners.lookup import SectionRecords
from state.owners.questions import OwnerNotReady, OwnerUnreachable
from state.views.seat_maps import AbsenceUnsure, SeatMap, SeatMapCache

router = APIRouter(tags=["events"])

ASK_AGAIN_S: Final = 0.03
"""Between two look-ups of one request that waits for a version."""

_REVALIDATED: Final = "private, no-cache"
_FOR_EVER: Final = "private, max-age=86400, immutable"

CURRENCY: Final = "ISO 4217; empty where seats have no price."
PRICES: Final = "What a seat of each category costs, in the currency's minor unit."


class FreeSeats(BaseModel):
    """Which seats are free as of one version of the section.

    With `format=bitmap`, `bitmap` is base64: one bit a seat, 1 for free; each row begins with a
    new byte, lowest bit first, so row r takes `(row_seats[r] + 7) // 8` bytes. With
    `format=sparse`, `free_ranges` lists `[row, first seat, seats]` of adjacent free seats;
    indexes from 0. Whatever is not free is held, sold or not for sale.
    """

    event_id: int
    section: str
    layout_version: int
    version: int
    as_of_ms: int = Field(description="Log time of the last change, Unix ms.")
    capacity: int
    free: int
    row_seats: list[int]
    currency: str = Field(description=CURRENCY)
    prices: dict[str, int] = Field(description=PRICES)
    bitmap: str | None = None
    free_ranges: list[tuple[int, int, int]] | None = None


class RowLayout(BaseModel):
    """One row: seat i is called `first_number + i * number_step`, or `seat_labels[i]` if given.

    An aisle i lies between seats i - 1 and i, which are then not adjacent.
    """

    label: str
    seats: int
    first_number: int
    number_step: int
    seat_labels: list[str]
    aisles: list[int]
    category: str
    seat_categories: list[str]


class SectionLayout(BaseModel):
    """What is printed on tickets, and what may be asked for at once."""

    event_id: int
    section: str
    layout_version: int
    capacity: int
    max_seats_per_hold: int
    hold_ms: int
    orphan_rule: Literal["prefer", "strict", "off"]
    currency: str = Field(description=CURRENCY)
    prices: dict[str, int] = Field(description=PRICES)
    rows: list[RowLayout]


@router.get(
    "/v1/events/{event_id}/sections/{section}/seats",
    response_model=FreeSeats,
    dependencies=limited("other"),
    responses=UNMODIFIED,
)
async def free_seats(
    request: Request,
    event_id: EventIdInPath,
    section: SectionIdInPath,
    who: Anyone,
    form: Annotated[Literal["bitmap", "sparse"], Query(alias="format")] = "bitmap",
    min_version: Annotated[Int64, Query()] = 0,
    consistency_token: Annotated[
        str | None, Query(pattern=TOKEN_FORM, description="Of a reply about this section.")
    ] = None,
    wait_ms: Annotated[DayMs | None, Query(description="Longest wait for the version.")] = None,
) -> Response:
    """Tell which seats of a section are free, at the version demanded or a later one."""
    token = None
    if consistency_token is not None:
        token = _token_in(consistency_token, event_id, section)
        min_version = max(min_version, token.version)
    pod = pod_of(request)
    name = (event_id, section)
    seat_map = await _looked_up(pod.seat_maps, name, min_version)
    _check(token, seat_map)
    if seat_map.records.version < min_version:
        settings = pod.settings
        wait_s = min(settings.wait_ms if wait_ms is None else wait_ms, settings.wait_max_ms) / 1000
        seat_map = await pod.waits.of(
            caller_of(request, who.user_id), lambda: _at_version(pod, name, min_version, wait_s)
        )

    def render() -> bytes:
        return orjson.dumps(_free_seats(event_id, section, seat_map.records, form))

    age_ms = pod.seat_maps.staleness_ms(event_id, section, seat_map)
    return _answer(request, seat_map, form, render, _REVALIDATED, age_ms)


@router.get(
    "/v1/events/{event_id}/sections/{section}/layout",
    response_model=SectionLayout,
    dependencies=[Depends(anyone), *limited("other")],
    responses=UNMODIFIED,
)
async def layout(
    request: Request,
    event_id: EventIdInPath,
    section: SectionIdInPath,
    layout_version: Annotated[
        Annotated[int, Field(ge=1, le=2**31 - 1), USUAL_FORM] | None,
        Query(description="Demanded; the answer may then be kept for ever."),
    ] = None,
) -> Response:
    """Tell rows, labels, aisles and categories of a section."""
    seat_map = await _looked_up(pod_of(request).seat_maps, (event_id, section), 0)
    found = seat_map.records.plan.layout_version
    if layout_version is not None and layout_version > found:
        raise _not_yet(found, "layout_version")
    if layout_version is not None and layout_version < found:
        raise Problem.of(ApiReason.NOT_FOUND, "Take the newest layout: name no version.")

    def render() -> bytes:
        return orjson.dumps(_layout(event_id, section, seat_map.records))

    keep = _REVALIDATED if layout_version is None else _FOR_EVER
    return _answer(request, seat_map, "layout", render, keep, None)


# --- what is asked of the owner ------------------------------------------------------------------


async def _at_version(pod: Pod, name: tuple[int, str], min_version: int, wait_s: float) -> SeatMap:
    """Return a section's map as soon as its version is as demanded; raises Problem."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    while True:
        seat_map = await _looked_up(pod.seat_maps, name, min_version)
        if seat_map.records.version >= min_version:
            return seat_map
        if loop.time() + ASK_AGAIN_S > until_s:
            raise _not_yet(seat_map.records.version, "version")
        await asyncio.sleep(ASK_AGAIN_S)


_UNANSWERED: Final[ToldAs] = {
    OwnerNotReady: (ApiReason.NOT_READY, "The section's owner is starting; ask again."),
    OwnerUnreachable: (
        ApiReason.OWNER_UNREACHABLE,
        "The section's owner does not answer; ask again.",
    ),
    AbsenceUnsure: (
        ApiReason.NOT_READY,
        "The brokers do not tell yet whether there is one; ask again shortly.",
    ),
}


async def _looked_up(seat_maps: SeatMapCache, name: tuple[int, str], min_version: int) -> SeatMap:
    with told_as(_UNANSWERED):
        seat_map = await seat_maps.get(*name, min_version)
    if seat_map is None:
        raise Problem.of(Reason.UNKNOWN_SECTION, "See the sections of the event.")
    return seat_map


def _not_yet(found: int, name: str) -> Problem:
    return Problem.of(
        ApiReason.NOT_YET,
        "Ask again later, or for what there is by naming no version.",
        headers=(retry_after(1_000),),
        **{name: found},
    )


def _token_in(text: str, event_id: int, section: str) -> Token:
    [token] = tokens_in([text], "query.consistency_token")
    if (token.event_id, token.section) != (event_id, section):
        bad("query.consistency_token", "a token of this section")
    return token


def _check(token: Token | None, seat_map: SeatMap) -> None:
    """Raise Problem (409) where a map shows that a token is of another history of the log."""
    records = seat_map.records
    if token is None or token.decided_at_ms is None:
        return
    if is_other_history(
        records.version, records.changed_at_ms, token.version, token.decided_at_ms
    ):
        raise another_log(token.section)


# --- answers -------------------------------------------------------------------------------------


def _free_seats(event_id: int, section: str, records: SectionRecords, form: str) -> dict[str, Any]:
    shape = records.layout
    body = {
        "event_id": event_id,
        "section": section,
        "layout_version": records.plan.layout_version,
        "version": records.version,
        "as_of_ms": records.changed_at_ms,
        "capacity": shape.capacity,
        "free": sum(map(int.bit_count, records.free)),
        "row_seats": shape.seat_counts,
        **_prices(records.plan),
    }
    if form == "bitmap":
        return {**body, "bitmap": b64encode(shape.pack(records.free)).decode()}
    ranges = [part for row, bits in enumerate(records.free) for part in shape.ranges(row, bits)]
    # A tuple with names is none to the encoder.
    return {**body, "free_ranges": [tuple(part) for part in ranges]}


def _layout(event_id: int, section: str, records: SectionRecords) -> dict[str, Any]:
    plan = records.plan
    return {
        "event_id": event_id,
        "section": section,
        "layout_version": plan.layout_version,
        "capacity": records.layout.capacity,
        "max_seats_per_hold": plan.rules.max_seats_per_hold,
        "hold_ms": plan.rules.hold_ms,
        "orphan_rule": plan.rules.orphan_rule.name.lower(),
        **_prices(plan),
        "rows": [_row(row) for row in plan.rows],
    }


def _prices(plan: Plan) -> dict[str, Any]:
    return {"currency": plan.prices.currency, "prices": dict(plan.prices.amounts)}


def _row(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "seats": row.seat_count,
        "first_number": row.first_number,
        "number_step": row.number_step,
        "seat_labels": row.seat_labels,
        "aisles": row.aisles,
        "category": row.category,
        "seat_categories": row.seat_categories,
    }


def _answer(
    request: Request,
    seat_map: SeatMap,
    kind: str,
    render: Callable[[], bytes],
    keep: str,
    age_ms: int | None,
) -> Response:
    """Return the body of a kind, rendered once for each map, or 304 where the client has it."""
    if kind not in seat_map.rendered:
        body = render()
        seat_map.rendered[kind] = (body, etag_of(body).decode())
    body, etag = seat_map.rendered[kind]
    headers = {"ETag": etag, "Cache-Control": keep}
    if age_ms is not None:
        headers["Seatstream-Staleness-Ms"] = str(age_ms)
        headers["Seatstream-As-Of-Ms"] = str(seat_map.records.changed_at_ms)
    return unless_known(request, body, headers)
