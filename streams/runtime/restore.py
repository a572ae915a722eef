"""Changelog in, stores filled: read committed records up to the high watermark.

The high watermark, not the last stable offset: a former owner's committed transaction may not have
its marker yet. Values that do not carry their checksum are counted and skipped, if a newer valid
value of the same key follows; otherwise the restore stops. It never hangs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from state.stores import envelope
from state.stores.partition_state import RESERVED_PREFIX, Changes, Store
from streams.batch import Record
from streams.runtime.fatal import WorkerMustEnd

STALLED_S = 30.0
_POLL_MS = 200


async def restore(
    connection: Mapping[str, Any],
    stores: Mapping[tuple[str, int], Store],
    high_watermarks: Mapping[tuple[str, int], int],
    *,
    executor: Executor,
    progressed: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> int:
    """Bring every store up to its changelog's high watermark; return the records read.

    stores, high_watermarks: by (changelog topic, partition).
    progressed: told (records read since the last call, records left at most).
    """
    behind = {
        TopicPartition(*where): high_watermarks[where]
        for where, store in stores.items()
        if store.changelog_offset < high_watermarks[where]
    }
    if not behind:
        return 0
    consumer = AIOKafkaConsumer(
        **connection,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=2 << 20,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        consumer.assign(list(behind))
        for tp in behind:
            consumer.seek(tp, stores[tp.topic, tp.partition].changelog_offset)
        return await _read(consumer, stores, behind, executor, progressed, cancelled)
    finally:
        await consumer.stop()


async def _read(
    consumer: AIOKafkaConsumer,
    stores: Mapping[tuple[str, int], Store],
    behind: dict[Any, int],
    executor: Executor,
    progressed: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> int:
    loop = asyncio.get_running_loop()
    refused: dict[tuple[Any, bytes], str] = {}
    positions: dict[Any, int] = {}
    writing: Awaitable[None] | None = None
    read = 0
    progress_at = time.monotonic()
    while behind and not cancelled():
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        if writing is not None:
            await writing
            writing = None
        work: list[tuple[Store, Changes, int]] = []
        advanced = 0
        for tp in list(behind):
            position = await consumer.position(tp)
            if position > positions.get(tp, -1):
                positions[tp] = position
                progress_at = time.monotonic()
            records = fetched.get(tp, ())
            store = stores[tp.topic, tp.partition]
            if records or position > store.changelog_offset:
                changes = _changes(tp, records, refused)
                work.append((store, changes, position))
                advanced += len(records)
            if position >= behind[tp]:
                del behind[tp]
        read += advanced
        if work:
            writing = loop.run_in_executor(executor, _write, work)
            left = sum(max(0, end - positions.get(tp, 0)) for tp, end in behind.items())
            progressed(advanced, left)
        elif time.monotonic() - progress_at > STALLED_S:
            places = ", ".join(f"{tp.topic}-{tp.partition}" for tp in behind)
            message = f"restore made no progress for {STALLED_S:.0f} s on {places}"
            raise WorkerMustEnd(message)
    if writing is not None:
        await writing
    if refused and not cancelled():
        message = "changelog values cannot be read and have no newer value: " + "; ".join(
            list(refused.values())[:5]
        )
        raise WorkerMustEnd(message)
    return read


def _write(work: Sequence[tuple[Store, Changes, int]]) -> None:
    for store, changes, position in work:
        store.apply(changes, position)


def _changes(tp: Any, records: Sequence[Record], refused: dict[tuple[Any, bytes], str]) -> Changes:
    """Return the last change of each key among the records."""
    unpack = envelope.unpack
    last: dict[bytes, bytes | None] = {}
    due_ms_by_key: dict[bytes, int] = {}
    for record in records:
        key, value = record.key, record.value
        if not key or key[0] == RESERVED_PREFIX:
            # No writer of ours makes such a record; it concerns no key of ours either.
            continue
        if value is not None:
            try:
                due_ms_by_key[key] = unpack(value)[1]
            except envelope.CorruptValue as error:
                refused[tp, key] = f"{tp.topic}-{tp.partition} offset {record.offset}: {error}"
                continue
        last[key] = value
        if refused:
            refused.pop((tp, key), None)
    puts = []
    deletes = []
    dues: dict[int, list[bytes]] = {}
    for key in sorted(last):
        value = last[key]
        if value is None:
            deletes.append(key)
            continue
        puts.append((key, value))
        due_ms = due_ms_by_key[key]
        if due_ms:
            dues.setdefault(due_ms, []).append(key)
    return Changes(puts, deletes, dues, [])
