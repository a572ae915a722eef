"""Stored values: read as they were written, in their place, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.layout import TIME_MS_MAX
from state.stores.envelope import (
    NO_PLACE,
    CorruptValue,
    due_of,
    order_of,
    pack,
    seed_of,
    tombstone,
    unpack,
)

AT_MS = 1_700_000_000_123
FORMAT_1 = bytes.fromhex("010000018bcfe5687b7061796c6f61643162b9e7")
FORMAT_2 = bytes.fromhex("02000000004d018bcfe5687b7061796c6f6164c0b3ef85")
HERE = seed_of("seats-changelog", 3)

partitions = st.integers(0, 999)
topics = st.sampled_from(["seats-changelog", "other-changelog", "seats-changelog-1"])


def test_what_the_first_format_wrote_is_read() -> None:
    assert unpack(FORMAT_1, HERE) == (b"payload", AT_MS)
    assert (due_of(FORMAT_1), order_of(FORMAT_1)) == (AT_MS, 0)


def test_the_present_format_stays_as_it_is() -> None:
    assert pack(b"payload", AT_MS, seed=HERE, order=77) == FORMAT_2
    assert unpack(FORMAT_2, HERE) == (b"payload", AT_MS)
    assert (due_of(FORMAT_2), order_of(FORMAT_2)) == (AT_MS, 77)


@given(st.binary(max_size=50), st.integers(0, TIME_MS_MAX), st.integers(0, 2**40 - 1), partitions)
def test_a_value_is_read_as_it_was_written(
    payload: bytes, due_ms: int, order: int, partition: int
) -> None:
    seed = seed_of("c", partition)
    stored = pack(payload, due_ms, seed=seed, order=order)
    assert (unpack(stored, seed), order_of(stored)) == ((payload, due_ms), order)


@given(st.binary(max_size=50), topics, partitions, topics, partitions)
def test_s7_a_value_is_read_in_its_own_place_only(
    payload: bytes, topic: str, partition: int, other_topic: str, other: int
) -> None:
    stored = pack(payload, seed=seed_of(topic, partition), order=1)
    if (topic, partition) != (other_topic, other):
        with pytest.raises(CorruptValue):
            unpack(stored, seed_of(other_topic, other))
    with pytest.raises(CorruptValue):
        unpack(stored, NO_PLACE)


@given(st.data())
def test_one_altered_or_missing_byte_is_noticed(data: st.DataObject) -> None:
    stored = data.draw(st.sampled_from([FORMAT_1, FORMAT_2]))
    at = data.draw(st.integers(0, len(stored) - 1))
    altered = bytearray(stored)
    altered[at] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(altered), stored[:at]):
        with pytest.raises(CorruptValue):
            unpack(wrong, HERE)


def test_s7_a_tombstone_says_which_key_it_deletes() -> None:
    key, value, [(_, sealed)] = tombstone(b"r1", HERE, 9)
    assert (key, value, unpack(sealed, HERE), order_of(sealed)) == (b"r1", None, (b"r1", 0), 9)
