"""The open intents of one partition, as its executor knows them: a window for each destination.

The store holds the truth. A window holds only the intents of a destination that are due first, and
of each intent only its due time; the others are read from the store once a window runs low. So a
million open intents take no more memory than a thousand, and the intents of a slow destination
do not displace those of a quick one.

An entry may be stale. The executor reads an intent from the store before it performs it, and drops
an entry that disagrees with the store. So entries may come twice, and in any order.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from state.stores import envelope
from streams.intents import INTENT, Intent, read_intent, trace_key
from streams.runtime.ownership.troubles import STORE_ERRORS
from streams.runtime.transactions.input_partition import InputPartition

WINDOW: Final = 1_000
"""How many entries stay in a window when it is cut. It is cut when it has twice as many."""

UNFOLDED_MAX: Final = 1_000
"""How many answers of a destination a partition may have that are not folded yet. With so many, no
further intent of the destination is performed."""

_LOOKS_UP_EVERY: Final = 500


class Entry(NamedTuple):
    """One intent in a window.

    begins_ms: when its attempt begins: `Intent.begins_ms`.
    is_fresh: the intent was opened behind everything that the log held when this owner took over.
              So no former owner can have called its destination.
    """

    begins_ms: int
    id: str
    attempt: int
    is_fresh: bool


@dataclass(slots=True)
class Window:
    """The intents of one destination that are due first.

    horizon_ms: `entries` has every open intent that is due before this; None where it has all.
    """

    entries: list[Entry] = field(default_factory=list)
    horizon_ms: int | None = None

    def push(self, entry: Entry) -> None:
        if self.horizon_ms is not None and entry.begins_ms >= self.horizon_ms:
            return
        heapq.heappush(self.entries, entry)
        if len(self.entries) > 2 * WINDOW:
            self.cut()

    def cut(self) -> None:
        """Keep the `WINDOW` entries that are due first."""
        self.entries = heapq.nsmallest(WINDOW, self.entries)
        self.horizon_ms = self.entries[-1].begins_ms

    @property
    def is_low(self) -> bool:
        return self.horizon_ms is not None and len(self.entries) <= WINDOW // 2


@dataclass(slots=True)
class Survey:
    """What a look through a store found.

    open:      count of open intents by destination.
    oldest_ms: when the oldest open intent was opened, Unix ms; 0 where there is none.
    """

    windows: dict[str, Window] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)
    oldest_ms: int = 0

    def is_first(self, destination: str, opened_ms: int) -> bool:
        """Count an intent that was opened since, where none was; say whether none was.

        A count is as old as the survey, and may be too low: but never 0 while something is open,
        for whoever waits until nothing is would go on.
        """
        if self.open.get(destination):
            return False
        self.open[destination] = 1
        self.oldest_ms = self.oldest_ms or opened_ms
        return True


class UnreadableIntent(Exception):
    """An intent cannot be read from the store of a partition."""

    def __init__(self, partition: InputPartition, cause: Exception) -> None:
        super().__init__(f"{partition.place}: {cause}")
        self.partition = partition
        self.cause = cause


def _read(key: bytes, stored: bytes, seed: int, trace: bytes | None = None) -> Intent:
    """Return a stored intent; raise CorruptValue for anything else."""
    try:
        ids = None if trace is None else envelope.unpack(trace, seed)[0]
        return read_intent(key, envelope.unpack(stored, seed)[0], ids)
    except ValueError as error:
        raise envelope.CorruptValue(f"{key!r} is no intent: {error}") from error


def survey(
    items: Iterable[tuple[bytes, bytes]],
    seed: int,
    is_over: Callable[[], bool],
    under_way: Mapping[str, int] = MappingProxyType({}),
    called_as: Callable[[str], str] = str,
) -> Survey:
    """Look through the stored forms of all open intents.

    This may take seconds, so it runs in a thread.

    is_over:   called now and then; once True, the survey ends with what it has found.
    under_way: number of the attempt that was begun, by intent id. Such intents are counted, and
               come into no window.
    called_as: returns the name under which a destination is performed (`Route.called_as`), and
               counted.
    """
    found = Survey()
    for number, (key, stored) in enumerate(items):
        if not key.startswith(INTENT):
            break
        if number % _LOOKS_UP_EVERY == 0 and is_over():
            break
        intent = _read(key, stored, seed)
        destination = called_as(intent.destination)
        window = found.windows.setdefault(destination, Window())
        if under_way.get(intent.id, 0) < intent.attempt:
            window.push(Entry(intent.begins_ms, intent.id, intent.attempt, False))
        found.open[destination] = found.open.get(destination, 0) + 1
        if not found.oldest_ms or intent.opened_ms < found.oldest_ms:
            found.oldest_ms = intent.opened_ms
    return found


class Outbox:
    """One partition's windows, and which of its intents are under way."""

    def __init__(self, partition: InputPartition) -> None:
        self.partition = partition
        self.is_closed = False
        # Until then, the log may have a former owner's answer to an intent.
        self.has_caught_up = partition.has_caught_up
        self.wants_survey = asyncio.Event()
        # A look through the store that runs now. The store must not be closed before it ends.
        self.surveying: asyncio.Future[Survey] | None = None
        # When the executor stops waiting for cancelled calls to end, by the monotonic clock.
        self.patience_until_s = 0.0
        # Destinations without a performer that a log line has named already.
        self.named: set[str] = set()
        # Destinations of the intents whose answer cannot be told, by id.
        self.untold: dict[str, str] = {}
        self.found = Survey()
        self._windows: dict[str, Window] = {}
        # Attempts that were begun and are not settled yet, even if their answer is in the log.
        self._under_way: dict[str, int] = {}
        # Offsets of answers that are in the log and not folded yet: a heap for each destination.
        # An answer is folded when its batch is committed, whatever the handler made of it.
        self._unfolded: dict[str, list[int]] = {}
        # Entries that were opened since the survey under way began.
        self._meanwhile: list[tuple[str, Entry]] | None = None

    def changed(self, intents: Sequence[tuple[str, Intent | None]]) -> bool:
        """Take in the intents that a committed batch opened or settled, as the store has them.

        Returns whether a destination has open intents now that had none when they were counted.
        """
        is_first = False
        for intent_id, intent in intents:
            if intent is None:
                self._under_way.pop(intent_id, None)
                self.untold.pop(intent_id, None)
                continue
            entry = Entry(intent.begins_ms, intent.id, intent.attempt, self.has_caught_up)
            destination = self.partition.route.called_as(intent.destination)
            self._push(destination, entry)
            is_first |= self.found.is_first(destination, intent.opened_ms)
        # Last: the batch that ends behind the log of the take-over may have begun before its end,
        # so the intents that it opened are not fresh.
        self.look_how_far()
        return is_first

    def look_how_far(self) -> None:
        """Note whether everything is folded that the log held at take-over."""
        self.has_caught_up = self.has_caught_up or self.partition.has_caught_up

    def begin_survey(self) -> dict[str, int]:
        """Begin a survey; return the attempts under way now, for `survey`."""
        self._meanwhile = []
        return dict(self._under_way)

    def end_survey(self, found: Survey) -> None:
        """Replace the windows and counts by what a survey found."""
        fresh = {
            (entry.id, entry.attempt)
            for window in self._windows.values()
            for entry in window.entries
            if entry.is_fresh
        }
        for window in found.windows.values():
            window.entries = [
                entry._replace(is_fresh=(entry.id, entry.attempt) in fresh)
                for entry in window.entries
            ]
            heapq.heapify(window.entries)
        self.found = Survey(open=found.open, oldest_ms=found.oldest_ms)
        self._windows = found.windows
        meanwhile, self._meanwhile = self._meanwhile or (), None
        for destination, entry in meanwhile:
            self._window(destination).push(entry)
            self.found.is_first(destination, entry.begins_ms)

    def next_due_ms(self, destination: str) -> int | None:
        """Return when the first intent of a destination may be due; None without any."""
        window = self._windows.get(destination)
        return window.entries[0].begins_ms if window is not None and window.entries else None

    @property
    def is_low(self) -> bool:
        """Say whether a window runs low while the store has more intents."""
        return any(window.is_low for window in self._windows.values())

    def may_perform(self, destination: str) -> bool:
        """Say whether further intents of a destination may be performed.

        None may before the log of the take-over is folded, since its answers may settle them. None
        may while the handler is far behind with the answers of this destination.
        """
        partition = self.partition
        if not self.has_caught_up or partition.is_waiting or partition.has_left:
            return False
        unfolded = self._unfolded.get(destination, [])
        while unfolded and unfolded[0] < partition.committed_offset:
            heapq.heappop(unfolded)
        return len(unfolded) < UNFOLDED_MAX

    def answered(self, destination: str, offset: int) -> None:
        """Note that an answer is in the log at `offset`; -1 where the offset is not known."""
        if offset >= self.partition.committed_offset:
            heapq.heappush(self._unfolded.setdefault(destination, []), offset)

    def take(self, destination: str, now_ms: int) -> tuple[Intent, Entry] | None:
        """Mark the first due intent as under way, and return it; None where none is due."""
        window = self._windows.get(destination)
        while window is not None and window.entries and window.entries[0].begins_ms <= now_ms:
            entry = heapq.heappop(window.entries)
            if self._under_way.get(entry.id, 0) >= entry.attempt:
                continue
            intent = self._stored(entry.id)
            if intent is None or (intent.attempt, intent.begins_ms) != (
                entry.attempt,
                entry.begins_ms,
            ):
                continue
            self._under_way[entry.id] = entry.attempt
            return intent, entry
        return None

    def put_back(self, destination: str, entry: Entry) -> None:
        """Take back an entry that was taken, and whose call has not begun."""
        if self._under_way.get(entry.id) == entry.attempt:
            del self._under_way[entry.id]
            self._push(destination, entry)

    def _push(self, destination: str, entry: Entry) -> None:
        self._window(destination).push(entry)
        if self._meanwhile is not None:
            self._meanwhile.append((destination, entry))

    def _window(self, destination: str) -> Window:
        return self._windows.setdefault(destination, Window())

    def _stored(self, intent_id: str) -> Intent | None:
        store = self.partition.state.store
        key = INTENT + intent_id.encode()
        try:
            stored, trace = store.get_many([key, trace_key(intent_id)])
            return None if stored is None else _read(key, stored, store.seed, trace)
        except STORE_ERRORS as error:
            raise UnreadableIntent(self.partition, error) from error
