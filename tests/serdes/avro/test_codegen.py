"""Generated decoders and encoders agree with fastavro and the decoder rule on every record."""

import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records.avro_values import RECORDS, bodies, hostile, values, verdict_by_rule

from serdes.avro.codegen import decoder, encoder, source_of
from serdes.avro.general import GeneralReader, encoded, flattened
from serdes.avro.refused import Refused
from serdes.avro.schema_files import inlined, parsed
from serdes.wire import VALUE_BYTES_MAX

DECODERS = {name: decoder(name) for name in RECORDS}
ENCODERS = {name: encoder(name) for name in RECORDS}
READERS = {name: GeneralReader(inlined(name)) for name in RECORDS}
IDENTITY_FIELDS = 5

HOLD = "io.seatstream.commands.HoldBestAvailable"
EVERY_RECORD = pytest.mark.parametrize("name", RECORDS)
# There are many records; together they get more examples than any other property.
SOME = settings(max_examples=max(10, settings().max_examples // 5))


def begins_with_identity(name: str) -> bool:
    first = inlined(name)["fields"][0]["type"]
    return isinstance(first, dict) and first.get("name") == "RequestIdentity"


def arguments(name: str, fields: tuple[Any, ...]) -> tuple[Any, ...]:
    return fields[IDENTITY_FIELDS:] if begins_with_identity(name) else fields


def verdict(name: str, data: bytes, at: int = 0) -> Any:
    try:
        return DECODERS[name](data, at)
    except Refused:
        return None


@EVERY_RECORD
@SOME
@given(data=st.data())
def test_decodes_what_fastavro_encodes_to_the_same_value(name: str, data: st.DataObject) -> None:
    value = data.draw(values(name))
    body = encoded(parsed(name), value)
    assert DECODERS[name](body, 0) == flattened(inlined(name), value)


@EVERY_RECORD
@SOME
@given(data=st.data())
def test_encodes_the_bytes_that_fastavro_encodes(name: str, data: st.DataObject) -> None:
    value = data.draw(values(name))
    fields = flattened(inlined(name), value)
    expected = encoded(parsed(name), value)
    assert ENCODERS[name](*arguments(name, fields)) == expected
    # Times and seats are kept from the first time: the second answer must be the same.
    assert ENCODERS[name](*arguments(name, fields)) == expected


@EVERY_RECORD
@SOME
@given(data=st.data())
def test_gives_the_verdict_of_the_decoder_rule_on_hostile_bytes(
    name: str, data: st.DataObject
) -> None:
    body = data.draw(hostile(name))
    assert verdict(name, body) == verdict_by_rule(READERS[name], body, 0)


@EVERY_RECORD
@SOME
@given(data=st.data())
def test_b09_a_record_cut_at_any_byte_is_refused(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name))
    for size in range(len(body)):
        with pytest.raises(Refused):
            DECODERS[name](body[:size], 0)


@EVERY_RECORD
@SOME
@given(data=st.data())
def test_b10_bytes_after_the_record_are_refused(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name)) + data.draw(st.binary(min_size=1, max_size=9))
    with pytest.raises(Refused, match="after the record"):
        DECODERS[name](body, 0)


@EVERY_RECORD
@SOME
@given(data=st.data())
def test_every_byte_flipped_gets_the_verdict_of_the_rule(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name))
    bit = 1 << data.draw(st.integers(0, 7))
    for at in range(min(len(body), 120)):
        flipped = body[:at] + bytes((body[at] ^ bit,)) + body[at + 1 :]
        assert verdict(name, flipped) == verdict_by_rule(READERS[name], flipped, 0), at


@EVERY_RECORD
@SOME
@given(data=st.data())
def test_starts_where_it_is_told(name: str, data: st.DataObject) -> None:
    body, header = data.draw(bodies(name)), data.draw(st.binary(max_size=9))
    assert DECODERS[name](header + body, len(header)) == DECODERS[name](body, 0)


@EVERY_RECORD
def test_b17_a_megabyte_of_continued_varint_is_refused(name: str) -> None:
    for size in (1, 11, 1000, VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1, 1 << 20):
        with pytest.raises(Refused):
            DECODERS[name](b"\xff" * size, 0)


def hold_body(
    reservation: bytes = b"r-1",
    user: bytes = b"u1",
    correlation: bytes = b"",
    section: bytes = b"A-1",
    event: bytes = b"\x02",
    count: bytes = b"\x04",
) -> bytes:
    """Build a hold by hand: each length is a one-byte zigzag varint, twice the length."""
    texts = (reservation, user, correlation, section)
    return b"".join(bytes((2 * len(text),)) + text for text in texts) + event + count


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
    "index", [b"\x12", b"\x01", b"\x06", b"\x80\x01"], ids=["9", "-1", "3", "64"]
)
def test_b15_an_enum_index_that_does_not_exist_is_refused(index: bytes) -> None:
    name = "io.seatstream.outcomes.ReservationReleased"
    assert DECODERS[name](RELEASED_UP_TO_CAUSE + b"\x04\x00", 0)[-2:] == (2, ())
    with pytest.raises(Refused, match="cause"):
        DECODERS[name](RELEASED_UP_TO_CAUSE + index + b"\x00", 0)


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


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63, 1_764_000_000_123])
def test_an_encoder_refuses_a_number_that_does_not_fit(number: int) -> None:
    # Even when the same number was just written as a long.
    if number < 2**63:
        ENCODERS["io.seatstream.commands.Tick"](number)
    with pytest.raises(OverflowError):
        ENCODERS["io.seatstream.commands.ExtendHold"](hold_body()[:-1], number)


@pytest.mark.parametrize("index", [-1, 3, 64])
def test_an_encoder_refuses_an_enum_index_that_does_not_exist(index: int) -> None:
    with pytest.raises(KeyError):
        ENCODERS["io.seatstream.outcomes.ReservationReleased"](b"", b"o", 0, 0, 1, index, ())


@given(data=st.data())
def test_a_prefix_stands_before_the_body(data: st.DataObject) -> None:
    fields = flattened(inlined(HOLD), data.draw(values(HOLD)))
    with_prefix = encoder(HOLD, prefix=b"\x00%s\x00\x07")
    assert with_prefix(*arguments(HOLD, fields)) == b"\x00%s\x00\x07" + ENCODERS[HOLD](
        *arguments(HOLD, fields)
    )


def test_many_different_times_and_seats_are_encoded_as_fastavro_does() -> None:
    # More than are kept: what was kept goes, and the small numbers stay.
    name = "io.seatstream.commands.Tick"
    for number in range(1_764_000_000_000, 1_764_000_000_000 + 17_000):
        body = ENCODERS[name](number)
        assert DECODERS[name](body, 0) == (number,)
    assert ENCODERS[name](5) == b"\x0a"
    assert ENCODERS[name](1_764_000_000_123) == encoded(
        parsed(name), {"timerMs": 1_764_000_000_123}
    )


def test_tracebacks_show_the_generated_line() -> None:
    with pytest.raises(Refused) as raised:
        DECODERS[HOLD](hold_body(section=b"a"), 0)
    text = "".join(traceback.format_exception(raised.value))
    assert "raise Refused('request.section: a character" in text
    assert "def decode(data, at):" in source_of(DECODERS[HOLD])
