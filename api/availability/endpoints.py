"""Questions for free seats in; answers from memory, each with its age, out.

    GET  /v1/events/{event}/availability
    GET  /v1/events/{event}/sections/{section}/availability
    POST /v1/availability:batchGet

A look-up is written straight to the server, past the framework, and in two ways. `QuickLookUps`
answers what waits for nothing and refuses nothing, at once; `answer` can do everything.
What an answer promises is told in `docs/http-api.md`.
"""

import re
from functools import partial
from itertools import count
from secrets import token_hex
from time import monotonic
from typing import Annotated, Any, Final, Literal, Self

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from api.availability.encoded import FRESH, REVALIDATED, STALE, Answered, Header, LookUps
from api.availability.questions import (
    PREFIX,
    SECTIONS_FORM,
    SECTIONS_MAX,
    STALENESS_MS_MAX,
    SUFFIX,
    Question,
    asked_for,
    question_in,
)
from api.guard import Anyone, anyone, pod_of
from api.http1.framing import is_plain_head
from api.pod import PartAbsent, Pod
from api.streaming.client import Direct
from api.web.consistency_tokens import TOKENS_FORM, tokens_in
from api.web.etags import matches
from api.web.ids import EventId, EventIdInPath, SectionId
from api.web.logs import CORRELATION_HEADER, correlation_of
from api.web.problems import Problem, bad
from api.web.requests import Ask, Message, Receive, Scope, Send
from api.web.waits import Caller, caller_of
from api.web.whole_numbers import DayMs, Int64

BATCH_EVENTS_MAX: Final = 100
BATCH_SECTIONS_MAX: Final = 5_000
"""Events that a batch may name, and sections that its answer may have."""

JSON: Final = (b"content-type", b"application/json")

_AFTER_PREFIX: Final = len(PREFIX)
_BEFORE_SUFFIX: Final = -len(SUFFIX)
# What is certainly an event id; others are for `answer` to judge.
_SURE_ID: Final = re.compile(r"0|[1-9][0-9]{0,17}")


def lookups_of(pod: Pod) -> LookUps:
    """Return the look-ups of a pod, made when first asked for."""
    return pod.made(LookUps)


async def answer(pod: Pod, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a look-up; raises Problem, ClientGone."""
    headers = dict(scope["headers"])
    who = scope["state"]["identity"] = pod.verifier.identify(headers.get(b"authorization"))
    event_id, section = asked_for(scope["path"])
    question = question_in(scope["query_string"])
    if section:
        if question.sections:
            bad("query.sections", "not beside a section in the path")
        question = question.about(section)
    answered = await lookups_of(pod).answered(event_id, question, Caller(who.user_id, receive))
    # A list, which may stand in several headers.
    tags = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    status, body = 200, b""
    if tags and matches(tags, answered.etag[1]):
        status = 304
    else:
        body = answered.body()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [JSON, *answered.headers()],
        }
    )
    await send({"type": "http.response.body", "body": body})


class QuickLookUps:
    """Answers those look-ups that need no wait and get no refusal, at the least cost.

    further: headers that every answer of the pod has.
    """

    def __init__(self, pod: Pod, further: tuple[Header, ...]) -> None:
        self._lookups = lookups_of(pod)
        self._further = further
        self._bound_ms = pod.view.stale_after_ms
        self._knows = pod.verifier.knows
        self._count_200 = pod.metrics.requests.labels("availability", "200").inc
        self._count_304 = pod.metrics.requests.labels("availability", "304").inc
        # Ids of requests that brought none: told apart by the pod, the start and a number.
        self._id_prefix = token_hex(4).encode()
        self._id_number = count(1)

    @classmethod
    def of(cls, pod: Pod, further: tuple[Header, ...]) -> Self | None:
        """Return the quick look-ups of a pod; None for one that has no view."""
        try:
            return cls(pod, further)
        except PartAbsent:
            return None

    def answer(self, scope: Scope) -> tuple[Message, Message] | None:
        """Return an answer's two messages; None where the request has to go the long way.

        Blocks on nothing. Who asks for the first time goes the long way, for a token is verified
        there.
        """
        ask = self.question(scope)
        return None if ask is None else ask()

    def question(self, scope: Scope) -> Ask | None:
        """Return what answers a request as `answer` does, now and whenever it comes again."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path: str = scope["path"]
        if not (path.endswith(SUFFIX) and path.startswith(PREFIX)):
            return None
        digits = path[_AFTER_PREFIX:_BEFORE_SUFFIX]
        if _SURE_ID.fullmatch(digits) is None:
            return None
        headers = dict(scope["headers"])
        if not is_plain_head(scope["headers"], headers, scope["http_version"]):
            return None
        sections: tuple[str, ...] = ()
        if query := scope["query_string"]:
            try:
                question = question_in(query)
            except Problem:
                # The long way meets the same again, and tells of it.
                return None
            if not question.is_plain:
                return None
            sections = question.sections
        given = correlation_of(scope["headers"]).id if CORRELATION_HEADER in headers else ""
        return partial(
            self._answer,
            int(digits),
            sections,
            headers.get(b"authorization"),
            headers.get(b"if-none-match"),
            given.encode(),
        )

    def _answer(
        self,
        event_id: int,
        sections: tuple[str, ...],
        authorization: bytes | None,
        if_none_match: bytes | None,
        correlation_id: bytes,
    ) -> tuple[Message, Message] | None:
        try:
            if not self._knows(authorization):
                return None
            found = self._lookups.now(event_id, sections)
            if found is None:
                return None
            encoded, age_ms = found
            if encoded.unknown or not encoded.part.known_by_section:
                return None
            is_stale = age_ms > self._bound_ms
            etag = encoded.etag_stale if is_stale else encoded.etag
            if if_none_match is not None and matches(if_none_match, etag[1]):
                status, body = 304, b""
                self._count_304()
            else:
                status, body = 200, encoded.body(age_ms, self._bound_ms, stale=is_stale)
                self._count_200()
            sent = [
                JSON,
                etag,
                REVALIDATED,
                (b"seatstream-staleness-ms", b"%d" % age_ms),
                STALE if is_stale else FRESH,
                encoded.as_of,
                (
                    CORRELATION_HEADER,
                    correlation_id or b"%b-%x" % (self._id_prefix, next(self._id_number)),
                ),
                *self._further,
            ]
        except Exception:  # noqa: BLE001
            # The long way meets the same again, and tells of it.
            return None
        return (
            {"type": "http.response.start", "status": status, "headers": sent},
            {"type": "http.response.body", "body": body},
        )


# --- what the document says ------------------------------------------------------------------


class SectionAvailability(BaseModel):
    """Counts of one section as of one version of its state."""

    section: SectionId
    free: int = Field(ge=0)
    held: int = Field(ge=0)
    largest_block: int = Field(ge=0, description="Most adjacent free seats in one row.")
    version: int = Field(ge=0)
    capacity: int | None = Field(default=None, description="Absent where it is not known.")
    as_of_ms: int = Field(description="Log time of the last command in these counts, Unix ms.")


class EventAvailability(BaseModel):
    """Sections of one event, and how old that is."""

    event_id: EventId
    as_of_ms: int = Field(description="Log time of the last command in these counts, Unix ms.")
    staleness_ms: int = Field(
        description="Everything that was visible this long ago, or longer, is in the counts."
    )
    bound_ms: int = Field(description="Age above which the answer calls itself stale.")
    stale: bool
    sections: list[SectionAvailability]
    unknown_sections: list[SectionId] = Field(
        default=[], description="Sections asked for that nobody has opened; absent without any."
    )


class BatchItem(BaseModel):
    """One event, or sections of one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event_id: EventId
    sections: list[SectionId] = Field(default=[], max_length=SECTIONS_MAX)
    consistency_tokens: list[Annotated[str, Field(max_length=100)]] = Field(
        default=[], max_length=SECTIONS_MAX
    )


class BatchQuestion(BaseModel):
    """Many events at once."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requests: list[BatchItem] = Field(min_length=1, max_length=BATCH_EVENTS_MAX)
    max_staleness_ms: int | None = Field(default=None, ge=0, le=STALENESS_MS_MAX)
    wait_ms: int | None = Field(default=None, ge=0, le=STALENESS_MS_MAX)
    on_stale: Literal["serve", "refuse"] | None = None


class BatchAvailability(BaseModel):
    """One answer for each event that is known, in the order asked for; of the worst age."""

    staleness_ms: int
    bound_ms: int
    stale: bool
    events: list[EventAvailability]
    unknown_events: list[EventId]


_AGE: Final[dict[str, Any]] = {
    "ETag": {"description": "Of the content; an answer that is stale has another."},
    "Seatstream-Staleness-Ms": {"description": "As `staleness_ms`."},
    "Seatstream-Stale": {"description": "As `stale`."},
    "Seatstream-As-Of-Ms": {"description": "As `as_of_ms`."},
}
for _described in _AGE.values():
    _described["schema"] = {"type": "string"}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": EventAvailability, "headers": _AGE},
    304: {"description": "The content is as it was; its age is in the headers.", "headers": _AGE},
}

router: Final = APIRouter(tags=["availability"], dependencies=[Depends(anyone)])

_MaxStaleness = Annotated[
    DayMs | None,
    Query(description="Age that the answer may have at most."),
]
_MinVersion = Annotated[
    Int64 | None,
    Query(description="`version` of the outcome that must be in it."),
]
_Wait = Annotated[
    DayMs | None,
    Query(description="How long to wait for it; bounded by the pod."),
]
_OnStale = Annotated[
    Literal["serve", "refuse"] | None,
    Query(description="What to do with an answer that is not so; refuse where one is demanded."),
]
_Tokens = Annotated[
    str | None,
    Query(
        max_length=8_000,
        pattern=TOKENS_FORM,
        description="`consistency_token` of earlier answers, with commas.",
    ),
]
SectionList = Annotated[
    str | None,
    Query(pattern=SECTIONS_FORM, description="Section ids with commas; all without it."),
]


def _demands(
    max_staleness_ms: _MaxStaleness = None,
    min_version: _MinVersion = None,
    consistency_token: _Tokens = None,
    wait_ms: _Wait = None,
    on_stale: _OnStale = None,
) -> None:
    """Tell the document what a look-up may demand."""


_look_up: Final = partial(router.get, responses=_RESPONSES, response_class=Direct, status_code=200)


@_look_up("/v1/events/{event_id}/availability", dependencies=[Depends(_demands)])
async def event_availability(
    request: Request,
    event_id: EventIdInPath,  # noqa: ARG001
    sections: SectionList = None,  # noqa: ARG001
) -> Response:
    """Return the free seats of an event, or of some of its sections, and how old that is."""
    return Direct(partial(answer, pod_of(request)))


@_look_up(
    "/v1/events/{event_id}/sections/{section}/availability", dependencies=[Depends(_demands)]
)
async def section_availability(
    request: Request,
    event_id: EventIdInPath,  # noqa: ARG001
    section: Annotated[str, Path(pattern=r"^[A-Z0-9-]{1,32}$")],  # noqa: ARG001
) -> Response:
    """Return the free seats of one section; as an event with that one section."""
    return Direct(partial(answer, pod_of(request)))


@router.post("/v1/availability:batchGet", responses={200: {"model": BatchAvailability}})
async def batch_availability(request: Request, asked: BatchQuestion, who: Anyone) -> Response:
    """Return the free seats of many events at once."""
    pod = pod_of(request)
    lookups, caller = lookups_of(pod), caller_of(request, who.user_id)
    wait_ms = pod.settings.wait_ms if asked.wait_ms is None else asked.wait_ms
    until_s = monotonic() + min(wait_ms, pod.settings.wait_max_ms) / 1000
    # One moment for all, so that one answer of the brokers tells of all that is unknown.
    asked_ns = pod.view.now_ns()
    answers: list[Answered] = []
    unknown: list[int] = []
    sections = 0
    for item in asked.requests:
        tokens = tokens_in(item.consistency_tokens, "body.requests.consistency_tokens")
        question = Question(
            sections=tuple(dict.fromkeys(item.sections)),
            max_staleness_ms=asked.max_staleness_ms,
            tokens=tokens,
            wait_ms=max(0, int(1000 * (until_s - monotonic()))),
            refuses=None if asked.on_stale is None else asked.on_stale == "refuse",
        )
        try:
            answered = await lookups.answered(item.event_id, question, caller, asked_ns)
        except Problem as problem:
            if problem.status != 404:
                raise
            unknown.append(item.event_id)
            continue
        answers.append(answered)
        sections += len(answered.encoded.part.known_by_section)
        if sections > BATCH_SECTIONS_MAX:
            bad("body.requests", f"events with at most {BATCH_SECTIONS_MAX} sections together")
    body = b'{"staleness_ms":%d,"bound_ms":%d,"stale":%b,"events":[%b],"unknown_events":[%b]}' % (
        max((one.staleness_ms for one in answers), default=pod.view.staleness_ms()),
        min((one.bound_ms for one in answers), default=pod.view.stale_after_ms),
        b"true" if any(one.stale for one in answers) else b"false",
        b",".join(one.body() for one in answers),
        b",".join(b"%d" % event_id for event_id in unknown),
    )
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
