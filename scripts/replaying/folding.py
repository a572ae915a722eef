"""The commands of one partition decided again by the rules of `seats`, in a scratch store."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from infra.process.record_ids import Headers
from schemas.topics import RESERVATION_OUTCOMES
from scripts.auditing.topics import LogRecord
from scripts.replaying.matching import Finding, Findings, Heard
from scripts.replaying.snapshots import Items, Part
from state.stores import envelope
from state.stores.partition_state import Changes, PartitionState
from state.stores.rocksdb import RocksDBStores, StoreMemory
from streams.batch import Batch, NewerProducer, UnknownSchema
from streams.route import Route

AT_ONCE = 500
"""Records of a batch: no outcome depends on it."""
MEMORY = StoreMemory(64 << 20, 64 << 20)

Learns = Callable[[int], bool]
"""Asks what a schema id stands for, and teaches the decoder; False where nobody knows it."""


class CannotFold(Exception):
    """The commands cannot be decided again here; the message says why, and what to do."""


class Scratch:
    """A store of one partition in a folder, which its caller deletes."""

    def __init__(self, folder: Path, changelog: str, partition: int) -> None:
        self.store = RocksDBStores(folder, MEMORY).open(changelog, partition, "scratch")
        self.seed = envelope.seed_of(changelog, partition)

    def fill(self, items: Items) -> None:
        """Put what a snapshot has."""
        left = iter(sorted(items.items()))
        while some := dict(islice(left, AT_ONCE)):
            puts, _, dues = envelope.pack_all(some, self.seed)
            self.store.apply(Changes(puts, [], dues, []), None)

    def items(self) -> Iterator[tuple[bytes, tuple[bytes, int]]]:
        """Give payload and due time of each key, by ascending key."""
        for key, stored in self.store.items():
            yield key, envelope.unpack(stored, self.seed)


def fold(
    route: Route,
    part: Part,
    partitions: int,
    commands: Iterable[LogRecord],
    quarantined: Collection[int],
    learns: Learns,
    scratch: Scratch,
    heard: Heard,
) -> int:
    """Decide commands behind a part of a snapshot, and compare outcomes; return how many.

    quarantined: offsets of commands that no worker survived.
    Raises CannotFold.
    """
    scratch.fill(part.items)
    state = PartitionState(scratch.store)
    unknown: set[int] = set()
    count = 0
    for records in batches(commands, quarantined):
        told = None
        while told is None:
            batch = Batch(route.source, part.partition, partitions, records, frozenset(unknown))
            try:
                told = _told(route, batch, state, is_refused=records[0].offset in quarantined)
            except UnknownSchema as error:
                unknown |= {one for one in error.schema_ids if not learns(one)}
            except NewerProducer as error:
                raise CannotFold(f"{route.source}-{part.partition}: {error}") from error
        state.write(state.seal(), None)
        state.release()
        for key, value in told:
            heard.expect(key, value)
        count += len(records)
        heard.compare(records[-1].offset)
    return count


def _told(
    route: Route, batch: Batch, state: PartitionState, *, is_refused: bool
) -> list[tuple[bytes | None, bytes]]:
    assert route.progress is not None
    log_time_ms = route.progress(state).log_time_ms
    if is_refused:
        assert route.refuse is not None
        effects = route.refuse(batch, state, batch.records[0], log_time_ms)
    else:
        effects = route.handler(batch, state, log_time_ms)
    return [(one[0], one[1]) for one in effects.outgoing.get(RESERVATION_OUTCOMES.name, [])]


class Command:
    """A record of the log as a handler reads it."""

    __slots__ = ("headers", "key", "offset", "timestamp", "value")

    def __init__(self, record: LogRecord) -> None:
        self.offset = record.offset
        self.timestamp = record.timestamp
        self.key = record.key
        self.value = record.value
        self.headers: Headers = tuple((name, value or b"") for name, value in record.headers)


def batches(
    commands: Iterable[LogRecord], quarantined: Collection[int]
) -> Iterator[list[Command]]:
    """Yield commands some at once, and those that no worker survived by themselves."""
    some: list[Command] = []
    for record in commands:
        if record.offset in quarantined:
            if some:
                yield some
            yield [Command(record)]
            some = []
            continue
        some.append(Command(record))
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def compare_states(
    partition: int,
    offset: int,
    lives: Items,
    again: Iterable[tuple[bytes, tuple[bytes, int]]],
    is_former: Callable[[bytes, tuple[bytes, int]], bool],
    findings: Findings,
) -> int:
    """Compare each key of the live state with the one made anew; return how many are equal.

    offset:    of the last command that both have.
    is_former: whether a live value is what an earlier release wrote for the other.
    """
    left, equal = dict(lives), 0
    for key, made in again:
        found = left.pop(key, None)
        if found is None:
            findings.add(Finding("lost state", partition, offset, f"the state lacks {key!r}"))
        elif found != made and not is_former(key, made):
            message = f"{key!r} has other bytes than the commands lead to"
            findings.add(Finding("wrong state", partition, offset, message))
        else:
            equal += 1
    for key in left:
        findings.add(Finding("phantom state", partition, offset, f"no command led to {key!r}"))
    return equal
