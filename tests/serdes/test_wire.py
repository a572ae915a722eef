"""Five bytes stand before every body; nothing shorter or other is taken for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serdes.wire import HEADER_BYTES, SCHEMA_ID_MAX, checked_id, header_of, schema_id_of


@given(schema_id=st.integers(0, 2**32 - 1), body=st.binary(max_size=9))
def test_a_header_tells_its_schema_id(schema_id: int, body: bytes) -> None:
    assert len(header_of(schema_id)) == HEADER_BYTES
    assert schema_id_of(header_of(schema_id) + body) == schema_id


@given(st.binary(max_size=12))
def test_only_a_zero_byte_and_four_more_are_a_header(data: bytes) -> None:
    schema_id = schema_id_of(data)
    if schema_id is None:
        assert len(data) < HEADER_BYTES or data[0] != 0
    else:
        assert header_of(schema_id) == data[:HEADER_BYTES]


def test_the_bytes_are_those_of_confluent() -> None:
    assert header_of(258) == b"\x00\x00\x00\x01\x02"
    assert schema_id_of(b"\x00\x7f\xff\xff\xff") == SCHEMA_ID_MAX


@pytest.mark.parametrize("schema_id", [-1, 1 << 32])
def test_an_id_that_four_bytes_do_not_hold_is_refused(schema_id: int) -> None:
    with pytest.raises(OverflowError):
        header_of(schema_id)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00\x01"])
def test_cut_headers_and_other_magic_bytes_have_no_id(data: bytes) -> None:
    assert schema_id_of(data) is None


@pytest.mark.parametrize("schema_id", [1, 7, SCHEMA_ID_MAX])
def test_an_id_that_a_registry_gives_out_fits_a_header(schema_id: int) -> None:
    assert schema_id_of(header_of(checked_id(schema_id))) == schema_id


@pytest.mark.parametrize(
    "value", [0, -1, SCHEMA_ID_MAX + 1, True, 1.0, float("inf"), "7", None, [1], {"id": 1}]
)
def test_what_no_registry_gives_out_is_no_id(value: object) -> None:
    with pytest.raises(ValueError, match="is no schema id"):
        checked_id(value)
