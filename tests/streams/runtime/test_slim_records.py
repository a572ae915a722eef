"""A fetch is read as lists of records, and tells which offsets the log does not have."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from streams.runtime.slim_records import SlimPartitionRecords, read_to
from streams.runtime.transactions.record_batches import RawRecords, Unreadable


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
    reading = SlimPartitionRecords(
        TopicPartition("in", 0), RawRecords(log), [], fetched_at, None, None, True, 1
    )
    offsets = [record.offset for chunk in reading for record in chunk]
    everything = [base + number for base, count in sizes for number in range(count)]
    assert offsets == [offset for offset in everything if offset >= fetched_at]
    assert reading.holes == holes


def test_a_batch_whose_checksum_is_wrong_is_one_record_that_nobody_can_read() -> None:
    log = bytearray(batch_at(0, 2) + batch_at(2, 1))
    log[-1] ^= 1
    reading = SlimPartitionRecords(
        TopicPartition("in", 0), RawRecords(bytes(log)), [], 0, None, None, True, 1
    )
    good, bad = list(reading)
    assert [record.offset for record in good] == [0, 1]
    [unreadable] = bad
    assert isinstance(unreadable, Unreadable)
    assert unreadable.offset == 2


@pytest.mark.parametrize(
    ("position", "handed", "taken", "expected"),
    [
        # Behind the last record that was taken lie markers alone.
        (9, 7, 7, 9),
        # A record was handed out and not taken yet.
        (9, 8, 7, 7),
        (7, 7, 7, 7),
    ],
)
def test_a_reader_is_as_far_as_no_record_will_come_for_it(
    position: int, handed: int, taken: int, expected: int
) -> None:
    state = SimpleNamespace(has_valid_position=True, position=position, handed_offset=handed)
    assert read_to(consumer_at(state), "in-0", taken) == expected


def test_without_a_position_a_reader_is_where_it_has_taken_to() -> None:
    assert read_to(consumer_at(None), "in-0", 7) == 7
    assert read_to(consumer_at(SimpleNamespace(has_valid_position=False)), "in-0", 7) == 7


def consumer_at(state: Any) -> Any:
    assignment = SimpleNamespace(state_value=lambda _: state)
    return SimpleNamespace(
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    )
