"""One batch being folded into its partition: what the decisions of any handler need at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from serdes.decoding import TopicDecoder
from streams.batch import Batch, DeadLetter, Effects, NewerProducer, Outgoing, Record, State
from streams.folding import log_time
from streams.folding.progress import KeptProgress, read_progress, write_progress
from streams.folding.ticks import tick_version

# Most deadlines that end at one record of the log. After an outage a million may be overdue at
# once; the records that follow, ticks among them, end the rest.
DUE_PER_RECORD: Final = 1_000

# What a read command carries: the identity's five fields, its encoded form, its own fields.
Fields = tuple[Any, ...]


class Fold:
    """One batch being folded into its partition's state; a handler's own fold extends it.

    A subclass says, for all its batches:

    tick_name:    full name of the record that only moves time.
    progress_key: where its store keeps the progress.
    usual:        what outcomes are counted as that are in `outcomes` without `emit`.
    first_logic_version: of the rules before the first tick; from 2 on time follows no jump.
    last_logic_version:  of the newest rules that this code has.

    Of a batch:

    next_offset: of the first record that the state does not have yet.
    offset:      of the record that is being decided.
    logic_version: of the rules that decide it.
    log_time_ms: time of the log there; timer_ms: time that the ticks' clocks have come to.
    overdue:     whether a deadline has passed that no record has ended yet.
    look_again:  keys whose stored value may have changed since the batch was looked up.
    outcomes:    (key, value) to publish; counted: how many of them `emit` has counted.
    """

    tick_name: ClassVar[str]
    progress_key: ClassVar[bytes]
    usual: ClassVar[str] = ""
    first_logic_version: ClassVar[int] = 2
    last_logic_version: ClassVar[int] = 2

    __slots__ = (
        "batch",
        "counted",
        "decoder",
        "effects",
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
    )

    def __init__(
        self, decoder: TopicDecoder, batch: Batch, state: State, log_time_ms: int
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
        self.outcomes: list[tuple[bytes | None, bytes] | Outgoing] = []
        self.counted = 0
        self.look_again: set[bytes] = set()

    def refuse_newer(self, version: int) -> None:
        """Raise NewerProducer for rules that this code does not have."""
        if version > self.last_logic_version:
            message = (
                f"version {version} of the rules decides here, this code has version "
                f"{self.last_logic_version} at most: let the newer workers take the partition, "
                "or roll this one out"
            )
            raise NewerProducer(message)

    def follow(self, record: Record, name: str, fields: Fields) -> int:
        """Let time follow the record that is decided next, and return the log's time there.

        name, fields: as read; of a tick they tell a clock, of any other record nothing.
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
        """Let the log's time follow a record's append time."""
        if self.logic_version > 1:
            self.log_time_ms = log_time.moved(self.log_time_ms, appended_ms)
        else:
            self.log_time_ms = max(self.log_time_ms, appended_ms)

    def _tick(self, appended_ms: int, clock_ms: int, version: int) -> None:
        """Let time follow a tick, by the rules of `version` from here on if that is newer."""
        self.logic_version = max(self.logic_version, version)
        if self.logic_version > 1 and clock_ms:
            self.log_time_ms, self.timer_ms = log_time.ticked(
                self.log_time_ms, self.timer_ms, appended_ms, clock_ms
            )
        else:
            self.pass_to(appended_ms)
            self.timer_ms = max(self.timer_ms, clock_ms)

    def due(self) -> list[tuple[bytes, bytes]]:
        """Return (key, what is stored there) of what is due by both clocks, oldest first.

        To be asked once a record. At most `DUE_PER_RECORD`; `overdue` tells whether more are due.
        A key that is neither put again nor deleted will be named again.
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
        """Return what is stored under a key for each record of the batch.

        Records of one batch must see each other: a key that comes twice, or that a record before
        has put or deleted, is in `look_again`, and asked for anew when its record is decided.
        """
        if len(set(keys)) < len(keys):
            once: set[bytes] = set()
            for key in keys:
                (self.look_again if key in once else once).add(key)
        return self.state.get_many(keys)

    def put(self, key: bytes, value: bytes, due_ms: int = 0) -> None:
        """Store a value, with the time (Unix ms) that it becomes due; 0 for never.

        Whatever a command's turn may ask for is put and deleted here, never through `state`: only
        then do later records of the batch find it, and not what `look_up` found before.
        """
        self.state.put(key, value, due_ms)
        self.look_again.add(key)

    def delete(self, key: bytes) -> None:
        """Forget a value, and that it was due; as `put`, the only way."""
        self.state.delete(key)
        self.look_again.add(key)

    def outcome_id(self, ordinal: int = 0) -> bytes:
        """Return the id of what the present record decides.

        ordinal: 0 for its own outcome; 1, 2 .. for what becomes due there.
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

    def bury(self, record: Record, reason: str, detail: str) -> None:
        """Make a record a dead letter."""
        self.effects.dead_letters.append(DeadLetter(record, reason, detail))

    def parted(self) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return the records that the state has already, after a rewind, and those it has not."""
        records = self.batch.records
        rewound = 0
        while rewound < len(records) and records[rewound].offset < self.next_offset:
            rewound += 1
        return records[:rewound], records[rewound:]

    def keep_progress(self, next_offset: int) -> None:
        """Store how far the state has come."""
        kept = KeptProgress(next_offset, self.log_time_ms, self.timer_ms, self.logic_version)
        self.state.put(self.progress_key, write_progress(kept))
