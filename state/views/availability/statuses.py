"""Look-ups, waits and the prefilter over the newest statuses; this module knows no broker.

One thread, the view's, takes in the records; any thread looks up. A look-up reads two dicts and
one clock, without a lock. If the view's thread is late or has ended, answers stay right: only
their age grows.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial

from confluent_kafka import Message

from serdes.decoding import TopicDecoder
from state.domain.reasons import Reason
from state.domain.status import can_refuse
from state.views.availability.answers import Availability, Demand, Judged, judged
from state.views.availability.compared import differences, misplaced
from state.views.availability.contents import Change, Contents, Told
from state.views.availability.snapshot import PARTITION, EventSnapshot, Known, status_in
from state.views.availability.statistics import ViewCounters, ViewStatistics
from state.views.availability.waiters import SectionName, Waiter, Waiters
from state.views.following.ages import age_ms, boot_clock_ns
from state.views.following.reading import Learn, knows_no_more, until

STALE_AFTER_MS = 5_000
_MS = 1_000_000

Listener = Callable[[Sequence[Change]], None]


class SectionStatuses:
    """The newest status of every section; the view's thread writes it, any thread reads it.

    stale_after_ms: above this age answers are `stale`, and the prefilter refuses nothing.
    clock_ns:       a clock that never goes back.
    counters:       several threads count here; read them through `statistics`.
    trouble:        why the view cannot follow the topic now; empty while it can.
    """

    def __init__(
        self,
        decoder: TopicDecoder,
        learn: Learn = knows_no_more,
        *,
        stale_after_ms: int = STALE_AFTER_MS,
        clock_ns: Callable[[], int] = boot_clock_ns,
    ) -> None:
        self.stale_after_ms = stale_after_ms
        self._decoder = decoder
        self._learn = learn
        self._clock_ns = clock_ns
        self.counters = ViewCounters()
        self._waiters = Waiters()
        self._woken_ns = 0
        self._listeners: tuple[Listener, ...] = ()
        self._contents = self.new_reading(1)
        self._is_ready = False
        self._misplaced = ""
        self.trouble = ""
        self._closed = False

    # --- look-ups --------------------------------------------------------------------------

    def get(self, event_id: int, section: str) -> Availability | None:
        """Return the availability of a section, from memory; None for an unknown section."""
        counters = self.counters
        counters.lookups += 1
        known, known_ns = self._contents.entry(event_id, section)
        if known is None:
            counters.misses += 1
            return None
        return self._availability(known, known_ns)

    def knows(self, event_id: int, section: str) -> bool:
        """Say whether there is such a section, as far as was read; no look-up that counts."""
        return self._contents.entry(event_id, section)[0] is not None

    def sections(self, event_id: int) -> dict[str, Availability]:
        """Return the availability of all sections of an event; empty for an unknown event."""
        counters = self.counters
        counters.lookups += 1
        entries = self._contents.entries(event_id)
        counters.misses += not entries
        return {name: self._availability(*entry) for name, entry in entries.items()}

    def snapshot(self, event_id: int) -> EventSnapshot | None:
        """Return all sections of an event as one shared value; None for an unknown event.

        For callers that answer the same question over and over: while no section changes, a call
        costs the same for any number of sections. `snapshot_age_ms` tells the snapshot's age.
        """
        counters = self.counters
        counters.lookups += 1
        snapshot = self._contents.snapshot(event_id)
        if snapshot is None:
            counters.misses += 1
        return snapshot

    def snapshot_age_ms(self, snapshot: EventSnapshot) -> int | None:
        """Return the highest age of a section in a snapshot, or in a part of a snapshot.

        None where the event has changed since: the caller must take the new snapshot.
        """
        known_ns = snapshot.known_ns()
        if self._contents.kept_by_event.get(snapshot.event_id) is not snapshot.whole:
            return None
        return age_ms(known_ns, self._clock_ns())

    def oldest_of(self, event_id: int, sections: Iterable[str] = ()) -> list[str]:
        """Return a few sections of an event whose ages are the ages of all the others.

        sections: those to choose from; empty for all sections of the event.
        Returned are one section for each partition, and each unknown or doubtful section.
        """
        snapshot = self._contents.snapshot(event_id)
        known = {} if snapshot is None else snapshot.known_by_section
        by_place: dict[int | str, str] = {}
        for name in sections or known:
            number = known[name][PARTITION] if name in known else -1
            by_place.setdefault(number if number >= 0 else name, name)
        return list(by_place.values())

    def events(self) -> tuple[int, ...]:
        """Return the ids of all events that have a known section."""
        return tuple(self._contents.by_event.copy())

    def topic_id(self) -> str:
        """Return the brokers' id of the topic; a topic that is created again has a new id."""
        return self._contents.topic_id

    def positions(self) -> tuple[int, ...]:
        """Return for each partition the offset of the next record to take in."""
        return tuple(partition.position for partition in self._contents.partitions)

    def told_at(self, partition: int, offset: int) -> Told | None:
        """Return the content of the record at an offset; None where it is not a recent one."""
        return self._contents.told_at(partition, offset)

    def is_other_history(self, event_id: int, section: str, told: int, told_at_ms: int) -> bool:
        """Say whether the records of a section prove that a version is not of their log.

        told, told_at_ms: the version that somebody was told, and its log time. False proves
        nothing, since records read long ago are forgotten.
        """
        return self._contents.is_other_history(event_id, section, told, told_at_ms)

    def staleness_ms(self) -> int:
        """Return the highest age of a partition; `UNKNOWN_AGE_MS` before the start."""
        return age_ms(self._contents.all_known_ns(), self._clock_ns())

    def now_ns(self) -> int:
        """Return the present time by the clock of `absent_since`."""
        return self._clock_ns()

    def absent_age_ms(self, event_id: int, sections: Sequence[str] = ()) -> int:
        """Return the age of the knowledge that unknown sections do not exist.

        sections: those of the event to look at; empty for all that may exist.
        """
        return age_ms(self._contents.absent_ns(event_id, sections), self._clock_ns())

    def misplaced(self) -> str:
        """Say what shows that partitions were added to the topic; empty where nothing does.

        Added partitions leave every record where it was, but give most keys another partition.
        """
        return self._misplaced

    def is_ready(self) -> bool:
        """Say whether the view has read the topic to the ends that it had at start."""
        return self._is_ready

    # --- the prefilter ---------------------------------------------------------------------

    def can_refuse(
        self,
        event_id: int,
        section: str,
        quantity: int,
        *,
        adjacent: bool = True,
        min_version: int = 0,
        max_staleness_ms: int | None = None,
    ) -> Reason | None:
        """Return why a new hold must fail, where the view proves that; None to let the log decide.

        An unknown section, a stale view and a version below `min_version` prove nothing. A refusal
        may miss seats that came back within the view's age, which is at most `max_staleness_ms`
        and `stale_after_ms`. Call it only for a reservation id that was never sent: a repeated
        request has an outcome already.
        """
        counters = self.counters
        known, known_ns = self._contents.entry(event_id, section)
        if known is None:
            counters.unknown_passed += 1
            return None
        status = status_in(known)
        limit_ms = self.stale_after_ms
        if max_staleness_ms is not None:
            limit_ms = min(limit_ms, max_staleness_ms)
        too_old = age_ms(known_ns, self._clock_ns()) > limit_ms
        if too_old or status.version < min_version:
            counters.stepped_aside += 1
            return None
        reason = can_refuse(status, quantity, adjacent=adjacent)
        if reason is None:
            counters.passed += 1
        else:
            counters.refused += 1
        return reason

    # --- waits -----------------------------------------------------------------------------

    def wait(
        self, demand: Demand, timeout_s: float, *, or_stale: bool = False
    ) -> Availability | None:
        """Return an answer that satisfies the demand; block up to `timeout_s` for it.

        Returns None where the section is unknown. With an age demanded, that is sure up to this
        age. Raises NotYet or TooStale; with `or_stale` it returns the known status instead, marked
        stale.
        """
        judged = self._judge(demand)
        if not judged.is_met:
            woken = threading.Event()
            deadline_ns = self._clock_ns() + int(timeout_s * 1_000 * _MS)
            name = (demand.event_id, demand.section)
            by_age = demand.max_staleness_ms is not None
            with self._waiting([name], lambda: self.is_met(demand), woken.set, by_age=by_age):
                while not (judged := self._judge(demand)).is_met and not self._closed:
                    left_ns = deadline_ns - self._clock_ns()
                    if left_ns <= 0:
                        break
                    woken.wait(left_ns / 1e9)
                    woken.clear()
        return self._settle(demand, judged, or_stale=or_stale)

    async def wait_async(
        self, demand: Demand, timeout_s: float, *, or_stale: bool = False
    ) -> Availability | None:
        """Wait as `wait` does, without blocking the event loop."""
        name = (demand.event_id, demand.section)
        by_age = demand.max_staleness_ms is not None
        await self.wait_until_met([name], lambda: self.is_met(demand), timeout_s, by_age=by_age)
        return self._settle(demand, self._judge(demand), or_stale=or_stale)

    async def wait_until_met(
        self,
        sections: Iterable[SectionName],
        is_met: Callable[[], bool],
        timeout_s: float,
        *,
        by_age: bool = False,
    ) -> bool:
        """Wait until `is_met()` is true; return False after `timeout_s` or when the view closes.

        sections: sections whose changes may make it true.
        is_met:   the caller and the view's thread call it; must be fast and raise nothing.
        by_age:   whether an answered heartbeat may make it true as well.
        """
        waking = partial(self._waiting, sections, is_met, by_age=by_age)
        return await until(is_met, timeout_s, waking, lambda: self._closed)

    def is_absent_since(self, event_id: int, sections: Sequence[str], asked_ns: int) -> bool:
        """Say whether the view has read all that was visible of some sections at a moment.

        If so, a section that is unknown now did not exist anywhere at that moment.

        sections: those of the event to look at; empty for all that may exist.
        asked_ns: the moment, by `now_ns`.
        """
        return self._contents.absent_ns(event_id, sections) >= asked_ns

    async def absent_since(
        self, event_id: int, sections: Sequence[str], asked_ns: int, timeout_s: float
    ) -> bool:
        """Wait until `is_absent_since`; return False after `timeout_s`.

        Returns False at once where only unreadable records came of a section: no wait helps.
        """

        def is_read() -> bool:
            return self.is_absent_since(event_id, sections, asked_ns)

        if self._contents.is_unreadable(event_id, sections):
            return False
        return await self.wait_until_met((), is_read, timeout_s, by_age=True)

    def refresh(self) -> None:
        """Ask for the topic's end now. Does nothing here: `AvailabilityView` has a broker."""

    @contextmanager
    def _waiting(
        self,
        sections: Iterable[SectionName],
        is_met: Callable[[], bool],
        wake: Callable[[], None],
        *,
        by_age: bool,
    ) -> Iterator[None]:
        waiter = Waiter(tuple(sections), by_age, is_met, wake)
        self._waiters.add(waiter)
        try:
            if by_age:
                # The next heartbeat may come too late for a low age: ask now.
                self.refresh()
            yield
        finally:
            self._waiters.discard(waiter)

    def is_met(self, demand: Demand) -> bool:
        """Say whether a demand is satisfied now, without counting a look-up."""
        return self._judge(demand).is_met

    def _judge(self, demand: Demand) -> Judged:
        known, known_ns = self._contents.entry(demand.event_id, demand.section)
        if known is None:
            return judged(demand, None, age_ms(known_ns, self._clock_ns()))
        answer = self._availability(known, known_ns)
        return judged(demand, answer, answer.staleness_ms)

    def _settle(self, demand: Demand, judged: Judged, *, or_stale: bool) -> Availability | None:
        counters = self.counters
        counters.lookups += 1
        counters.misses += judged.answer is None
        if judged.is_met:
            return judged.answer
        if judged.has_version:
            counters.too_stale += 1
        else:
            counters.not_yet += 1
        if or_stale:
            return None if judged.answer is None else judged.answer._replace(stale=True)
        raise judged.refusal(demand)

    # --- what the view's thread calls ------------------------------------------------------

    def new_reading(self, partitions: int, topic_id: str = "") -> Contents:
        """Return empty contents, to be filled and then published."""
        now_ns = self._clock_ns()
        contents = Contents(partitions, self._decoder, self._learn, self.counters, now_ns)
        contents.topic_id = topic_id
        return contents

    def take(self, reading: Contents, records: Sequence[Message]) -> list[Change]:
        """Take in records of the topic; return what they changed."""
        return reading.take(records)

    def publish(self, contents: Contents) -> None:
        """Answer from this reading of the topic from now on, since it is complete."""
        before, self._contents = self._contents, contents
        self._misplaced = misplaced(contents)
        contents.is_published = True
        self.counters.readings += 1
        self._is_ready = True
        if self._listeners:
            self._tell(differences(before, contents))
        self._waiters.wake_all()

    def changed(self, contents: Contents, changes: Sequence[Change]) -> None:
        """Tell waiters and listeners of changes, unless their contents are not published yet."""
        if contents is not self._contents:
            return
        if self._waiters.has_aged:
            # The records may have reached an end that a heartbeat told before: that lowers the
            # age. The sum changes once for each end reached.
            known_ns = sum(partition.known_ns for partition in contents.partitions)
            if known_ns != self._woken_ns:
                self._woken_ns = known_ns
                self._waiters.wake_by_age()
        if not changes:
            return
        self._tell(changes)
        self._waiters.wake_of({(change.event_id, change.section) for change in changes})

    def refreshed(self) -> None:
        """Wake the callers whose demand for an age is met, since a heartbeat was answered."""
        self.counters.sample(self._clock_ns())
        self._waiters.wake_by_age()

    def end_waits(self) -> None:
        """Answer everybody who waits now, and let nobody wait any more."""
        self._closed = True
        self._waiters.wake_all(always=True)

    def troubled(self, trouble: str) -> None:
        """Note why the view cannot follow the topic; an empty string when it can again."""
        self.trouble = trouble

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell every change to `listener`, in order; return a function that ends this.

        The view's thread calls the listener, which must neither block nor raise. When the topic
        was read anew, the listener is told the differences to what was known before.
        """
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return end

    def _tell(self, changes: Sequence[Change]) -> None:
        for listener in self._listeners:
            listener(changes)

    # --- numbers ---------------------------------------------------------------------------

    def statistics(self) -> ViewStatistics:
        """Return all counters. Each is exact, but they are not of one instant."""
        counters = self.counters
        by_event = self._contents.by_event.copy()
        counted = {one.name: getattr(counters, one.name) for one in fields(counters)}
        del counted["samples"]
        counted["bad"] = dict(counters.bad)
        return ViewStatistics(
            **counted,
            miss_share=counters.miss_share(),
            events=len(by_event),
            sections=sum(map(len, by_event.values())),
            is_ready=self.is_ready(),
            staleness_ms=self.staleness_ms(),
            trouble=self.trouble,
        )

    def _availability(self, known: Known, known_ns: int) -> Availability:
        version, as_of_ms, free, held, largest_block, _, _ = known
        staleness_ms = age_ms(known_ns, self._clock_ns())
        stale = staleness_ms > self.stale_after_ms
        return Availability(free, held, largest_block, version, as_of_ms, staleness_ms, stale)
