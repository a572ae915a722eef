"""A1: whatever a stranger put into a batch is read, or is the trouble of its partition."""

import gzip
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from faults.foreign_producer import batch, record
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.transactions import record_batches
from streams.runtime.transactions.record_batches import RawRecords, records_of

NAME = b"caf\xe9-"


def read(content: bytes) -> list[tuple[Any, ...]]:
    """Return (offset, timestamp, key, value, headers) of every record of a fetch."""
    raw = RawRecords(content)
    found = []
    while raw.has_next():
        one = raw.next_batch()
        assert one.validate_crc()
        found += [
            (each.offset, each.timestamp, each.key, each.value, list(each.headers))
            for each in records_of(one, raw.raw)
        ]
    return found


def test_a1_a_header_name_that_is_not_utf8_comes_as_it_was() -> None:
    records = [
        record(b"k", b"before", [(b"ok", b"1")], at=0),
        record(None, b"it", [(NAME, b"1"), (b"none", None)], at=1),
        record(b"k", None, at=2),
    ]
    found = read(batch(records))
    assert [one[0] for one in found] == [0, 1, 2]
    assert [one[3] for one in found] == [b"before", b"it", None]
    ((name, content), other) = found[1][4]
    assert (name.encode("utf-8", "surrogateescape"), content) == (NAME, b"1")
    assert other == ("none", None)


NAMES = st.binary(max_size=8)
RECORDS = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=20),
        st.none() | st.binary(max_size=20),
        st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=5)), max_size=4),
    ),
    min_size=1,
    max_size=5,
)


@given(RECORDS, st.booleans())
def test_a1_every_record_of_a_batch_is_read_whatever_its_names(
    records: list[tuple[Any, ...]], packed: bool
) -> None:
    parts = [record(*one, at=at) for at, one in enumerate(records)]
    whole = gzip.compress(b"".join(parts)) if packed else None
    # Two batches: the second must be found where the first ends.
    content = batch(parts, packed=whole, codec=1 if packed else 0) + batch(parts)
    found = read(content)
    assert len(found) == 2 * len(records)
    for one, (key, value, headers) in zip(found, records * 2, strict=True):
        assert (one[2], one[3]) == (key, value)
        names = [name.encode("utf-8", "surrogateescape") for name, _ in one[4]]
        assert list(zip(names, [content for _, content in one[4]], strict=True)) == headers


@pytest.mark.parametrize("codec", [2, 3, 4, 5])
def test_a1_a_codec_without_its_library_says_what_to_do(codec: int) -> None:
    with pytest.raises(UnsupportedCodecError, match="cramjam"):
        read(batch([record(b"k", b"v")], packed=b"\0" * 20, codec=codec))


def test_a1_what_unpacks_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_batches, "UNPACKED_BYTES_MAX", 1_000)
    bomb = gzip.compress(record(b"k", b"\0" * 2_000))
    with pytest.raises(CorruptRecordException, match="more than"):
        read(batch([record(b"k", b"v")], packed=bomb, codec=1))


@pytest.mark.parametrize(
    "content", [record(b"k", b"v")[:-2], record(b"k", b"v") + b"\0", b"\xff" * 30]
)
def test_a1_records_that_do_not_fill_their_batch_are_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptRecordException):
        read(batch([record(b"k", b"v")], packed=content))
