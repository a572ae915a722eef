"""A schema's text is whole: each type it names is defined inside, once."""

from serdes.avro.schema_files import SCHEMA_ROOT, load, text_of


def test_inlined_text_defines_each_type_once_and_keeps_the_files_order() -> None:
    files = load(SCHEMA_ROOT)
    text = files.text("io.seatstream.state.Reservation")
    for name in ("RequestIdentity", "SeatRange", "SeatPosition", "LaterOutcome"):
        assert text.count(f'"name":"{name}"') == 1
    assert text.startswith('{"type":"record","name":"Reservation","namespace":')
    assert text == text_of(files.inlined("io.seatstream.state.Reservation"))
