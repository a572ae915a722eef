"""A worker over `streams.working` that dies and comes back as the runtime has it, in memory."""

from pathlib import Path

from support.workers.postings import SOURCE, Office, headers

from state.stores.partition_state import PartitionState
from streams.batch import DeadLetter
from streams.driver import PipedRecord
from streams.intents import Answer, Result, open_intents
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.input_partition import InputPartition
from streams.working.answers import TICK_KEY
from streams.working.inbox import EVENT


class Lives:
    """One partition of an office, its log, and one life of its worker after the other.

    deaths: how many lives ended so far. now_ms: append time of the next record.
    """

    def __init__(self, office: Office, path: Path) -> None:
        self.office = office
        self.log: list[PipedRecord] = []
        self.letters: list[DeadLetter] = []
        self.deaths = 0
        self.now_ms = 1_700_000_000_000
        self._path = path
        self._next = 0
        self._store = office.driver.state(SOURCE, 0).store

    def order(self, key: str, event_id: str) -> None:
        self._append(key.encode(), event_id.encode(), headers(event_id))

    def tick(self, ms: int) -> None:
        self.now_ms += ms
        self._append(TICK_KEY, b"%d" % self.now_ms, [])

    def answer_all(self) -> None:
        assert self.office.route.answer is not None
        for intent in open_intents(PartitionState(self._store)):
            if intent.due_ms <= self.now_ms:
                said = Answer(result=Result.ANSWERED, payload=b"said")
                self._append(*self.office.route.answer(intent, said), [])

    def live(self) -> None:
        """Live until all of the log is decided; fails where it never comes to that."""
        for _ in range(10 * len(self.log) + 100):
            if self._one_life():
                return
        raise AssertionError(f"it dies for ever at {self._next} of {len(self.log)}")

    def is_idle(self) -> bool:
        """Say whether nothing waits or is remembered but events."""
        state = PartitionState(self._store)
        return not [key for key in state.keys(b"\xfc") if key[1:2] in b"kwa"]

    def consumed(self) -> set[str]:
        return {key[len(EVENT) :].decode() for key in PartitionState(self._store).keys(EVENT)}

    def _append(
        self, key: bytes | None, value: bytes | None, given: list[tuple[str, bytes]]
    ) -> None:
        place = SOURCE, 0, len(self.log), self.now_ms
        self.log.append(PipedRecord(*place, key, value, given))

    def _one_life(self) -> bool:
        route, journal = self.office.route, CrashJournal(self._path)
        state = PartitionState(self._store)
        assert route.progress is not None
        log_time_ms = route.progress(state).log_time_ms
        partition = InputPartition(route, SOURCE, 0, 1, state, self._next, log_time_ms, journal)
        if self._next < len(self.log):
            partition.feed(self.log[self._next :], self._next)
        while records := partition.take(10):
            try:
                decided = partition.decide(records)
            except MemoryError:
                self.deaths += 1
                journal.note_death(partition.place, records[0].offset, records[-1].offset)
                return False
            state.write(decided.changes, None)
            state.release()
            self.letters.extend(decided.effects.dead_letters)
            self._next = decided.next_offset
            journal.note_passed(partition.place, self._next)
        return True
