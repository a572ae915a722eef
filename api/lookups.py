"""Answers to look-ups from the view, encoded once for all who ask the same, each with its age.

An answer is made when somebody asks after a change and kept with the snapshot that it is made of,
so that a look-up costs the same for any number of sections and can never give former counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from api.etags import etag_of
from api.pod import PartAbsent, Pod
from api.problems import Problem, retry_after
from api.questions import Question
from state.domain.event import Event
from state.domain.reasons import ApiReason, Reason
from state.stores.event_catalogue import Events
from state.stores.event_snapshot import EventSnapshot, Known
from state.stores.status_answers import Demand

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

    part:  the sections in it.
    event: what the catalogue knew of the event.
    """

    __slots__ = ("_head", "_sections", "as_of", "etag", "etag_stale", "event", "part")

    def __init__(
        self, part: EventSnapshot, event: Event | None, unknown: Sequence[str] = ()
    ) -> None:
        self.part = part
        self.event = event
        known = part.known_by_section
        capacity = {} if event is None else {one.section: one.capacity for one in event.sections}
        contents = [_content(name, told, capacity.get(name)) for name, told in known.items()]
        times = [told[1] for told in known.values()]
        # Times stand outside of what is tagged: a refused command moves them, and no seat.
        sections = b",".join(
            b'{%b,"as_of_ms":%d}' % pair for pair in zip(contents, times, strict=True)
        )
        names = b",".join(b'"%b"' % name.encode() for name in unknown)
        missing = b',"unknown_sections":[%b]' % names if unknown else b""
        as_of_ms = max(times, default=0)
        event_id = b"%d" % part.event_id
        self._head = b'{"event_id":%b,"as_of_ms":%d,"staleness_ms":' % (event_id, as_of_ms)
        self._sections = b"%b]%b}" % (sections, missing)
        self.as_of = (b"seatstream-as-of-ms", b"%d" % as_of_ms)
        self.etag = (b"etag", etag_of([event_id, missing, *contents]))
        self.etag_stale = (b"etag", etag_of([event_id, missing, *contents], b"stale"))

    def body(self, staleness_ms: int, bound_ms: int, *, stale: bool) -> bytes:
        """Return the JSON text."""
        return b"".join(
            (self._head, b"%d" % staleness_ms, _judgement(bound_ms, stale), self._sections)
        )


def _content(name: str, known: Sequence[int], capacity: int | None) -> bytes:
    """Return the members of a section that its tag stands for."""
    version, _, free, held, largest_block, *_ = known
    content = b'"section":"%b","free":%d,"held":%d,"largest_block":%d,"version":%d' % (
        name.encode(),
        free,
        held,
        largest_block,
        version,
    )
    return content if capacity is None else content + b',"capacity":%d' % capacity


@lru_cache(maxsize=256)
def _judgement(bound_ms: int, stale: bool) -> bytes:
    verdict = b"true" if stale else b"false"
    return b',"bound_ms":%d,"stale":%b,"sections":[' % (bound_ms, verdict)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with its age and what that was measured by; stale: older, or not as demanded."""

    encoded: Encoded
    staleness_ms: int
    bound_ms: int
    stale: bool

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
        self.waits = 0
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
            kept = snapshot.derived
            encoded: Encoded | None = kept.get(sections)
            if encoded is None or encoded.event is not event:
                part = snapshot.part(sections) if sections else snapshot
                unknown = [name for name in sections if name not in part.known_by_section]
                encoded = Encoded(part, event, unknown)
                if len(kept) < ENCODINGS_MAX:
                    kept[sections] = encoded
            age_ms = view.snapshot_age_ms(encoded.part)
            if age_ms is not None:
                return encoded, age_ms

    async def answered(
        self, event_id: int, question: Question, *, within_ms: int | None = None
    ) -> Answered:
        """Return the answer, as soon as it is as demanded; raises Problem.

        within_ms: time left, in place of what the question says.
        """
        view = self._view
        if not view.is_ready():
            raise Problem.of(
                ApiReason.NOT_READY, "This pod still reads what there is; ask again, or another."
            )
        least = question.min_versions(event_id)
        if not question.is_plain:
            await self._wait(event_id, question, least, within_ms)
        found = self.now(event_id, question.sections)
        known = {} if found is None else found[0].part.whole.known_by_section
        late = [name for name, version in least.items() if _version(known, name) < version]
        if found is None or not found[0].part.known_by_section:
            if late:
                raise _not_yet(late)
            if found is None:
                raise Problem.of(
                    ApiReason.NOT_FOUND,
                    "Nothing is known of such an event, as of `staleness_ms` ago.",
                    staleness_ms=view.staleness_ms(),
                )
            raise Problem.of(Reason.UNKNOWN_SECTION, "See the sections of the event.")
        encoded, age_ms = found
        refuses = not question.is_plain if question.refuses is None else question.refuses
        bound_ms = view.stale_after_ms
        if question.max_staleness_ms is not None:
            bound_ms = min(bound_ms, question.max_staleness_ms)
        if refuses and late:
            raise _not_yet(late)
        if refuses and age_ms > bound_ms:
            raise Problem.of(
                ApiReason.STALE,
                "Ask again later, or with on_stale=serve for what is known.",
                headers=(retry_after(RETRY_MS),),
                staleness_ms=age_ms,
                bound_ms=bound_ms,
            )
        return Answered(encoded, age_ms, bound_ms, bool(late) or age_ms > bound_ms)

    async def _wait(
        self, event_id: int, question: Question, least: Mapping[str, int], within_ms: int | None
    ) -> None:
        """Return when the question can be answered as demanded, or its time is over."""
        settings = self._settings
        wait_ms = settings.wait_ms if question.wait_ms is None else question.wait_ms
        wait_ms = min(wait_ms, settings.wait_max_ms)
        if within_ms is not None:
            wait_ms = min(wait_ms, within_ms)
        age_ms = question.max_staleness_ms
        if age_ms is None and question.refuses:
            age_ms = self._view.stale_after_ms
        names = question.sections or tuple(self._view.sections(event_id))
        demands = [
            Demand(event_id, name, age_ms, least.get(name, 0))
            for name in dict.fromkeys((*names, *least))
        ]
        view = self._view

        def is_met() -> bool:
            return all(map(view.is_met, demands))

        if is_met() or not wait_ms:
            return
        if self.waits >= settings.in_flight_max:
            raise Problem.of(
                ApiReason.OVERLOADED, "Too many wait here; ask again, or with wait_ms=0."
            )
        self.waits += 1
        try:
            waited = [(event_id, demand.section) for demand in demands]
            await view.wait_until_met(waited, is_met, wait_ms / 1000)
        finally:
            self.waits -= 1


def _version(known: Mapping[str, Known], section: str) -> int:
    return known[section][0] if section in known else 0


def _not_yet(late: Sequence[str]) -> Problem:
    return Problem.of(
        ApiReason.NOT_YET,
        "Ask again later, or with on_stale=serve for what is known.",
        headers=(retry_after(RETRY_MS),),
        sections=list(late),
    )
