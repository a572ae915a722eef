"""Events opened and closed by operators: one command to every section, then the event's record.

The sections come first when an event is opened, so that what is listed as on sale is; but where it
limits its buyers or admits them, a record that it is being opened comes before them, so that
whoever finds seats finds that too. The record comes first when a sale is closed: it says until
when, and repeating the request closes what was left. Either may be repeated at any pod until
nothing is pending.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import orjson
from fastapi import APIRouter, Depends, Response

from api.admission.desk import no_room
from api.commands.desk import CommandDesk
from api.events.bodies import AdmissionDemand, ChangedEvent, Opening, event_body
from api.events.catalogue import Catalogue, known_event, now_ms
from api.events.openings import check_times, opened, prepared
from api.events.sections import (
    NAMED_MAX,
    Answers,
    Asked,
    ByOperator,
    ask_each,
    check_refusals,
)
from api.guard import limited, operator
from api.headers import NothingElse
from api.pod import Pod
from api.web.ids import EventIdInPath
from api.web.problems import Problem, ToldAs, retry_after, told_as
from infra.process.record_ids import record_headers
from state.domain.event import TRANSITIONS, Event, EventStatus, Trigger, closing_window
from state.domain.outcome import OutcomeKind
from state.domain.reasons import ApiReason, Reason
from state.domain.transitions import advance
from state.kafka.command_log import AppendUnknown, NotAppended, TooLarge
from state.records.event import EventEncoder
from state.redis.idempotency import Use
from state.views.events.writer import Contended, Decide, EventWriter

router = APIRouter(tags=["events"])

_FAST_MS: Final = 10_000
"""How far this pod's clock may be ahead of the log's before its own is not taken for now."""

_changing: Final = partial(
    router.post,
    response_model=ChangedEvent,
    responses={
        202: {
            "model": ChangedEvent,
            "description": "Some sections have not answered; repeat it with the same key.",
        }
    },
    dependencies=[Depends(operator), *limited("other")],
)
"""What all changes of an event answer, and who may ask for them."""


@_changing("/v1/events", status_code=201)
async def open_event(by: ByOperator, catalogue: Catalogue, opening: Opening) -> Response:
    """Open an event: every section of its plan, then the event itself."""
    pod, desk = by.pod, by.pod.desk
    plan = await asyncio.to_thread(prepared, opening, by.user_id, desk.encoders)
    event = plan.event
    known = catalogue.get(event.event_id)
    if known is not None and known.opening_digest != event.opening_digest:
        raise _other_event()
    if known is not None and known.status is not EventStatus.OPENING:
        return _answer(201, known, (), by)
    check_times(event, now_ms())
    _check_admission(pod, is_required=event.admission_required)
    writer = _writer(pod)
    try:
        writer.check_size(event)
    except TooLarge as error:
        raise Problem.of(
            Reason.STATE_TOO_LARGE, "Divide the event: it has too many sections or categories."
        ) from error
    await _used(desk, by.stem, event.opening_digest)

    sections = [section.section for section in plan.sections]
    is_limited = any(event.limits) or event.admission_required
    if is_limited and not await _is_told(writer, event, by):
        return _answer(202, event, sections, by)

    def value(identity: bytes, number: int) -> bytes:
        return desk.encoders.open_section(identity, plan.sections[number], plan.rules)

    answers = await ask_each(by, event.event_id, sections, "open", OutcomeKind.OPENED, value)
    check_refusals(answers)
    if not answers.done and answers.not_taken is not None:
        await desk.keys.give_back(by.stem)
        raise answers.not_taken
    is_complete = not answers.pending

    def decide(stands: Event | None) -> Event | None:
        if stands is None:
            return opened(event, now_ms(), is_complete=is_complete)
        if stands.opening_digest != event.opening_digest:
            raise _other_event()
        if stands.status is not EventStatus.OPENING or not is_complete:
            return None
        return _moved(stands, Trigger.SECTIONS_OPENED)

    written, is_written = await _written(writer, event.event_id, decide, by)
    status = 201 if is_complete and is_written else 202
    return _answer(status, written, answers.pending, by)


@_changing("/v1/events/{event_id}:close")
async def close_event(
    by: ByOperator,
    _: Catalogue,
    event_id: EventIdInPath,
    __: NothingElse | None = None,
) -> Response:
    """Close the sale of an event now: what is held may still be paid, nothing more is held."""
    desk = by.pod.desk
    await known_event(by.pod, by.caller, event_id)
    await _used(desk, by.stem, f"close {event_id}")
    writer = _writer(by.pod)
    event, answers = await _end_sale(by, writer, event_id, "end", now_ms())
    decided_ms = min((one.decided_at_ms for one in answers.done.values()), default=0)
    if answers.done and event.sale_ends_ms - decided_ms > _FAST_MS:
        # This pod's clock is fast: by the log's time, which counts, the sale would go on.
        event, answers = await _end_sale(by, writer, event_id, "log", decided_ms)
    for section, reason in list(answers.refused.items()):
        # What was never opened sells nothing.
        if reason is Reason.UNKNOWN_SECTION:
            del answers.refused[section]
    check_refusals(answers)
    if answers.pending:
        return _answer(202, event, answers.pending, by)

    def close(stands: Event | None) -> Event | None:
        if stands is None:
            raise Problem.of(ApiReason.NOT_FOUND, "The event was removed meanwhile.")
        if stands.status is EventStatus.CLOSED:
            return None
        return _moved(stands, Trigger.SALE_CLOSED)

    event, is_written = await _written(writer, event_id, close, by)
    return _answer(200 if is_written else 202, event, (), by)


@_changing("/v1/events/{event_id}:admission")
async def demand_admission(
    by: ByOperator, _: Catalogue, event_id: EventIdInPath, demand: AdmissionDemand
) -> Response:
    """Demand that who asks for seats was let in from the waiting room, or demand it no more."""
    await known_event(by.pod, by.caller, event_id)
    _check_admission(by.pod, is_required=demand.required)
    await _used(by.pod.desk, by.stem, f"admission {event_id} {demand.required}")

    def demanded(stands: Event | None) -> Event | None:
        if stands is None:
            raise Problem.of(ApiReason.NOT_FOUND, "The event was removed meanwhile.")
        if stands.admission_required is demand.required:
            return None
        return replace(
            stands,
            admission_required=demand.required,
            revision=stands.revision + 1,
            changed_at_ms=now_ms(),
        )

    event, is_written = await _written(_writer(by.pod), event_id, demanded, by)
    return _answer(200 if is_written else 202, event, (), by)


async def _is_told(writer: EventWriter, event: Event, by: Asked) -> bool:
    """Write that an event is being opened, unless it says so; return whether that is certain."""

    def decide(stands: Event | None) -> Event | None:
        if stands is None:
            return opened(event, now_ms(), is_complete=False)
        if stands.opening_digest != event.opening_digest:
            raise _other_event()
        return None

    return (await _written(writer, event.event_id, decide, by))[1]


async def _end_sale(
    by: Asked, writer: EventWriter, event_id: int, verb: str, at_ms: int
) -> tuple[Event, Answers]:
    """Write that the sale ends at `at_ms`, and have every section end it then."""

    def end_sale(stands: Event | None) -> Event | None:
        if stands is None:
            raise Problem.of(ApiReason.NOT_FOUND, "The event was removed meanwhile.")
        starts_ms, ends_ms = closing_window(stands, at_ms)
        if (starts_ms, ends_ms) == (stands.sale_starts_ms, stands.sale_ends_ms):
            return None
        return replace(
            stands,
            sale_starts_ms=starts_ms,
            sale_ends_ms=ends_ms,
            revision=stands.revision + 1,
            changed_at_ms=at_ms,
        )

    event, is_written = await _written(writer, event_id, end_sale, by)
    sections = [section.section for section in event.sections]
    if not is_written:
        return event, Answers(pending=sections)
    encoders = by.pod.desk.encoders

    def value(identity: bytes, number: int) -> bytes:  # noqa: ARG001
        return encoders.change_sale_window(identity, event.sale_starts_ms, event.sale_ends_ms)

    return event, await ask_each(by, event_id, sections, verb, OutcomeKind.WINDOW_CHANGED, value)


def _check_admission(pod: Pod, *, is_required: bool) -> None:
    """Raise Problem (404) where admission is demanded and nobody could be let in."""
    if is_required and pod.waiting.passes is None:
        raise no_room()


def _writer(pod: Pod) -> EventWriter:
    return EventWriter(pod.catalogue, pod.descriptions, EventEncoder(pod.ids))


_UNWRITTEN: Final[ToldAs] = {
    TooLarge: (Reason.STATE_TOO_LARGE, "The event's record grew too large."),
    NotAppended: (
        ApiReason.BROKER_UNAVAILABLE,
        "Repeat the request with the same idempotency key.",
    ),
}


async def _written(
    writer: EventWriter, event_id: int, decide: Decide, by: Asked
) -> tuple[Event, bool]:
    """Return what stands of an event, and whether that is certain; raises Problem."""
    drafts: list[Event] = []

    def drafted(stands: Event | None) -> Event | None:
        wanted = decide(stands)
        if wanted is not None:
            drafts.append(wanted)
        return wanted

    try:
        with told_as(_UNWRITTEN):
            return await writer.change(event_id, drafted, record_headers(by.correlation)), True
    except AppendUnknown:
        return drafts[-1], False
    except Contended as error:
        raise Problem.of(
            ApiReason.STILL_RUNNING,
            "Others change this event at the same moment; repeat the request.",
            headers=(retry_after(1_000),),
        ) from error


def _moved(stands: Event, trigger: Trigger) -> Event:
    return replace(
        stands,
        status=advance(TRANSITIONS, stands.status, trigger),
        revision=stands.revision + 1,
        changed_at_ms=now_ms(),
    )


async def _used(desk: CommandDesk, stem: str, digest: str) -> None:
    if await desk.keys.use(stem, digest) is Use.OTHER:
        raise Problem.of(
            ApiReason.IDEMPOTENCY_KEY_REUSED, "Use a new idempotency key for a new request."
        )


def _other_event() -> Problem:
    return Problem(
        409,
        Reason.CONFLICT,
        "This id is that of another event, or of this one opened otherwise: use another id.",
    )


def _answer(status: int, event: Event, pending: Sequence[str], by: Asked) -> Response:
    body = {**event_body(event, now_ms()), "pending_sections": list(pending[:NAMED_MAX])}
    headers = {
        "Location": f"/v1/events/{event.event_id}",
        "Cache-Control": "no-store",
        **dict(by.wait.headers),
    }
    if status == 202:
        headers |= dict((retry_after(1_000),))
    return Response(
        orjson.dumps(body), status_code=status, media_type="application/json", headers=headers
    )
