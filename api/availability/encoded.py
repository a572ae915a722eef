"""Answers to look-ups from the view, encoded once for all who ask the same, each with its age.

An answer is made when somebody asks after a change and kept with the snapshot that it is made of,
so that a look-up costs the same for any number of sections and can never give former counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from api.availability.questions import Question
from api.pod import PartAbsent, Pod
from api.web.etags import etag_of, noted
from api.web.problems import Problem, another_log, retry_after
from api.web.waits import CERTAIN_S, Caller, Waits
from state.domain.event import Event
from state.domain.reasons import ApiReason, Reason
from state.views.availability.answers import Demand
from state.views.availability.snapshot import EventSnapshot, Known
from state.views.events.catalogue import Events

ENCODINGS_MAX: Final = 64
"""Encoded answers kept for one event: as many different questions."""

RETRY_MS: Final = 1_000

Header = tuple[bytes, bytes]

# Kept by the browser only, and asked about each time: with a 304 that costs no body.
REVALIDATED: Final = (b"cache-control", b"private, no-cache")
AGE_HEADERS: Final = ("Seatstream-Staleness-Ms", "Seatstream-Stale", "Seatstream-As-Of-Ms")
STALE: Final = (b"seatstream-stale", b"true")
FRESH: Final = (b"seatstream-stale", b"false")


class Encoded:
    """An answer but for its age, kept with the snapshot that it is made of.

    part:   the sections in it.
    pieces: these as JSON text, by name.
    event:  what the catalogue knew of the event.
    unknown: sections that were asked for and that the view does not know.
    """

    __slots__ = (
        "_head",
        "_sections",
        "as_of",
        "as_of_ms",
        "etag",
        "etag_stale",
        "event",
        "part",
        "pieces",
        "unknown",
    )

    def __init__(
        self,
        part: EventSnapshot,
        event: Event | None,
        unknown: Sequence[str] = (),
        former: "Encoded | None" = None,
    ) -> None:
        """Encode what is in a part.

        former: an older answer; what did not change is taken from it.
        """
        self.part = part
        self.event = event
        self.unknown = unknown
        self.pieces = pieces = _pieces(part, event, former)
        names = b",".join(b'"%b"' % name.encode() for name in unknown)
        missing = b',"unknown_sections":[%b]' % names if unknown else b""
        self.as_of_ms = as_of_ms = max(
            [known[1] for known in part.known_by_section.values()], default=0
        )
        event_id = b"%d" % part.event_id
        self._head = b'{"event_id":%b,"as_of_ms":%d,"staleness_ms":' % (event_id, as_of_ms)
        self._sections = b"%b]%b}" % (
            b",".join([piece.text for piece in pieces.values()]),
            missing,
        )
        self.as_of = (b"seatstream-as-of-ms", b"%d" % as_of_ms)
        # Times are not in what is tagged: a refused command moves them, and no seat.
        content = b",".join([event_id, missing, *[piece.content for piece in pieces.values()]])
        etag = etag_of(content)
        self.etag = (b"etag", etag)
        self.etag_stale = (b"etag", noted(etag, b"stale"))

    def body(self, staleness_ms: int, bound_ms: int, *, stale: bool) -> bytes:
        """Return the JSON text."""
        mark = _judgement(bound_ms, stale)
        return b"%b%d%b%b" % (self._head, staleness_ms, mark, self._sections)


class Piece(NamedTuple):
    """One section as JSON text; content: the members that the answer's tag stands for."""

    known: Known
    content: bytes
    text: bytes


def _pieces(part: EventSnapshot, event: Event | None, former: Encoded | None) -> dict[str, Piece]:
    reusable = {} if former is None or former.event is not event else former.pieces
    capacity = {} if event is None else {one.section: one.capacity for one in event.sections}
    pieces = {}
    for name, known in part.known_by_section.items():
        piece = reusable.get(name)
        if piece is None or piece.known is not known:
            piece = _piece(name, known, capacity.get(name))
        pieces[name] = piece
    return pieces


def _piece(name: str, known: Known, capacity: int | None) -> Piece:
    version, as_of_ms, free, held, largest_block, *_ = known
    content = b'"section":"%b","free":%d,"held":%d,"largest_block":%d,"version":%d' % (
        name.encode(),
        free,
        held,
        largest_block,
        version,
    )
    if capacity is not None:
        content += b',"capacity":%d' % capacity
    return Piece(known, content, b'{%b,"as_of_ms":%d}' % (content, as_of_ms))


@lru_cache(maxsize=256)
def _judgement(bound_ms: int, stale: bool) -> bytes:
    verdict = b"true" if stale else b"false"
    return b',"bound_ms":%d,"stale":%b,"sections":[' % (bound_ms, verdict)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with its age and what that was measured by.

    stale:  older, not as demanded, or unsure.
    unsure: the brokers did not tell in time whether what it calls unknown is there.
    """

    encoded: Encoded
    staleness_ms: int
    bound_ms: int
    stale: bool
    unsure: bool

    def body(self) -> bytes:
        return self.encoded.body(self.staleness_ms, self.bound_ms, stale=self.stale)

    @property
    def etag(self) -> tuple[bytes, bytes]:
        return self.encoded.etag_stale if self.stale else self.encoded.etag

    def headers(self) -> list[Header]:
        """Return what an answer has, be it with a body or a 304."""
        return [
            self.etag,
            REVALIDATED,
            (b"seatstream-staleness-ms", b"%d" % self.staleness_ms),
            STALE if self.stale else FRESH,
            self.encoded.as_of,
        ]


class LookUps:
    """Answers questions from a pod's view, encoded once for all who ask the same.

    waits: questions that wait now for an age or a version.
    """

    def __init__(self, pod: Pod) -> None:
        self.waits = Waits(pod.settings.in_flight_max)
        self._view = pod.view
        self._settings = pod.settings
        try:
            self._catalogue: Events | None = pod.catalogue
        except PartAbsent:
            # Without one, answers name no capacity.
            self._catalogue = None

    def now(self, event_id: int, sections: tuple[str, ...] = ()) -> tuple[Encoded, int] | None:
        """Return the newest answer about these sections, or all, and its age in ms.

        None for an event without sections.
        """
        view = self._view
        event = None if self._catalogue is None else self._catalogue.get(event_id)
        while True:
            snapshot = view.snapshot(event_id)
            if snapshot is None:
                return None
            encoded: Encoded | None = snapshot.derived.get(sections)
            if encoded is None or encoded.event is not event:
                encoded = _encoded(snapshot, sections, event)
            age_ms = view.snapshot_age_ms(encoded.part)
            if age_ms is not None:
                return encoded, age_ms

    async def answered(
        self, event_id: int, question: Question, caller: Caller, asked_ns: int | None = None
    ) -> Answered:
        """Return the answer, as soon as it is as demanded; raises Problem, ClientGone.

        caller:   who waits for it.
        asked_ns: when it was asked, by the view's clock; None: now.
        """
        view = self._view
        if not view.is_ready():
            raise Problem.of(
                ApiReason.NOT_READY, "This pod still reads what there is; ask again, or another."
            )
        if asked_ns is None:
            asked_ns = view.now_ns()
        least = question.min_versions(event_id)
        refuses = not question.is_plain if question.refuses is None else question.refuses
        lost = self._lost(question)
        if not (question.is_plain or lost):
            await self._wait(event_id, question, least, caller)
            # What came meanwhile may show it.
            lost = self._lost(question)
        if lost and refuses:
            raise another_log(*lost)
        found = self.now(event_id, question.sections)
        absent_ms = 0
        if found is None or found[0].unknown:
            # Another pod may have told what has not reached us.
            absent_ms = await self._absent(event_id, found, asked_ns, caller)
            found = self.now(event_id, question.sections)
        known = {} if found is None else found[0].part.whole.known_by_section
        late = [name for name, version in least.items() if _version(known, name) < version] or lost
        if found is None or not found[0].part.known_by_section:
            if late:
                raise _not_yet(late)
            raise self._nothing(event_id, absent_ms, has_event=found is not None)
        encoded, age_ms = found
        is_unsure = bool(absent_ms and encoded.unknown)
        if is_unsure:
            age_ms = max(age_ms, absent_ms)
        bound_ms = self._bound_ms(question)
        if refuses and late:
            raise _not_yet(late)
        if refuses and age_ms > bound_ms:
            raise _too_old(age_ms, bound_ms)
        is_stale = is_unsure or bool(late) or age_ms > bound_ms
        return Answered(encoded, age_ms, bound_ms, is_stale, is_unsure)

    def _bound_ms(self, question: Question) -> int:
        """Return up to which age an answer is not stale: the asker may set less than the view."""
        bound_ms = self._view.stale_after_ms
        if question.max_staleness_ms is not None:
            bound_ms = min(bound_ms, question.max_staleness_ms)
        return bound_ms

    def _lost(self, question: Question) -> list[str]:
        """Return the sections whose tokens another history of the log gave out, as far as seen."""
        is_other = self._view.is_other_history
        return [
            section
            for event_id, section, version, told_at_ms in question.tokens
            if told_at_ms is not None and is_other(event_id, section, version, told_at_ms)
        ]

    async def _absent(
        self, event_id: int, found: tuple[Encoded, int] | None, asked_ns: int, caller: Caller
    ) -> int:
        """Wait until it is certain that what is unknown was unknown everywhere when it was asked.

        Returns 0, or the age of that knowledge in ms where the brokers do not tell in time.
        However many ask, the brokers are asked no oftener than heartbeats may follow each other.
        """
        view = self._view
        missing = () if found is None else tuple(found[0].unknown)
        if view.is_absent_since(event_id, missing, asked_ns):
            return 0
        if await self.waits.of(
            caller, lambda: view.absent_since(event_id, missing, asked_ns, CERTAIN_S)
        ):
            return 0
        return max(1, view.absent_age_ms(event_id, missing))

    def _nothing(self, event_id: int, absent_ms: int, *, has_event: bool) -> Problem:
        """Return the refusal of a question of which nothing is known.

        absent_ms: as `_absent` returns it.
        """
        if absent_ms:
            return Problem.of(
                ApiReason.NOT_READY,
                "The brokers do not tell yet whether there is one; ask again shortly.",
                staleness_ms=absent_ms,
            )
        if has_event:
            return Problem.of(Reason.UNKNOWN_SECTION, "See the sections of the event.")
        return Problem.of(
            ApiReason.NOT_FOUND,
            "Nothing is known of such an event, as of `staleness_ms` ago.",
            staleness_ms=self._view.absent_age_ms(event_id),
        )

    async def _wait(
        self, event_id: int, question: Question, least: Mapping[str, int], caller: Caller
    ) -> None:
        """Return when the question can be answered as demanded, or its time is over."""
        settings = self._settings
        wait_ms = settings.wait_ms if question.wait_ms is None else question.wait_ms
        wait_ms = min(wait_ms, settings.wait_max_ms)
        age_ms = question.max_staleness_ms
        view = self._view
        if age_ms is None and question.refuses:
            age_ms = view.stale_after_ms
        # Asked again whenever one of them may be met: as few as there are demands.
        demands = [Demand(event_id, name, None, version) for name, version in least.items()]
        by_age = age_ms is not None
        if by_age:
            aged = view.oldest_of(event_id, question.sections)
            demands += [Demand(event_id, name, age_ms) for name in aged]

        def is_met() -> bool:
            return all(map(view.is_met, demands))

        if is_met() or not wait_ms:
            return
        waited = [(event_id, name) for name in least]
        await self.waits.of(
            caller,
            lambda: view.wait_until_met(waited, is_met, wait_ms / 1000, by_age=by_age),
        )


def _encoded(snapshot: EventSnapshot, sections: tuple[str, ...], event: Event | None) -> Encoded:
    """Make the answer about these sections, or all, and keep it for the next who asks."""
    kept = snapshot.derived
    former: Encoded | None = kept.get(sections)
    if former is None and snapshot.former is not None:
        former = snapshot.former.derived.pop(sections, None)
    part = snapshot
    if sections:
        part = snapshot.part(sections, None if former is None else former.part)
        part.former = None
    unknown = [name for name in sections if name not in part.known_by_section]
    encoded = Encoded(part, event, unknown, former)
    if sections in kept or len(kept) < ENCODINGS_MAX:
        kept[sections] = encoded
    return encoded


def _version(known: Mapping[str, Known], section: str) -> int:
    return known[section][0] if section in known else 0


def _not_yet(late: Sequence[str]) -> Problem:
    return Problem.of(
        ApiReason.NOT_YET,
        "Ask again later, or with on_stale=serve for what is known.",
        headers=(retry_after(RETRY_MS),),
        sections=list(late),
    )


def _too_old(staleness_ms: int, bound_ms: int) -> Problem:
    return Problem.of(
        ApiReason.STALE,
        "Ask again later, or with on_stale=serve for what is known.",
        headers=(retry_after(RETRY_MS),),
        staleness_ms=staleness_ms,
        bound_ms=bound_ms,
    )
