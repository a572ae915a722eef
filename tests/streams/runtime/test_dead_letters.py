"""R21, B-rules: dead letters keep the original, and too many of them stop the worker."""

from dataclasses import dataclass, field

import pytest

from streams.batch import DeadLetter
from streams.runtime.dead_letters import DeadLetterLimits, dead_letter_record
from streams.runtime.fatal import WorkerMustEnd


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
    with pytest.raises(WorkerMustEnd, match="3 in a row"):
        count(limits, 1, {0})


def test_the_share_is_that_of_the_last_thousand_records() -> None:
    limits = DeadLetterLimits(run_limit=1_000, share_limit=10)
    for _ in range(30):
        # One of a hundred, for ever.
        count(limits, 100, {50})
    with pytest.raises(WorkerMustEnd, match="too many dead letters"):
        count(limits, 100, set(range(0, 100, 9)))


def test_a_large_batch_may_have_its_share() -> None:
    limits = DeadLetterLimits(run_limit=1_000, share_limit=10)
    count(limits, 10_000, set(range(0, 10_000, 101)))
    with pytest.raises(WorkerMustEnd):
        count(limits, 10_000, set(range(0, 10_000, 50)))
