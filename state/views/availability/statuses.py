"""Look-ups, waits and the prefilter over the newest statuses; the broker is not known here.

A look-up reads two dicts and one clock, without a lock. Nothing here is wrong when the thread
that takes in the records is late, stopped or gone: the age in the answers grows, and that is all.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from itertools import islice

from confluent_kafka import Message

from serdes.decoding import TopicDecoder
from state.domain.keys import partition_of, section_key
from state.domain.reasons import Reason
from state.domain.status import can_refuse
from state.views.availability.answers import (
    Availability,
    Demand,
    Judged,
    age_ms,
    boot_clock_ns,
    judged,
)
from state.views.availability.contents import Change, Contents, Told
from state.views.availability.snapshot import EventSnapshot, Known, status_in
from state.views.availability.statistics import ViewCounters, ViewStatistics
from state.views.availability.waiters import SectionName, Waiter, Waiters
from state.views.following.reading import until

STALE_AFTER_MS = 5_000
_MS = 1_000_000

Listener = Callable[[Sequence[Change]], None]


class SectionStatuses:
    """The newest status of every section, as one thread tells it and any thread reads it.

    stale_after_ms: age from which answers say `stale` and the prefilter refuses nothing.
    clock_ns:       never goes back.
    counters:       counted by the one thread too; read them through `statistics`.
    trouble:        why the topic cannot be followed now; empty while it can.
    """

    def __init__(
        self,
        decoder: TopicDecoder,
        learn: Callable[[int], bool] = lambda schema_id: False,  # noqa: ARG005
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
        """Return what is known of a section, from memory; None for one that is unknown."""
        counters = self.counters
        counters.lookups += 1
        known, known_ns = self._contents.entry(event_id, section)
        if known is None:
            counters.misses += 1
            return None
        return self._availability(known, known_ns)

    def sections(self, event_id: int) -> dict[str, Availability]:
        """Return all known sections of an event; empty for an event that is unknown."""
        counters = self.counters
        counters.lookups += 1
        entries = self._contents.entries(event_id)
        counters.misses += not entries
        return {name: self._availability(*entry) for name, entry in entries.items()}

    def snapshot(self, event_id: int) -> EventSnapshot | None:
        """Return all sections of an event as one shared value; None for an unknown event.

        Costs the same for any number of sections while none of them changes: for those who
        answer the same question over and over. Its age is asked of `snapshot_age_ms`.
        """
        counters = self.counters
        counters.lookups += 1
        snapshot = self._contents.snapshot(event_id)
        if snapshot is None:
            counters.misses += 1
        return snapshot

    def snapshot_age_ms(self, snapshot: EventSnapshot) -> int | None:
        """Return the age of the worst section in a snapshot, or in a part of one.

        None where the event has changed since: take the new snapshot.
        """
        known_ns = snapshot.known_ns()
        if self._contents.kept_by_event.get(snapshot.event_id) is not snapshot.whole:
            return None
        return age_ms(known_ns, self._clock_ns())

    def oldest_of(self, event_id: int, sections: Iterable[str] = ()) -> list[str]:
        """Return few of these sections, or of all: those whose ages are the ages of the others.

        One for each partition, and each that is unknown or in doubt.
        """
        snapshot = self._contents.snapshot(event_id)
        known = {} if snapshot is None else snapshot.known_by_section
        by_place: dict[int | str, str] = {}
        for name in sections or known:
            number = known[name][5] if name in known else -1
            by_place.setdefault(number if number >= 0 else name, name)
        return list(by_place.values())

    def events(self) -> tuple[int, ...]:
        """Return the ids of all events with a known section."""
        return tuple(self._contents.by_event.copy())

    def topic_id(self) -> str:
        """Return the brokers' id of the topic that is answered from: a new one when recreated."""
        return self._contents.topic_id

    def positions(self) -> tuple[int, ...]:
        """Return the offset of the next record to be taken in, of each partition."""
        return tuple(partition.position for partition in self._contents.partitions)

    def told_at(self, partition: int, offset: int) -> Told | None:
        """Return what a record said that was taken in lately; None for any other place."""
        return self._contents.told_at(partition, offset)

    def is_other_history(self, event_id: int, section: str, told: int, told_at_ms: int) -> bool:
        """Say whether a version that was told at a log time is surely not of the log that is read.

        False proves nothing: what was read long ago is forgotten.
        """
        return self._contents.is_other_history(event_id, section, told, told_at_ms)

    def staleness_ms(self) -> int:
        """Return the age of the worst partition; `UNKNOWN_AGE_MS` before the start."""
        return age_ms(self._contents.all_known_ns(), self._clock_ns())

    def now_ns(self) -> int:
        """Return the clock that `absent_since` counts by."""
        return self._clock_ns()

    def absent_age_ms(self, event_id: int, sections: Sequence[str] = ()) -> int:
        """Return the age of the knowledge that what is unknown is not there: these, or any."""
        return age_ms(self._contents.absent_ns(event_id, sections), self._clock_ns())

    def misplaced(self) -> str:
        """Say why the topic cannot have been made with the partitions it has; mostly nothing.

        Whoever adds partitions leaves every record where it was, and most keys would go elsewhere.
        """
        return self._misplaced

    def is_ready(self) -> bool:
        """Say whether the topic was read to the end offsets that it had at start."""
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
        """Return why a new hold must fail, where the view proves it; None: let the log decide.

        An unknown section, a stale view and a version below `min_version` prove nothing. What a
        refusal can miss are seats that came back within its age: `max_staleness_ms`, or where
        that is None `stale_after_ms`. Only for reservation ids that were never sent: a repeated
        request has an answer already.
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

        None where the section is unknown, and surely so if an age was demanded. Raises NotYet or
        TooStale, unless `or_stale`: then what is known is returned, marked stale.
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
        """Do as `wait` does, without blocking the event loop."""
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
        """Return True as soon as `is_met()` is true, False after `timeout_s` or when closed.

        sections: whose changes may make it true.
        is_met:   asked by the caller and by the view's thread; fast, and raises nothing.
        by_age:   a heartbeat may make it true as well.
        """
        waking = partial(self._waiting, sections, is_met, by_age=by_age)
        return await until(is_met, timeout_s, waking, lambda: self._closed)

    def is_absent_since(self, event_id: int, sections: Sequence[str], asked_ns: int) -> bool:
        """Say whether whatever was visible at a moment of these sections, or of any, was read.

        What is unknown then was nowhere known at that moment.
        """
        return self._contents.absent_ns(event_id, sections) >= asked_ns

    async def absent_since(
        self, event_id: int, sections: Sequence[str], asked_ns: int, timeout_s: float
    ) -> bool:
        """Wait until `is_absent_since`; False after `timeout_s`, and where no wait can help."""

        def is_read() -> bool:
            return self.is_absent_since(event_id, sections, asked_ns)

        if self._contents.is_unreadable(event_id, sections):
            return False
        return await self.wait_until_met((), is_read, timeout_s, by_age=True)

    def refresh(self) -> None:
        """Ask for the ends of the topic soon; here is nobody to ask."""

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
                # An age that lies between two heartbeats is met soonest by asking now.
                self.refresh()
            yield
        finally:
            self._waiters.discard(waiter)

    def is_met(self, demand: Demand) -> bool:
        """Say whether a demand is satisfied now; nothing is counted."""
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

    # --- what the one thread tells ---------------------------------------------------------

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
        """Answer from a complete reading of the topic from now on."""
        before, self._contents = self._contents, contents
        self._misplaced = _misplaced(contents)
        contents.is_published = True
        self.counters.readings += 1
        self._is_ready = True
        if self._listeners:
            self._tell(_differences(before, contents))
        self._waiters.wake_all()

    def changed(self, contents: Contents, changes: Sequence[Change]) -> None:
        """Tell waiters and listeners of changes; none yet of contents that nobody sees."""
        if contents is not self._contents:
            return
        if self._waiters.has_aged:
            # An end that was answered before may be reached by now: once for each answer.
            known_ns = sum(partition.known_ns for partition in contents.partitions)
            if known_ns != self._woken_ns:
                self._woken_ns = known_ns
                self._waiters.wake_by_age()
        if not changes:
            return
        self._tell(changes)
        self._waiters.wake_of({(change.event_id, change.section) for change in changes})

    def refreshed(self) -> None:
        """Wake those whose demand on the age is met now; a heartbeat was answered."""
        self.counters.sample(self._clock_ns())
        self._waiters.wake_by_age()

    def end_waits(self) -> None:
        """Have everybody who waits answered now, and nobody wait any more."""
        self._closed = True
        self._waiters.wake_all(always=True)

    def troubled(self, trouble: str) -> None:
        """Note why the topic cannot be followed; an empty string when it can."""
        self.trouble = trouble

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have every change told to `listener`, in order; return what ends that.

        It is called in the view's thread and must neither block nor raise. A topic read anew is
        told as the differences to what was known.
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
        """Return all counters; exact for each, taken one after the other."""
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


_NO_SECTIONS: dict[str, Known] = {}

LOOKED_AT_MAX = 256
"""Sections whose partition is computed anew after a reading: a hash for each would delay it."""


def _misplaced(contents: Contents) -> str:
    count = len(contents.partitions)
    places = (
        (section_key(event_id, name), known[5])
        for event_id, sections in contents.by_event.items()
        for name, known in sections.items()
        # What a stranger wrote, or a damaged record, says nothing.
        if known[5] >= 0
    )
    looked_at = list(islice(places, LOOKED_AT_MAX))
    elsewhere = sum(partition_of(key, count) != number for key, number in looked_at)
    # A stranger's record is one of many; of a topic that grew, half of all and more.
    if 4 * elsewhere <= len(looked_at):
        return ""
    return (
        f"{elsewhere} of {len(looked_at)} sections lie on other partitions than {count} "
        "partitions give them: partitions were added"
    )


def _differences(before: Contents, after: Contents) -> list[Change]:
    changes: list[Change] = []
    for event_id, sections in before.by_event.items():
        kept = after.by_event.get(event_id, _NO_SECTIONS)
        changes += [Change(event_id, name, None) for name in sections if name not in kept]
    for event_id, sections in after.by_event.items():
        former = before.by_event.get(event_id, _NO_SECTIONS)
        for name, known in sections.items():
            if name not in former or former[name][:5] != known[:5]:
                changes.append(Change(event_id, name, status_in(known)))
    return changes
