"""What the consumer does when Faust starts and stops its fetching."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from faust.types import TP

from docs.examples.count_per_key import ROUTE
from streams.runtime import transport
from streams.runtime.app import BatchApp
from streams.runtime.transactions.record_batches import RawRecords
from streams.settings import Settings


def test_to_stop_in_the_middle_of_a_rebalance_is_no_crash(tmp_path: Path) -> None:
    async def stop_while_nothing_may_be_fetched() -> None:
        app = BatchApp(Settings(data_dir=tmp_path), [ROUTE])
        app.rebalancing = True
        fetcher = app._fetcher
        await fetcher.start()
        # Faust's consumer waits until it may fetch something.
        for _ in range(5):
            await asyncio.sleep(0)
        await fetcher.stop()
        assert not fetcher.crashed

    asyncio.run(stop_while_nothing_may_be_fetched())


def test_leaving_does_not_wait_for_connections_that_never_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        async def stop(self) -> None:
            await asyncio.Event().wait()

    async def leave() -> None:
        app = BatchApp(Settings(data_dir=tmp_path), [ROUTE])
        consumer: Any = app.consumer
        thread = consumer._thread
        thread._consumer = Client()
        async with asyncio.timeout(10):
            await thread.on_thread_stop()

    monkeypatch.setattr(transport, "_LEAVE_S", 0.05)
    asyncio.run(leave())


def batch_at(base_offset: int, records: int) -> bytes:
    """Return a record batch as it lies in the log."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for number in range(records):
        builder.append(number, 1_000, b"k", b"v", [])
    # The checksum begins behind the base offset, which is the broker's to give.
    return base_offset.to_bytes(8, "big") + bytes(builder.build())[8:]


@pytest.mark.parametrize(
    ("sizes", "fetched_at", "holes"),
    [
        ([(0, 3), (3, 2)], 0, []),
        ([(0, 3), (3, 2)], 2, []),
        ([(0, 3), (5, 2)], 0, [(3, 5)]),
        ([(4, 1)], 2, [(2, 4)]),
    ],
)
def test_c3_what_the_log_does_not_have_is_told_with_what_was_read(
    sizes: list[tuple[int, int]], fetched_at: int, holes: list[tuple[int, int]]
) -> None:
    log = b"".join(batch_at(base, count) for base, count in sizes)
    reading = transport.SlimPartitionRecords(
        TopicPartition("in", 0), RawRecords(log), [], fetched_at, None, None, True, 1
    )
    offsets = [record.offset for chunk in reading for record in chunk]
    everything = [base + number for base, count in sizes for number in range(count)]
    assert offsets == [offset for offset in everything if offset >= fetched_at]
    assert reading.holes == holes


def test_s4_an_error_of_the_fetcher_concerns_the_partitions_that_it_names() -> None:
    partitions = {TP("in", 0), TP("in", 1), TP("other", 0)}
    for error, concerned in [
        (OffsetOutOfRangeError({TopicPartition("in", 1): 7}), {TP("in", 1)}),
        (NoOffsetForPartitionError(TopicPartition("other", 0)), {TP("other", 0)}),
        (TopicAuthorizationFailedError("in"), {TP("in", 0), TP("in", 1)}),
        (KafkaError("something else"), set()),
    ]:
        assert transport.concerned_by(error, partitions) == concerned
