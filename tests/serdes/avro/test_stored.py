"""Records without a schema id are read as whichever release wrote them, and nothing else is."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serdes.avro.codegen import decoder, decoder_of, encoder, encoder_of
from serdes.avro.refused import Refused, TooLong
from serdes.avro.schema_files import SCHEMA_ROOT, current, enum_symbols, load, releases
from serdes.avro.stored import stored_decoder, stored_encoder
from serdes.wire import VALUE_BYTES_MAX

RESERVATION = "io.seatstream.state.Reservation"
FORMER = encoder_of(load(SCHEMA_ROOT / "history" / "v1").inlined(RESERVATION))
WHO = b"\x04r1\x06ann\x00\x02A\x0e"
HELD = (2, (), 1, 1, 99, 500, 9, 4, ((0, 2, 2),), 0, None, ())
read = stored_decoder(RESERVATION)
DECODERS = [decoder_of(files.inlined(RESERVATION)) for files in (*releases(), current())]
# Of the fields that came after the first release.
DEFAULTS = (0, b"", b"")
ALL_FIELDS = len(read(FORMER(WHO, *HELD), 0))


def test_f89_what_a_release_stored_has_the_defaults_of_what_came_later() -> None:
    fields = read(FORMER(WHO, *HELD), 0)
    assert fields[6:] == (*HELD, 0, b"", b"")
    assert fields[5] == WHO


def test_what_a_release_stored_is_read_although_its_enums_have_grown() -> None:
    # A hold that was extended, and then confirmed: 1 and 2 of its release's kinds.
    later = tuple((kind, WHO, 5, 0, 9, 600, 1, 700) for kind in (1, 2))
    released = load(SCHEMA_ROOT / "history" / "v1").by_name["io.seatstream.types.LaterKind"]
    assert len(released["symbols"]) < len(enum_symbols("io.seatstream.types.LaterKind"))
    fields = read(FORMER(WHO, *HELD[:-1], later), 0)
    assert [one[0] for one in fields[-4]] == [1, 2]


@given(st.integers(0, 2**60), st.sampled_from([b"", b"EUR"]))
def test_what_is_stored_today_is_read_as_ever(amount: int, currency: bytes) -> None:
    stored = encoder(RESERVATION)(WHO, *HELD, amount, currency, b"")
    assert read(stored, 0) == decoder(RESERVATION)(stored, 0)


@given(st.binary(min_size=1, max_size=4))
@example(b"\0\0")
@example(b"\0\0\0")
def test_bytes_behind_a_record_are_those_of_a_later_release_or_of_none(more: bytes) -> None:
    stored = FORMER(WHO, *HELD) + more
    told = set()
    for decode in DECODERS:
        with suppress(Refused):
            fields = decode(stored, 0)
            told.add((*fields, *DEFAULTS[len(DEFAULTS) - ALL_FIELDS + len(fields) :]))
    assert len(told) <= 1
    if told:
        assert {read(stored, 0)} == told
    else:
        with pytest.raises(Refused):
            read(stored, 0)


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_refused(rubbish: bytes) -> None:
    with suppress(Refused):
        read(rubbish, 0)


def test_a_record_that_no_release_had_otherwise_costs_no_second_look() -> None:
    name = "io.seatstream.state.Progress"
    assert stored_decoder(name).__code__.co_filename == decoder(name).__code__.co_filename


@pytest.mark.parametrize("more", range(-2, 3))
def test_s3_8_what_could_not_be_read_again_is_not_written(more: int) -> None:
    # A state of a section: a length of three bytes before the bitmap, and nine fields before that.
    name = "io.seatstream.state.SectionState"
    free = bytes(VALUE_BYTES_MAX + more - len(encoder(name)(7, b"A", *[0] * 7, b"")) - 2)
    fields = 7, b"A", *[0] * 7, free
    whole = encoder(name)(*fields)
    assert len(whole) == VALUE_BYTES_MAX + more
    if more > 0:
        with pytest.raises(TooLong, match=f"{len(whole)} bytes, the limit is {VALUE_BYTES_MAX}"):
            stored_encoder(name)(*fields)
    else:
        assert stored_encoder(name)(*fields) == whole
        assert stored_decoder(name)(whole, 0) == fields
