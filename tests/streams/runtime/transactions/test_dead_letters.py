"""R21, B-rules: dead letters keep the original, and too many of them stop the worker."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.batch import DeadLetter, Failures
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.transactions.dead_letters import (
    LETTER_BYTES_MAX,
    DeadLetterLimits,
    dead_letter_record,
)


@dataclass(frozen=True, slots=True)
class FakeRecord:
    offset: int
    timestamp: int = 1_700_000_000_000
    key: bytes | None = b"k"
    value: bytes | None = b"\x00\x00\x00\x00\x07body"
    headers: tuple[tuple[str, bytes], ...] = field(default=())


def letter(offset: int) -> DeadLetter:
    return DeadLetter(FakeRecord(offset), "UNREADABLE", "why")


def count(limits: DeadLetterLimits, records: int, dead: set[int]) -> None:
    batch = [FakeRecord(offset) for offset in range(records)]
    limits.count(batch, [letter(offset) for offset in sorted(dead)])


def test_original_bytes_stay_and_ours_come_behind_them() -> None:
    record = FakeRecord(42, headers=(("trace", b"\xff"),))
    key, value, headers = dead_letter_record(
        DeadLetter(record, "BAD_FRAMING", "x" * 1_000), "commands", 3
    )
    assert (key, value) == (record.key, record.value)
    assert headers[0] == ("trace", b"\xff")
    ours = dict(headers[1:])
    assert ours["dead-letter-cause"] == b"BAD_FRAMING"
    assert ours["dead-letter-topic"] == b"commands"
    assert ours["dead-letter-partition"] == b"3"
    assert ours["dead-letter-offset"] == b"42"
    assert ours["dead-letter-schema-id"] == b"7"
    assert len(ours["dead-letter-message"]) == 500


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00", b"\x01\x00\x00\x00\x07"])
def test_a_value_without_framing_has_no_schema_id(value: bytes | None) -> None:
    record = FakeRecord(1, key=None, value=value)
    key, same, headers = dead_letter_record(DeadLetter(record, "R", "d"), "t", 0)
    assert key is None
    assert same == value
    assert dict(headers)["dead-letter-schema-id"] == b""


def test_a_run_is_broken_by_one_good_record() -> None:
    limits = DeadLetterLimits(run_limit=3, share_limit=1_000)
    count(limits, 5, {0, 1, 3, 4})
    count(limits, 1, set())
    count(limits, 2, {0, 1})
    with pytest.raises(PartitionTrouble, match="3 in a row"):
        count(limits, 1, {0})


def test_the_share_is_that_of_the_last_thousand_records() -> None:
    limits = DeadLetterLimits(run_limit=1_000, share_limit=10)
    for _ in range(30):
        # One of a hundred, for ever.
        count(limits, 100, {50})
    with pytest.raises(PartitionTrouble, match="too many dead letters"):
        count(limits, 100, set(range(0, 100, 9)))


def test_a_large_batch_may_have_its_share() -> None:
    limits = DeadLetterLimits(run_limit=1_000, share_limit=10)
    count(limits, 10_000, set(range(0, 10_000, 101)))
    with pytest.raises(PartitionTrouble):
        count(limits, 10_000, set(range(0, 10_000, 50)))


def test_r21_what_was_not_committed_is_not_counted() -> None:
    limits = DeadLetterLimits(run_limit=4, share_limit=5)
    count(limits, 100, {3, 50})
    for _ in range(20):
        with pytest.raises(PartitionTrouble, match="6 of the last 110 records"):
            count(limits, 10, {0, 1, 4, 5})
    count(limits, 100, {50, 60, 70})


def test_r21_no_number_of_strangers_letters_sets_a_partition_aside() -> None:
    limits = DeadLetterLimits(run_limit=3, share_limit=5)
    records = [FakeRecord(offset) for offset in range(200)]
    forged = [DeadLetter(one, "WRONG_SIGNATURE", "", is_strangers=True) for one in records]
    limits.count(records, forged)
    # Our own count as ever beside them.
    with pytest.raises(PartitionTrouble, match="3 in a row"):
        limits.count(records[:3], [DeadLetter(one, "BAD_BODY", "") for one in records[:3]])


def test_a2_every_header_of_the_original_is_kept() -> None:
    many = tuple((f"h{number}", b"v" * 700) for number in range(1_000))
    record = FakeRecord(1, value=b"v" * 1_000_000, headers=many)
    _, value, headers = dead_letter_record(DeadLetter(record, "BAD_RECORD_HEADERS", "d"), "t", 0)
    assert value == record.value
    assert tuple(headers[:1_000]) == many
    ours = dict(headers[1_000:])
    assert (ours["dead-letter-header-count"], ours["dead-letter-headers-kept"]) == (b"1000",) * 2
    assert ours["dead-letter-value-bytes"] == b"1000000"
    assert ours["dead-letter-header-names"] == b""


def test_a1_names_that_are_not_utf8_are_told_to_the_byte() -> None:
    name = b"caf\xe9-".decode("utf-8", "surrogateescape")
    record = FakeRecord(1, headers=((name, b"1"), ("plain", b"\xff")))
    _, _, headers = dead_letter_record(DeadLetter(record, "BAD_BODY", "d"), "t", 0)
    assert headers[:2] == [("caf\\xe9-", b"1"), ("plain", b"\xff")]
    told = dict(headers[2:])["dead-letter-header-names"].decode().split(",")
    assert [bytes.fromhex(one) for one in told] == [b"caf\xe9-", b"plain"]


def size_of(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> int:
    """Return what the client's own builder makes of a record."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, -1, -1, 0, 1 << 20)
    # Its type hints know neither a header without a value nor that it takes them.
    append: Any = builder.append
    assert append(0, 0, key, value, headers) is not None
    return len(builder.build())


@pytest.mark.parametrize("length", [0, 1 << 20, (2 << 20) - 9_000, 2 << 20, 5 << 20])
@pytest.mark.parametrize("name", ["short", "\udcff" * 1_000])
def test_a2_a_dead_letter_is_never_larger_than_its_topic_takes(length: int, name: str) -> None:
    many = tuple((name, b"v" * 5_000) for _ in range(600))
    record = FakeRecord(1, key=b"k" * 5_000, value=b"v" * length, headers=many)
    key, value, headers = dead_letter_record(DeadLetter(record, "\u20ac", "\u20ac" * 900), "t", 0)
    assert key == record.key
    assert value is not None
    assert record.value.startswith(value) if record.value else not value
    assert size_of(key, value, headers) <= LETTER_BYTES_MAX
    ours = dict(headers[-19:])
    assert int(ours["dead-letter-header-count"]) == 600
    assert int(ours["dead-letter-headers-kept"]) == len(headers) - 19
    assert int(ours["dead-letter-value-bytes"]) == length


def test_attempts_at_different_times_are_told_behind_the_rest() -> None:
    record = FakeRecord(7, headers=(("correlation-id", b"c1"),))
    failures = Failures("post", "e1", "c2", 1_000, "first é", 4_000)
    dead = DeadLetter(record, "ATTEMPTS_EXHAUSTED", "last", 3, failures)
    _, _, headers = dead_letter_record(dead, "orders", 0)
    assert headers[0] == ("correlation-id", b"c1")
    assert dict(headers[-6:]) == {
        "dead-letter-correlation-id": b"c2",
        "dead-letter-operation": b"post",
        "dead-letter-event-id": b"e1",
        "dead-letter-first-failed-at-ms": b"1000",
        "dead-letter-first-message": "first é".encode(),
        "dead-letter-last-failed-at-ms": b"4000",
    }
    assert dict(headers)["dead-letter-attempts"] == b"3"
    assert dict(headers)["dead-letter-message"] == b"last"


@pytest.mark.parametrize(("given", "told"), [(b"c1", b"c1"), (b"c\n1", b""), (b"x" * 65, b"")])
def test_b78_the_correlation_id_of_an_original_is_told_where_it_is_one(
    given: bytes, told: bytes
) -> None:
    dead = DeadLetter(FakeRecord(7, headers=(("correlation-id", given),)), "BAD_BODY", "")
    headers = dict(dead_letter_record(dead, "orders", 0)[2])
    assert headers["dead-letter-correlation-id"] == told
    assert headers["correlation-id"] == given
