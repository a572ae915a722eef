"""The changelog ends with the last intact value of each key that is this partition's."""

import struct

import google_crc32c
import pytest
from support.logs.audit_logs import AVRO, START_MS, sealed, stored

from scripts.auditing.report import Notes, Report
from scripts.auditing.schemas import Unreadable
from scripts.auditing.stored import Stored, check_envelope, is_sealed, opened
from scripts.auditing.topics import LogRecord
from state.stores.partition_state import SIGNED_KEYS


def progress(next_offset: int) -> bytes:
    fields = {"nextOffset": next_offset, "logTimeMs": 1, "timerMs": 1, "logicVersion": 3}
    return stored("Progress", fields)


def in_format_2(payload: bytes, order: int, due_ms: int = 0, partition: int = 0) -> bytes:
    """Return a value as docs/design.md says: format, order, due time, payload, checksum."""
    body = b"\x02" + order.to_bytes(5, "big") + due_ms.to_bytes(6, "big") + payload
    place = b"seats-changelog" + struct.pack(">I", partition)
    return body + struct.pack(">I", google_crc32c.value(place + body))


def read(*values: tuple[bytes, bytes | None]) -> Stored:
    made = Stored(AVRO, Notes(0, Report()), 1)
    made.fold(LogRecord(at, START_MS, key, value) for at, (key, value) in enumerate(values))
    return made


def test_without_a_record_nothing_was_applied() -> None:
    assert (read().next_offset, read().last) == (0, {})


def test_the_last_value_of_a_key_counts() -> None:
    made = read((b"p", progress(3)), (b"p", progress(8)))
    assert made.next_offset == 8
    assert made.progress()["logicVersion"] == 3
    assert made.written_back == []


def test_a_value_that_goes_back_is_noted_where_it_lies() -> None:
    made = read((b"p", progress(8)), (b"p", progress(3)), (b"p", progress(8)))
    assert [offset for offset, _ in made.written_back] == [1]


def test_a_deleted_key_is_no_state() -> None:
    assert read((b"p", progress(3)), (b"p", None)).last == {}


def test_what_workers_say_of_themselves_is_no_state_and_no_strangers() -> None:
    made = read(*((key, b"anything") for key in SIGNED_KEYS))
    assert made.last == {}
    assert made.notes.report.foreign == {}


@pytest.mark.parametrize(
    "key", [b"", b"x1", b"p1", b"rno id", b"stranger", b"b7-a", b"\xffmorder"]
)
def test_a_key_of_nobody_is_foreign(key: bytes) -> None:
    assert read((key, progress(3))).notes.report.foreign["seats-changelog"].count == 1


def test_a_value_that_nobody_can_read_is_remembered_until_a_newer_one_lies_behind_it() -> None:
    damaged = progress(3)[:-1] + b"\0\0"
    made = read((b"p", damaged))
    assert made.unreadable.keys() == {b"p"}
    made = read((b"p", damaged), (b"p", progress(3)))
    assert made.unreadable == {}
    assert made.notes.report.superseded["seats-changelog"].offset == 0


def test_a_copy_of_an_older_value_is_a_strangers() -> None:
    new, old = in_format_2(b"two", 2), in_format_2(b"one", 1)
    made = read((b"rx", old), (b"rx", new), (b"rx", old))
    assert opened(made.last[b"rx"]) == (b"two", 0)
    assert made.notes.report.foreign["seats-changelog"].offset == 2


def test_an_envelope_is_opened_as_it_was_sealed() -> None:
    assert opened(sealed(b"payload", 77)) == (b"payload", 77)
    assert opened(in_format_2(b"payload", 5, 77)) == (b"payload", 77)


def test_only_of_its_partition_and_with_all_its_bits_a_value_is_sealed() -> None:
    value = in_format_2(b"payload", 5)
    assert is_sealed(value, 0)
    assert is_sealed(value, 0, b"payload")
    assert not is_sealed(value, 1)
    assert not is_sealed(value, 0, b"other")
    for at in range(len(value)):
        flipped = bytes([*value[:at], value[at] ^ 1, *value[at + 1 :]])
        assert not is_sealed(flipped, 0), at


@pytest.mark.parametrize("value", [b"", b"\x03" + bytes(30), b"\x01" + bytes(4)])
def test_what_is_no_envelope_says_why(value: bytes) -> None:
    with pytest.raises(Unreadable):
        check_envelope(value, 0)
