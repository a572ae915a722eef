"""The state, time and effects of one batch, which the decisions of any handler work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from infra.process.record_ids import Headers
from serdes.decoding import TopicDecoder
from streams.batch import Batch, DeadLetter, Effects, NewerProducer, Record, State, Told
from streams.folding import log_time
from streams.folding.progress import KeptProgress, read_progress, write_progress
from streams.folding.ticks import tick_version

# How many deadlines end at one record of the log, at most. After an outage a million deadlines may
# be overdue at once; the records that follow, ticks among them, end the rest.
DUE_PER_RECORD: Final = 1_000

# The values of a decoded record, in the order of its schema. Those of a command are the five
# fields of the identity, the identity in its encoded form, and the command's own fields.
Fields = tuple[Any, ...]


class Fold:
    """One batch being folded into its partition's state; a handler's own fold extends it.

    A subclass sets, for all its batches:

    tick_name:    full name of the record that only moves time.
    progress_key: key of the progress in the handler's store.
    usual:        decision that outcomes are counted as which were added without `emit`.
    first_logic_version: version of the rules before the first tick; from 2 on the log's time
                  follows no jump of a clock.
    last_logic_version:  version of the newest rules that this code has.

    Each batch has:

    decoder:     decoder of the topic; None where the subclass reads its records itself.
    next_offset: offset of the first record that the state does not have yet.
    offset:      offset of the record that is being decided.
    logic_version: version of the rules that decide that record.
    log_time_ms: the log's time at that record; timer_ms: highest clock that a tick has told.
    overdue:     whether a deadline has passed that no record has ended yet.
    look_again:  keys whose stored value may have changed since `look_up`.
    outcomes:    (key, value) to publish; counted: how many of them `emit` has counted.
    has_headers: whether some record of the batch has any.
    uncaused:    how many of the first outcomes do not follow from that record;
    uncaused_in: the same of the records for each other topic.
    cause:       those headers of the record that is being decided that go on to what it causes.
    """

    tick_name: ClassVar[str]
    progress_key: ClassVar[bytes]
    usual: ClassVar[str] = ""
    first_logic_version: ClassVar[int] = 2
    last_logic_version: ClassVar[int] = 2

    __slots__ = (
        "batch",
        "cause",
        "counted",
        "decoder",
        "effects",
        "has_headers",
        "log_time_ms",
        "logic_version",
        "look_again",
        "next_offset",
        "offset",
        "outcome_prefix",
        "outcomes",
        "overdue",
        "state",
        "timer_ms",
        "uncaused",
        "uncaused_in",
    )

    def __init__(
        self, decoder: TopicDecoder | None, batch: Batch, state: State, log_time_ms: int
    ) -> None:
        self.decoder = decoder
        self.batch = batch
        self.state = state
        stored = state.get(self.progress_key)
        (self.next_offset, self.log_time_ms, self.timer_ms, self.logic_version) = (
            KeptProgress(0, log_time_ms, 0, self.first_logic_version)
            if stored is None
            else read_progress(stored)
        )
        self.refuse_newer(self.logic_version)
        self.overdue = state.next_due_ms <= log_time.horizon_ms(self.log_time_ms, self.timer_ms)
        self.offset = -1
        self.outcome_prefix = b"%s:%d:" % (batch.topic.encode(), batch.partition)
        self.effects = Effects()
        self.outcomes: list[Told] = []
        self.counted = 0
        self.look_again: set[bytes] = set()
        self.has_headers = False
        self.uncaused = 0
        self.uncaused_in: dict[str, int] = {}
        self.cause: Headers = ()

    def mark(self) -> None:
        """Let what was published so far follow from no record; `each_followed` calls this."""
        self.uncaused = len(self.outcomes)
        outgoing = self.effects.outgoing
        if outgoing:
            self.uncaused_in = {topic: len(told) for topic, told in outgoing.items()}

    def refuse_newer(self, version: int) -> None:
        """Raise NewerProducer for a version of the rules that this code does not have."""
        if version > self.last_logic_version:
            message = (
                f"version {version} of the rules decides here, this code has version "
                f"{self.last_logic_version} at most: let the newer workers take the partition, "
                "or roll this one out"
            )
            raise NewerProducer(message)

    def follow(self, record: Record, name: str, fields: Fields) -> int:
        """Move the log's time to the record that is decided next, and return that time.

        name, fields: as read. Only a tick's are used: they tell a clock.
        """
        self.offset = record.offset
        if name == self.tick_name:
            self.count("TICK")
            (clock_ms,) = fields
            self._tick(record.timestamp, clock_ms, tick_version(record.key))
        else:
            self.pass_to(record.timestamp)
        return self.log_time_ms

    def pass_to(self, appended_ms: int) -> None:
        """Move the log's time to a record's append time."""
        if self.logic_version > 1:
            self.log_time_ms = log_time.moved(self.log_time_ms, appended_ms)
        else:
            self.log_time_ms = max(self.log_time_ms, appended_ms)

    def _tick(self, appended_ms: int, clock_ms: int, version: int) -> None:
        """Move the time to a tick; a newer `version` of the rules holds from this tick on."""
        self.logic_version = max(self.logic_version, version)
        if self.logic_version > 1 and clock_ms:
            self.log_time_ms, self.timer_ms = log_time.ticked(
                self.log_time_ms, self.timer_ms, appended_ms, clock_ms
            )
        else:
            self.pass_to(appended_ms)
            self.timer_ms = max(self.timer_ms, clock_ms)

    def due(self) -> list[tuple[bytes, bytes]]:
        """Return key and stored value of everything due by both clocks, oldest first.

        Call it once for each record. It returns at most `DUE_PER_RECORD` keys; `overdue` tells
        whether more are due. A key is returned again until it is put or deleted.
        """
        state = self.state
        horizon_ms = log_time.horizon_ms(self.log_time_ms, self.timer_ms)
        self.overdue = horizon_ms >= state.next_due_ms
        if not self.overdue:
            return []
        keys = [key for _, key in state.due(horizon_ms, DUE_PER_RECORD)]
        self.overdue = horizon_ms >= state.next_due_ms
        found: list[tuple[bytes, bytes]] = []
        for key, stored in zip(keys, state.get_many(keys), strict=True):
            assert stored is not None, f"{key!r} is due and not there"
            found.append((key, stored))
        return found

    def look_up(self, keys: list[bytes]) -> list[bytes | None]:
        """Return what is stored under each key, one key for each record of the batch.

        A record must see what earlier records of its batch have changed. So a key that comes
        twice, or that an earlier record has put or deleted, is in `look_again`, and is looked up
        anew when its record is decided.
        """
        if len(set(keys)) < len(keys):
            once: set[bytes] = set()
            for key in keys:
                (self.look_again if key in once else once).add(key)
        return self.state.get_many(keys)

    def put(self, key: bytes, value: bytes, due_ms: int = 0) -> None:
        """Store a value and the time (Unix ms) when it becomes due; 0 for never.

        A handler changes what commands are about by `put` and `delete`, never through `state`.
        Otherwise later records of the batch would get the old value, which `look_up` found.
        """
        self.state.put(key, value, due_ms)
        self.look_again.add(key)

    def delete(self, key: bytes) -> None:
        """Delete a value and its due time; see `put`."""
        self.state.delete(key)
        self.look_again.add(key)

    def outcome_id(self, ordinal: int = 0) -> bytes:
        """Return the id of an outcome that the present record leads to.

        ordinal: 0 for the record's own outcome; 1, 2 .. for those of what becomes due at it.
        """
        return b"%s%d:%d" % (self.outcome_prefix, self.offset, ordinal)

    def emit(self, key: bytes, outcome: bytes, decision: str) -> None:
        """Publish an outcome, counted as `decision`."""
        self.outcomes.append((key, outcome))
        self.counted += 1
        self.count(decision)

    def count(self, decision: str) -> None:
        decisions = self.effects.decisions
        decisions[decision] = decisions.get(decision, 0) + 1

    def bury(
        self, record: Record, reason: str, detail: str, *, is_strangers: bool = False
    ) -> None:
        """Make a record a dead letter; is_strangers as there."""
        letter = DeadLetter(record, reason, detail, is_strangers=is_strangers)
        self.effects.dead_letters.append(letter)

    def parted(self) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return the rewound records, which the state has applied already, and the new ones."""
        records = self.batch.records
        rewound = 0
        while rewound < len(records) and records[rewound].offset < self.next_offset:
            rewound += 1
        return records[:rewound], records[rewound:]

    def keep_progress(self, next_offset: int) -> None:
        """Store `next_offset` with the time and the version of the rules."""
        kept = KeptProgress(next_offset, self.log_time_ms, self.timer_ms, self.logic_version)
        self.state.put(self.progress_key, write_progress(kept))
