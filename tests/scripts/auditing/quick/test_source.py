"""Functions are made of lines, and what they remember is bounded."""

from scripts.auditing.quick.source import REMEMBERED_MAX, Remembered, Source, is_identity


def test_lines_become_a_function() -> None:
    source = Source({"B": {"type": "record"}})
    seven = source.constant(7)
    with source.block("def found(value):"), source.block("if value:"):
        source.line(f"return value + {seven}")
    assert source.function("found")(1) == 8
    assert source.definition("B") == {"type": "record"}
    assert source.definition("int") == "int"
    assert source.fresh() != source.fresh()


def test_what_is_remembered_begins_anew_before_it_is_too_much() -> None:
    known = Remembered()
    for key in range(REMEMBERED_MAX + 1):
        known.remember(key, key)
    assert known == {REMEMBERED_MAX: REMEMBERED_MAX}


def test_an_identity_is_known_by_its_name() -> None:
    assert is_identity({"type": "record", "name": "io.seatstream.types.RequestIdentity"})
    assert not is_identity({"type": "record", "name": "io.seatstream.types.Seat"})
    assert not is_identity("long")
