"""A generated decoder gives the verdict of the decoder rule on any bytes of any record."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import OF_EACH_RECORD
from support.records.avro_values import (
    RECORDS,
    bodies,
    hold_body,
    hostile,
    values,
    verdict_by_rule,
)

from serdes.avro.codegen import decoder, decoder_of
from serdes.avro.decoder_source import DecoderSource
from serdes.avro.general import GeneralReader, encoded, flattened
from serdes.avro.refused import Refused
from serdes.avro.schema_files import inlined, parsed
from serdes.wire import VALUE_BYTES_MAX

DECODERS = {name: decoder(name) for name in RECORDS}
READERS = {name: GeneralReader(inlined(name)) for name in RECORDS}

HOLD = "io.seatstream.commands.HoldBestAvailable"
EVERY_RECORD = pytest.mark.parametrize("name", RECORDS)


def verdict(name: str, data: bytes, at: int = 0) -> Any:
    try:
        return DECODERS[name](data, at)
    except Refused:
        return None


@EVERY_RECORD
@OF_EACH_RECORD
@given(data=st.data())
def test_decodes_what_fastavro_encodes_to_the_same_value(name: str, data: st.DataObject) -> None:
    value = data.draw(values(name))
    body = encoded(parsed(name), value)
    assert DECODERS[name](body, 0) == flattened(inlined(name), value)


@EVERY_RECORD
@OF_EACH_RECORD
@given(data=st.data())
def test_gives_the_verdict_of_the_decoder_rule_on_hostile_bytes(
    name: str, data: st.DataObject
) -> None:
    body = data.draw(hostile(name))
    assert verdict(name, body) == verdict_by_rule(READERS[name], body, 0)


@EVERY_RECORD
@OF_EACH_RECORD
@given(data=st.data())
def test_b09_a_record_cut_at_any_byte_is_refused(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name))
    for size in range(len(body)):
        with pytest.raises(Refused):
            DECODERS[name](body[:size], 0)


@EVERY_RECORD
@OF_EACH_RECORD
@given(data=st.data())
def test_b10_bytes_after_the_record_are_refused(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name)) + data.draw(st.binary(min_size=1, max_size=9))
    with pytest.raises(Refused, match="after the record"):
        DECODERS[name](body, 0)


@EVERY_RECORD
@OF_EACH_RECORD
@given(data=st.data())
def test_every_byte_flipped_gets_the_verdict_of_the_rule(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name))
    bit = 1 << data.draw(st.integers(0, 7))
    for at in range(min(len(body), 120)):
        flipped = body[:at] + bytes((body[at] ^ bit,)) + body[at + 1 :]
        assert verdict(name, flipped) == verdict_by_rule(READERS[name], flipped, 0), at


@EVERY_RECORD
@OF_EACH_RECORD
@given(data=st.data())
def test_starts_where_it_is_told(name: str, data: st.DataObject) -> None:
    body, header = data.draw(bodies(name)), data.draw(st.binary(max_size=9))
    assert DECODERS[name](header + body, len(header)) == DECODERS[name](body, 0)


@EVERY_RECORD
def test_b17_a_megabyte_of_continued_varint_is_refused(name: str) -> None:
    for size in (1, 11, 1000, VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1, 1 << 20):
        with pytest.raises(Refused):
            DECODERS[name](b"\xff" * size, 0)


def test_a_hold_is_its_identity_the_identitys_bytes_and_its_count() -> None:
    body = hold_body()
    assert DECODERS[HOLD](body, 0) == (b"r-1", b"u1", b"", b"A-1", 1, body[:-1], 2)


@pytest.mark.parametrize(
    "body",
    [
        hold_body(reservation=b""),
        hold_body(reservation=b"a\0b"),
        hold_body(reservation=b"a\nb"),
        hold_body(reservation=b"../etc"),
        hold_body(reservation=b"'\"{}"),
        hold_body(reservation="ä".encode()),
        b"\x82\x01" + b"r" * 65 + hold_body()[4:],
        b"\xc0\x9c\x01" + b"r" * 10_000 + hold_body()[4:],
    ],
)
def test_b36_a_reservation_id_outside_its_charset_or_length_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="reservationId"):
        DECODERS[HOLD](body, 0)


def test_ids_of_64_bytes_are_read() -> None:
    body = hold_body()
    long_ids = b"\x80\x01" + b"r" * 64 + b"\x80\x01" + b"u" * 64 + b"\x80\x01" + b"c" * 64
    fields = DECODERS[HOLD](long_ids + body[8:], 0)
    assert fields[:3] == (b"r" * 64, b"u" * 64, b"c" * 64)


@pytest.mark.parametrize(
    "section",
    [b"", b"a-1", b"A 1", b"A-1 ", "\uff21".encode(), "A\u200d1".encode(), b"A" * 33],
)
def test_b34_a_section_that_is_no_ascii_id_is_refused(section: bytes) -> None:
    with pytest.raises(Refused, match="section"):
        DECODERS[HOLD](hold_body(section=section), 0)


@pytest.mark.parametrize("user", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
def test_b18_text_that_is_not_utf_8_is_refused(user: bytes) -> None:
    with pytest.raises(Refused, match="not UTF-8"):
        DECODERS[HOLD](hold_body(user=user), 0)


@pytest.mark.parametrize(
    "length",
    [b"\x01", b"\xff\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80\x40", b"\xff" * 9 + b"\x01"],
    ids=["-1", "-2^41", "2^40", "lowest long"],
)
def test_b12_a_negative_or_huge_length_is_refused(length: bytes) -> None:
    with pytest.raises(Refused):
        DECODERS[HOLD](length + hold_body()[1:], 0)


def test_an_event_id_below_zero_is_refused() -> None:
    with pytest.raises(Refused, match="eventId"):
        DECODERS[HOLD](hold_body(event=b"\x01"), 0)


@pytest.mark.parametrize("count", [b"\x84\x00", b"\x84\x80\x00", b"\x84\x80\x80\x80\x80\x00"])
def test_a_number_with_a_shorter_form_is_refused(count: bytes) -> None:
    with pytest.raises(Refused, match="shorter form"):
        DECODERS[HOLD](hold_body(count=count), 0)


def test_b51_a_count_of_2_to_the_40_is_readable() -> None:
    # zigzag doubles it: 2^41 is bit 6 of the sixth group of seven
    fields = DECODERS[HOLD](hold_body(count=b"\x80\x80\x80\x80\x80\x40"), 0)
    assert fields[-1] == 2**40


RELEASED_UP_TO_CAUSE = hold_body()[:-1] + b"\x02o\x00\x00\x02"
REJECTED_UP_TO_REASON = hold_body()[:-1] + b"\x02o\x00\x00"


@pytest.mark.parametrize(
    "index", [b"\x12", b"\x01", b"\x0c", b"\x80\x01"], ids=["9", "-1", "6", "64"]
)
def test_b15_an_enum_index_that_does_not_exist_is_refused(index: bytes) -> None:
    name = "io.seatstream.outcomes.ReservationReleased"
    assert DECODERS[name](RELEASED_UP_TO_CAUSE + b"\x04\x00\x00\x00", 0)[-4:] == (2, (), 0, b"")
    with pytest.raises(Refused, match="cause"):
        DECODERS[name](RELEASED_UP_TO_CAUSE + index + b"\x00\x00\x00", 0)


@pytest.mark.parametrize(
    "index", [b"\x0e", b"\x01", b"\x04", b"\x82\x00"], ids=["7", "-1", "2", "long 1"]
)
def test_b15_a_union_index_that_does_not_exist_is_refused(index: bytes) -> None:
    name = "io.seatstream.outcomes.ReservationRejected"
    assert DECODERS[name](REJECTED_UP_TO_REASON + b"\x02\x02\x06\x08", 0)[-2:] == (1, (3, 4))
    with pytest.raises(Refused):
        DECODERS[name](REJECTED_UP_TO_REASON + b"\x02" + index + b"\x06\x08", 0)


@pytest.mark.parametrize(
    "array",
    [
        b"\x01\x04\x02\x02\x00",  # a block of one, with its size in bytes
        b"\x02\x02\x02\x02\x02\x02\x00",  # two blocks of one
        b"\x80\x80\x80\x80\x80\x40\x02\x02\x00",  # 2^40 items
        b"\xff" * 9 + b"\x01\x00",
    ],
)
def test_b13_an_array_in_another_form_than_one_block_is_refused(array: bytes) -> None:
    name = "io.seatstream.commands.HoldChosenSeats"
    head = hold_body(count=b"\x02")
    assert DECODERS[name](head + b"\x02\x02\x02\x00", 0)[-1] == ((1, 1),)
    with pytest.raises(Refused):
        DECODERS[name](head + array, 0)


def test_an_int_of_more_than_32_bits_is_refused() -> None:
    name = "io.seatstream.commands.ExtendHold"
    head = hold_body()[:-1]
    assert DECODERS[name](head + b"\xff\xff\xff\xff\x0f", 0)[-1] == -(2**31)
    with pytest.raises(Refused, match="32 bits"):
        DECODERS[name](head + b"\x80\x80\x80\x80\x10", 0)


def record_of(kind: Any, **rules: Any) -> dict[str, Any]:
    """Return a record of one field."""
    field = {"name": "f", "type": kind, **rules}
    return {"type": "record", "name": "R", "namespace": "x", "fields": [field]}


@pytest.mark.parametrize(
    ("schema", "read", "refused"),
    [
        (record_of("boolean"), {b"\0": False, b"\1": True}, [b"\2", b"\x80"]),
        (record_of("int", minimum=3), {b"\x06": 3, b"\x80\x01": 64}, [b"\x04", b"\x01"]),
        (record_of("bytes", maxBytes=2), {b"\0": b"", b"\4\0\xff": b"\0\xff"}, [b"\6abc", b"\1"]),
        (record_of("string", minBytes=1), {b"\2a": b"a"}, [b"\0", b"\2\xff", b"\4a"]),
        (record_of("string", minBytes=1, maxBytes=2), {b"\2a": b"a"}, [b"\0", b"\6abc", b"\1"]),
        (record_of("string", charset="a-c"), {b"\4ac": b"ac", b"\0": b""}, [b"\2d", b"\2A"]),
        (record_of(["null", "int"]), {b"\0": None, b"\2\6": 3}, [b"\2", b"\4\6", b"\1"]),
        (
            record_of({"type": "array", "items": "int"}),
            {b"\0": (), b"\4\2\4\0": (1, 2)},
            [b"\4\2\4", b"\4\2\4\2\2\0", b"\3\4\2\4\0", b"\6\2\0"],
        ),
    ],
    ids=["boolean", "int", "bytes", "not empty", "short", "charset", "optional", "array"],
)
def test_each_kind_of_field_by_hand(
    schema: Any, read: dict[bytes, Any], refused: list[bytes]
) -> None:
    decode = decoder_of(schema)
    assert {data: decode(data, 0) for data in read} == {data: (read[data],) for data in read}
    for data in refused:
        with pytest.raises(Refused):
            decode(data, 0)


@pytest.mark.parametrize("kind", ["float", {"type": "map", "values": "int"}, "x.Unknown"])
def test_no_code_is_made_for_a_type_that_the_rules_forbid(kind: Any) -> None:
    with pytest.raises(ValueError, match="f: no code for"):
        DecoderSource(record_of(kind))
