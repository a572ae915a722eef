"""Checks that the log is still the one from which the state was made.

The last changelog record of every transaction that changes a partition's state is a signature: a
random number that the owner drew when it took over, how many partitions the input had, and the
topic id of the input. The first transaction of an owner also lists the recent owners. From the
signatures and the lists follows:

- under how many partitions, and from which topic, the state was made;
- whether a store that was kept copies this log, or a log that a restored backup has replaced: the
  offsets and leader epochs of both logs are equal, their random numbers are not.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from state.stores.envelope import CorruptValue, order_of, seed_of, unpack
from state.stores.partition_state import SKIPPED_KEY, TAKEOVERS_KEY, WRITER_KEY, Store
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd

Changelog = tuple[str, int]
"""Topic and partition of a changelog."""

TAKEOVERS_MAX = 32
"""How many owners are listed. A store from before the oldest of them is made anew."""

READ_TIMEOUT_S = 15.0
_RANGE_TIMEOUT_S = 5.0
_POLL_MS = 200
_FIRST_STEP = 64
_WIDER = 32
_WRITER = struct.Struct(">QI")
_PAIR = struct.Struct(">QQ")


class Writer(NamedTuple):
    """The signature of a transaction: who wrote it.

    token:      drawn at random at the take-over.
    partitions: number of partitions of the input.
    source_id:  topic id of the input.
    """

    token: int
    partitions: int
    source_id: str

    def pack(self) -> bytes:
        return _WRITER.pack(self.token, self.partitions) + self.source_id.encode()

    @classmethod
    def of(cls, payload: bytes) -> Writer:
        """Return what `pack` packed; raise CorruptValue for anything else."""
        try:
            token, partitions = _WRITER.unpack_from(payload)
            return cls(token, partitions, payload[_WRITER.size :].decode("ascii"))
        except (struct.error, UnicodeDecodeError) as error:
            raise CorruptValue(f"no writer: {error}") from error


Pairs = list[tuple[int, int]]


def pack_pairs(pairs: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(_PAIR.pack(*pair) for pair in pairs)


def pairs_of(payload: bytes) -> Pairs:
    """Return what `pack_pairs` packed; raise CorruptValue for anything else."""
    try:
        return list(_PAIR.iter_unpack(payload))
    except struct.error as error:
        raise CorruptValue(f"no pairs: {error}") from error


def signature(
    store: Store, partitions: int, source_id: str
) -> tuple[Mapping[bytes, bytes], Mapping[bytes, bytes]]:
    """Return the values that each transaction of a new owner carries, and those of its first one.

    Both are by store key. Raises PartitionTrouble where the store lacks records that its last
    owner must have written, for then its changelog lacks them too.
    """
    token = secrets.randbits(64)
    [last, stored] = store.get_many([WRITER_KEY, TAKEOVERS_KEY])
    takeovers = [] if stored is None else pairs_of(unpack(stored, store.seed)[0])
    if last is not None:
        writer = Writer.of(unpack(last, store.seed)[0])
        if not takeovers or takeovers[-1][0] != writer.token:
            # The last owner listed itself with its first transaction.
            message = (
                "its changelog lacks what its last owner wrote first: it was created again, or "
                "its first records were deleted, and state with them. Restore the brokers from a "
                'backup, or see "A topic is lost" in docs/operations.md'
            )
            raise PartitionTrouble(message, "changelog")
    takeovers.append((token, store.order + 1))
    return (
        {WRITER_KEY: Writer(token, partitions, source_id).pack()},
        {TAKEOVERS_KEY: pack_pairs(takeovers[-TAKEOVERS_MAX:])},
    )


def are_given_up(store: Store, first: int, end: int) -> bool:
    """Say whether an operator has given up all input records from `first` to before `end`."""
    [stored] = store.get_many([SKIPPED_KEY])
    if stored is None:
        return False
    for begin, behind in sorted(pairs_of(unpack(stored, store.seed)[0])):
        if begin <= first < behind:
            first = behind
    return first >= end


def check_writer(
    source: str, changelog: str, writer: Writer, partitions: int, source_id: str
) -> None:
    """Raise where a state that `writer` wrote does not fit the input as it is now.

    partitions, source_id: number of partitions and topic id of the input.
    Raises WorkerMustEnd where the number of partitions was another one, and PartitionTrouble
    where the topic was.
    """
    if writer.partitions != partitions:
        message = (
            f"{source} has {partitions} partitions, but the state in {changelog} was made under "
            f"{writer.partitions}: sections would be looked for where they are not, and sold "
            "twice. Kafka cannot take partitions away: restore the topics from a backup, or begin "
            'anew. See "Partitions were added" in docs/operations.md'
        )
        raise WorkerMustEnd(message)
    if writer.source_id != source_id:
        message = (
            f"{source} was deleted and created again: its topic id is {source_id}, and the state "
            f"in {changelog} was made from {writer.source_id}, whose offsets mean nothing here. "
            "Restore the topic from a backup, or begin anew; do not reset offsets. See "
            '"The commands were created again" in docs/operations.md'
        )
        raise PartitionTrouble(message, "offsets")


# --- reading ---------------------------------------------------------------------------------


@asynccontextmanager
async def _reading(connection: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **connection,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def last_writers(
    connection: Mapping[str, Any], changelogs: Iterable[Changelog]
) -> tuple[dict[Changelog, Writer], set[Changelog]]:
    """Return who wrote each changelog last, and the changelogs that could not be read in time.

    Changelogs that are empty, or written before there were signatures, are in neither.
    """
    tps = [TopicPartition(*changelog) for changelog in changelogs]
    found: dict[Changelog, Writer] = {}
    async with _reading(connection) as consumer:
        # Each is asked for alone: asked together, one without a leader keeps back all answers.
        ranges = dict(
            zip(tps, await asyncio.gather(*(_range(consumer, tp) for tp in tps)), strict=True)
        )
        left = {tp for tp, known in ranges.items() if known is None or known[0] < known[1]}
        step = _FIRST_STEP
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                while reading := [tp for tp in left if ranges[tp] is not None]:
                    end = {tp: ranges[tp][1] for tp in reading}
                    begin = {tp: max(ranges[tp][0], end[tp] - step) for tp in reading}
                    async for tp, record in _records(consumer, begin, end):
                        writer = _writer_in(tp, record)
                        if writer is not None:
                            found[tp.topic, tp.partition] = writer
                    for tp in reading:
                        if (tp.topic, tp.partition) in found or begin[tp] == ranges[tp][0]:
                            left.discard(tp)
                    step *= _WIDER
        except TimeoutError:
            pass
    return found, {(tp.topic, tp.partition) for tp in left} - found.keys()


async def _range(consumer: AIOKafkaConsumer, tp: Any) -> tuple[int, int] | None:
    """Return the first offset and the last stable offset; None where no broker tells in time."""
    try:
        async with asyncio.timeout(_RANGE_TIMEOUT_S):
            low = await consumer.beginning_offsets([tp])
            end = await consumer.end_offsets([tp])
    except (KafkaError, OSError):
        return None
    return low[tp], end[tp]


async def of_another_timeline(
    connection: Mapping[str, Any],
    stores: Mapping[Changelog, Store],
    high_watermarks: Mapping[Changelog, int],
) -> tuple[set[Changelog], set[Changelog]]:
    """Return the stores that copy another log than their changelog, and those not known in time.

    A store remembers the offset of its last transaction's signature. A store copies its changelog
    where the same record lies at that offset; or, where compaction has removed the record, where
    the next signature is of the same owner, or of a later one whose list says that it took over
    behind all that the store has.
    """
    strangers: set[Changelog] = set()
    begin: dict[Any, int] = {}
    for changelog, store in stores.items():
        if not store.changelog_offset:
            continue
        if store.writer_at < 0 or store.changelog_offset > high_watermarks[changelog]:
            # The store is from before there were signatures, or has more than the log.
            strangers.add(changelog)
        else:
            begin[TopicPartition(*changelog)] = store.writer_at
    unknown = {(tp.topic, tp.partition) for tp in begin}
    if begin:
        end = {tp: high_watermarks[tp.topic, tp.partition] for tp in begin}
        judges = {tp: _Judge(stores[tp.topic, tp.partition]) for tp in begin}
        async with _reading(connection) as consumer:
            try:
                async with asyncio.timeout(READ_TIMEOUT_S):
                    async for tp, record in _records(consumer, begin, end):
                        if judges[tp].heard(record):
                            # The verdict stands: only the restore reads the rest.
                            begin.pop(tp, None)
                            unknown.discard((tp.topic, tp.partition))
                    # The other changelogs were read to their ends: none has the store's signature.
                    unknown.clear()
            except TimeoutError:
                pass
        for tp, judge in judges.items():
            changelog = tp.topic, tp.partition
            if not judge.is_same and changelog not in unknown:
                strangers.add(changelog)
    return strangers, unknown


class _Judge:
    """Compares one store with its changelog, from the signature on that the store remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        [mine] = store.get_many([WRITER_KEY])
        self._mine = mine
        self._token = Writer.of(unpack(mine, store.seed)[0]).token if mine else None
        self._successors: Pairs = []
        self.is_same = False

    def heard(self, record: Any) -> bool:
        """Take in one record; return whether `is_same` is decided."""
        key, value = record.key, record.value
        if value is None or key not in {WRITER_KEY, TAKEOVERS_KEY}:
            return False
        if record.offset == self._store.writer_at:
            self.is_same = key == WRITER_KEY and value == self._mine
            return True
        try:
            payload = unpack(value, self._store.seed)[0]
            if key == TAKEOVERS_KEY:
                self._successors = pairs_of(payload)
                return False
            writer = Writer.of(payload)
        except CorruptValue:
            # Not ours; the restore counts such records.
            return False
        later = order_of(value) > self._store.order
        self.is_same = later and (writer.token == self._token or self._was_followed())
        return True

    def _was_followed(self) -> bool:
        """Return whether the next owner's first transaction came after the store's last one."""
        for (token, _), (_, next_order) in zip(
            self._successors, self._successors[1:], strict=False
        ):
            if token == self._token:
                return next_order > self._store.order
        return False


async def _records(consumer: Any, begin: dict[Any, int], end: Mapping[Any, int]) -> Any:
    """Give (partition, record) from `begin` to `end`, offsets by partition.

    The caller takes a partition out of `begin` when it has read enough of it.
    """
    consumer.assign(list(begin))
    for tp, offset in begin.items():
        consumer.seek(tp, offset)
    open_tps = set(begin)
    while open_tps:
        fetched = await consumer.getmany(*open_tps, timeout_ms=_POLL_MS)
        for tp, records in fetched.items():
            for record in records:
                if tp not in begin:
                    break
                if record.offset < end[tp]:
                    yield tp, record
        for tp in list(open_tps):
            if tp not in begin or await consumer.position(tp) >= end[tp]:
                open_tps.discard(tp)


def _writer_in(tp: Any, record: Any) -> Writer | None:
    if record.key != WRITER_KEY or record.value is None:
        return None
    try:
        return Writer.of(unpack(record.value, seed_of(tp.topic, tp.partition))[0])
    except CorruptValue:
        return None
