"""A generated encoder writes the bytes that fastavro writes, and refuses what does not fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import OF_EACH_RECORD
from support.records.avro_values import RECORDS, arguments, hold_body, values

from serdes.avro.codegen import decoder, encoder, encoder_of
from serdes.avro.encoder_source import EncoderSource
from serdes.avro.general import encoded, flattened
from serdes.avro.schema_files import inlined, parsed

ENCODERS = {name: encoder(name) for name in RECORDS}

EVERY_RECORD = pytest.mark.parametrize("name", RECORDS)


@EVERY_RECORD
@OF_EACH_RECORD
@given(data=st.data())
def test_encodes_the_bytes_that_fastavro_encodes(name: str, data: st.DataObject) -> None:
    value = data.draw(values(name))
    fields = flattened(inlined(name), value)
    expected = encoded(parsed(name), value)
    assert ENCODERS[name](*arguments(name, fields)) == expected
    # Times and seats are kept from the first time: the second answer must be the same.
    assert ENCODERS[name](*arguments(name, fields)) == expected


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63, 1_764_000_000_123])
def test_an_encoder_refuses_a_number_that_does_not_fit(number: int) -> None:
    # Even when the same number was just written as a long.
    if number < 2**63:
        ENCODERS["io.seatstream.commands.Tick"](number)
    with pytest.raises(OverflowError):
        ENCODERS["io.seatstream.commands.ExtendHold"](hold_body()[:-1], number)


@pytest.mark.parametrize("index", [-1, 6, 64])
def test_an_encoder_refuses_an_enum_index_that_does_not_exist(index: int) -> None:
    with pytest.raises(KeyError):
        ENCODERS["io.seatstream.outcomes.ReservationReleased"](
            b"", b"o", 0, 0, 1, index, (), 0, b""
        )


def test_many_different_times_and_seats_are_encoded_as_fastavro_does() -> None:
    # More than are kept: what was kept goes, and the small numbers stay.
    name = "io.seatstream.commands.Tick"
    for number in range(1_764_000_000_000, 1_764_000_000_000 + 17_000):
        body = ENCODERS[name](number)
        assert decoder(name)(body, 0) == (number,)
    assert ENCODERS[name](5) == b"\x0a"
    assert ENCODERS[name](1_764_000_000_123) == encoded(
        parsed(name), {"timerMs": 1_764_000_000_123}
    )


CHOSEN = "io.seatstream.commands.HoldChosenSeats"


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 8_191, 8_192])
def test_a_list_of_seats_of_any_length_is_written_the_same_twice(count: int) -> None:
    # Short lists are kept from the first time, an operator's long ones are not.
    seats = tuple((0, seat) for seat in range(count))
    listed = [{"row": 0, "seat": seat} for seat in range(count)]
    request = {"reservationId": "r-1", "userId": "u1", "correlationId": ""}
    request |= {"section": "A-1"}
    value = {"request": request | {"eventId": 1}, "seatCount": 1, "seats": listed}
    expected = encoded(parsed(CHOSEN), value)
    assert ENCODERS[CHOSEN](hold_body()[:-1], 1, seats) == expected
    assert ENCODERS[CHOSEN](hold_body()[:-1], 1, seats) == expected


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("boolean", {True: b"\1", False: b"\0"}),
        ("bytes", {b"": b"\0", b"a\0": b"\4a\0"}),
        (["null", "long"], {None: b"\0", 0: b"\2\0", -1: b"\2\1"}),
        ({"type": "array", "items": "string"}, {(): b"\0", (b"a", b""): b"\4\2a\0\0"}),
        ("long", {-(2**63): b"\xff" * 9 + b"\1", 2**63 - 1: b"\xfe" + b"\xff" * 8 + b"\1"}),
    ],
)
def test_each_kind_of_field_by_hand(kind: Any, written: dict[Any, bytes]) -> None:
    schema = {"type": "record", "name": "R", "namespace": "x"}
    encode = encoder_of(schema | {"fields": [{"name": "f", "type": kind}]})
    assert {value: encode(value) for value in written} == written


def test_no_code_is_made_for_a_type_that_the_rules_forbid() -> None:
    schema = {"type": "record", "name": "R", "namespace": "x"}
    with pytest.raises(ValueError, match="no code for float"):
        EncoderSource(schema | {"fields": [{"name": "f", "type": "float"}]}, b"")
