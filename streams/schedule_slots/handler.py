"""Allocations in; their slots to come, out: a window of days that is filled before it runs out.

A window begins when an allocation arrives and is looked at every six hours by the log's time,
until the allocation ends; its slots to come are cancelled then. Of the words about a purchase the
newest counts. The owner of a partition looks, and, where there is a Redis, has a lease of it
meanwhile: that spares work, and decides nothing.

Keys of the store, beside those of `streams.working`: `w` + purchase id: SlotWindow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.topics import PERFORMANCE_SLOTS
from serdes.avro.codegen import Encode
from serdes.decoding import Decoded, Undecodable
from state.domain.issued.purchase import is_purchase_of
from state.domain.issued.slots import TOP_UP_MS, Rules, Slot, begun, to_come, topped_up
from state.domain.keys import SLOTS, buyer_key
from state.domain.reasons import Reason
from state.records.issued.codecs import (
    KEPT,
    Allocated,
    IssuingCodecs,
    SlotWindow,
    slot_window,
    stored_window,
)
from streams.batch import Batch, Record
from streams.placing import misplaced
from streams.route import RoleTopics, Route
from streams.settings import FIGURES, Figures
from streams.working.events import Identify, by_content
from streams.working.inbox import Event
from streams.working.route import work_route
from streams.working.task import Failed, Task
from streams.working.work import Work

ROLE: Final = "schedule_slots"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker has for this role.

    rules: when slots are, the same for all workers. turn: as `Route.turn`; close ends it.
    """

    codecs: IssuingCodecs
    rules: Rules
    turn: Callable[[int], Awaitable[bool | None]] | None = None
    close: Callable[[], Awaitable[None]] | None = None


def route(topics: RoleTopics, setup: Setup, figures: Figures = FIGURES) -> Route:
    """Return the route of the only writer of slots."""
    schedule = Schedule(setup)
    patience, retention_ms = figures.of(topics.role)
    work = Work(
        topics.role,
        topics.source,
        schedule.begin,
        patience=patience,
        retention_ms=retention_ms,
        identify=identified(setup.codecs),
        woken=schedule.woken,
        again_ms=TOP_UP_MS,
    )
    return work_route(
        work,
        **topics.written(),
        owns=owns,
        stored={SLOTS: slot_window},
        turn=setup.turn,
        close=setup.close,
    )


def owns(store_key: bytes, partition: int, _partitions: int) -> bool:
    """Say whether a partition's store may have a key of this worker's own."""
    return store_key[:1] == SLOTS and is_purchase_of(store_key[1:], partition)


def identified(codecs: IssuingCodecs) -> Identify:
    """Return what knows an event by its purchase and revision, and refuses a wrong place."""

    def known_by(batch: Batch, record: Record, said: Decoded, _: Event) -> Event | Undecodable:
        word = Allocated(*said.fields)
        key = buyer_key(word.event_id, word.user_id)
        if wrong := misplaced(batch, record, key):
            return wrong
        if not is_purchase_of(word.purchase_id, batch.partition):
            return Undecodable(Reason.WRONG_PARTITION.name, f"buyer {key!r:.100}")
        return Event(f"{word.purchase_id.decode()}:{word.revision}")

    return by_content(codecs.heard, known_by)


class Schedule:
    """One attempt: the window of a purchase becomes what its allocation and the day ask for."""

    def __init__(self, setup: Setup) -> None:
        self._heard = setup.codecs.heard
        self._scheduled = setup.codecs.scheduled, "SLOT_SCHEDULED"
        self._cancelled = setup.codecs.cancelled, "SLOT_CANCELLED"
        self._rules = setup.rules

    def begin(self, task: Task) -> None:
        word = self._said(task)
        before = self._window(task, word) or SlotWindow(-1)
        # Sent again after a dead letter of its window's look.
        is_again = word.revision == before.revision and word.status in KEPT
        if word.revision <= before.revision and not (
            is_again and word.allocation_id == before.allocation_id
        ):
            # Older than what was acted on.
            return
        if word.status in KEPT and word.allocation_id == before.allocation_id:
            self._fill(task, word, before._replace(revision=word.revision))
            return
        self._tell(task, word, before, to_come(before.slots, task.now_ms), self._cancelled)
        if word.status in KEPT:
            self._fill(task, word, SlotWindow(word.revision, word.allocation_id))
        else:
            self._put(task, word, SlotWindow(word.revision))
            task.let_sleep(_timer(word))

    def woken(self, task: Task) -> None:
        """Fill the window again where few slots are left."""
        word = self._said(task)
        before = self._window(task, word)
        if before is None or not before.allocation_id:
            return
        left = to_come(before.slots, task.now_ms)
        self._keep(task, word, before, left, topped_up(left, task.now_ms, self._rules))

    def _fill(self, task: Task, word: Allocated, window: SlotWindow) -> None:
        left = to_come(window.slots, task.now_ms)
        self._keep(task, word, window, left, begun(left, task.now_ms, self._rules))

    def _keep(
        self,
        task: Task,
        word: Allocated,
        window: SlotWindow,
        left: tuple[Slot, ...],
        slots: tuple[Slot, ...],
    ) -> None:
        """Tell the slots that are new, and be woken when the window is to be looked at again."""
        self._tell(task, word, window, slots[len(left) :], self._scheduled)
        self._put(task, word, window._replace(slots=slots))
        task.wake(_timer(word), task.now_ms + TOP_UP_MS)

    def _tell(
        self,
        task: Task,
        word: Allocated,
        window: SlotWindow,
        slots: Sequence[Slot],
        told_as: tuple[Encode, str],
    ) -> None:
        # What is cancelled is so by this word; what is topped up has the newest that was heard.
        revision = max(word.revision, window.revision)
        head = word.purchase_id, word.user_id, word.event_id, revision, window.allocation_id
        encode, event_type = told_as
        for slot in slots:
            said = encode(*head, slot.date.encode(), slot.time.encode(), slot.starts_ms)
            task.emit(PERFORMANCE_SLOTS.name, task.key, said, event_type)

    def _window(self, task: Task, word: Allocated) -> SlotWindow | None:
        return task.read(SLOTS + word.purchase_id, slot_window)

    def _put(self, task: Task, word: Allocated, window: SlotWindow) -> None:
        task.put(SLOTS + word.purchase_id, stored_window(window))

    def _said(self, task: Task) -> Allocated:
        said = self._heard.decode(task.value)
        if not isinstance(said, Decoded):
            raise Failed(f"cannot be read any more: {said}")
        return Allocated(*said.fields)


def _timer(word: Allocated) -> str:
    return word.purchase_id.decode()
