"""Varints are Avro's, in their shortest form, and what is remembered changes no answer."""

import io

import avro.io
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serdes.avro import varints
from serdes.avro.refused import Refused
from serdes.avro.varints import (
    KNOWN,
    LAST,
    LOWEST,
    SMALL,
    TIMES,
    TWO_STEP_LIMIT,
    WHOLE,
    WHOLE_COUNT,
    Remembered,
    read_int,
    read_long,
    read_size,
    write_int,
    write_long,
    write_recent,
)

LONGS = st.integers(-(2**63), 2**63 - 1) | st.integers(-20_000, 20_000)
EDGES = [
    edge + step
    for edge in (0, 64, 8192, 2**20, 2**27, 2**31, 2**34, 2**41, 2**48, 2**62)
    for step in (-1, 0, 1)
]


def by_avro(value: int) -> bytes:
    """Return what Apache's own library writes."""
    out = io.BytesIO()
    avro.io.BinaryEncoder(out).write_long(value)
    return out.getvalue()


@given(value=LONGS | st.sampled_from(EDGES) | st.sampled_from([-edge for edge in EDGES]))
def test_a_long_is_written_as_apache_writes_it_and_read_back(value: int) -> None:
    data = by_avro(value)
    assert write_long(value) == data
    assert write_recent(value) == data
    # Kept from the first time.
    assert KNOWN[value] == data
    if len(data) == 1:
        assert SMALL[data[0]] == value
    else:
        assert read_long(b"ab" + data + b"\xff", 2) == (value, 2 + len(data))


@given(value=LONGS)
def test_a_cut_long_ends_with_the_data(value: int) -> None:
    data = write_long(value)
    for size in range(1, len(data)):
        with pytest.raises(IndexError):
            read_long(data[:size], 0)


@given(value=LONGS, zeros=st.integers(1, 12))
def test_a_longer_form_of_a_number_is_refused(value: int, zeros: int) -> None:
    data = write_long(value)
    longer = data[:-1] + bytes((data[-1] | 128,)) + b"\x80" * (zeros - 1) + b"\0"
    with pytest.raises(Refused):
        read_long(longer, 0)


@pytest.mark.parametrize(
    "data", [b"\xff" * 9 + b"\x02", b"\xff" * 10, b"\x80" * 10 + b"\x01", b"\xff" * 5000]
)
def test_more_than_64_bits_are_refused_after_ten_bytes(data: bytes) -> None:
    with pytest.raises(Refused, match="exceeds 64 bits"):
        read_long(data, 0)


@given(value=LONGS)
def test_an_int_has_32_bits(value: int) -> None:
    data = write_long(value)
    if -(2**31) <= value < 2**31:
        assert write_int(value) == data
        assert len(data) == 1 or read_int(data, 0) == (value, len(data))
    else:
        with pytest.raises(OverflowError):
            write_int(value)
        with pytest.raises(Refused, match="32 bits"):
            read_int(data, 0)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**200])
def test_what_64_bits_do_not_hold_is_not_written(value: int) -> None:
    for write in (write_long, write_int, write_recent):
        with pytest.raises(OverflowError):
            write(value)
    assert value not in KNOWN


@pytest.mark.parametrize(
    ("data", "bounds"), [(b"\0", (1, 1)), (b"\4ab", (1, 3)), (b"\x80\1", (2, 66))]
)
def test_a_size_says_where_its_bytes_begin_and_end(data: bytes, bounds: tuple[int, int]) -> None:
    assert read_size(data, 0) == bounds


@pytest.mark.parametrize("data", [b"\1", b"\xff\x01", b"\xff" * 9 + b"\1"])
def test_a_negative_size_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="negative length"):
        read_size(data, 0)


@given(st.integers(1, TWO_STEP_LIMIT - 1) | st.sampled_from([1, 8191, 8192, TWO_STEP_LIMIT - 1]))
def test_the_tables_of_generated_code_write_what_the_loop_writes(value: int) -> None:
    assert value >= WHOLE_COUNT or WHOLE[value] == write_long(value)
    if value >= 64:
        assert LOWEST[value & 8191] + LAST[value >> 13] == by_avro(value) or value < WHOLE_COUNT


def test_every_small_number_has_its_own_bytes() -> None:
    assert [write_long(value) for value in range(WHOLE_COUNT)] == list(WHOLE)
    assert len(set(SMALL)) == len(SMALL) == 128


def test_what_is_remembered_has_a_bound_and_what_is_fixed_stays() -> None:
    kept: Remembered[int, int] = Remembered({-1: 1})
    most = varints._REMEMBERED_MAX
    for key in range(3 * most):
        kept.remember(key, key * key)
        assert len(kept) <= most + 1
        assert kept[-1] == 1
    assert kept[3 * most - 1] == (3 * most - 1) ** 2


def test_a_time_that_is_remembered_is_read_the_same() -> None:
    data = write_long(1_764_000_000_123)
    assert len(data) == 6
    TIMES.pop(data, None)
    assert read_long(data, 0) == read_long(data, 0) == (1_764_000_000_123, 6)
    assert TIMES[data] == 1_764_000_000_123
