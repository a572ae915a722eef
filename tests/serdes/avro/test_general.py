"""The rule in its readable form: fastavro reads, every check has its own refusal."""

from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import OF_EACH_RECORD
from support.records.avro_values import RECORDS, hostile, values

from serdes.avro.field_rules import FieldRules
from serdes.avro.general import GeneralReader, check, encoded, flattened
from serdes.avro.refused import Refused
from serdes.avro.schema_files import inlined, parsed
from serdes.wire import VALUE_BYTES_MAX

HOLD = "io.seatstream.commands.HoldBestAvailable"
READERS = {name: GeneralReader(inlined(name)) for name in RECORDS}


def record_of(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "R", "namespace": "x", "fields": list(fields)}


NUMBER = record_of({"name": "n", "type": "long"})
SEATS = record_of({"name": "n", "type": {"type": "array", "items": "int"}})


@pytest.mark.parametrize("name", RECORDS)
@OF_EACH_RECORD
@given(data=st.data())
def test_what_fastavro_writes_is_read_from_wherever_it_stands(
    name: str, data: st.DataObject
) -> None:
    value, before = data.draw(values(name)), data.draw(st.binary(max_size=9))
    body = encoded(parsed(name), value)
    assert READERS[name].read(before + body, len(before)) == value


@given(data=st.data())
def test_whatever_is_read_is_the_only_form_of_its_value(data: st.DataObject) -> None:
    body = data.draw(hostile(HOLD))
    try:
        value = READERS[HOLD].read(body, 0)
    except Refused:
        return
    assert encoded(parsed(HOLD), value) == body


@pytest.mark.parametrize(
    ("schema", "data", "why"),
    [
        (NUMBER, b"", "EOFError"),
        (NUMBER, b"\2\0", "bytes after the record"),
        (NUMBER, b"\x82\0", "not the form that an encoder writes"),
        (NUMBER, b"\xff" * 9 + b"\x7f", "not the form that an encoder writes"),
        (NUMBER, b"\0" * (VALUE_BYTES_MAX + 1), f"more than {VALUE_BYTES_MAX} bytes"),
        (SEATS, b"\3\4\2\4\0", "not the form that an encoder writes"),
        (SEATS, b"\2\2\2\4\0", "not the form that an encoder writes"),
        (SEATS, b"\2\x80\x80\x80\x80\x10\0", "is not an int"),
        (record_of({"name": "n", "type": "int", "minimum": 2}), b"\2", "1 is below 2"),
        (record_of({"name": "t", "type": "string", "minBytes": 2}), b"\2a", "fewer than 2 bytes"),
        (record_of({"name": "t", "type": "bytes", "maxBytes": 1}), b"\4ab", "more than 1 bytes"),
        (record_of({"name": "t", "type": "string", "charset": "b"}), b"\2a", "not allowed"),
        (record_of({"name": "t", "type": "string"}), b"\2\xff", "UnicodeDecodeError"),
    ],
)
def test_each_refusal_says_which_step_refused(schema: Any, data: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        GeneralReader(schema).read(data, 0)


def test_a_rule_holds_wherever_a_record_is_nested() -> None:
    inner = record_of({"name": "n", "type": "int", "minimum": 2}) | {"name": "Inner"}
    outer = record_of(
        {"name": "list", "type": {"type": "array", "items": inner}},
        {"name": "maybe", "type": ["null", "x.Inner"]},
    )
    reader = GeneralReader(outer)
    assert reader.read(b"\2\4\0\0", 0) == {"list": [{"n": 2}], "maybe": None}
    for data in (b"\2\2\0\0", b"\0\2\2"):
        with pytest.raises(Refused, match="1 is below 2"):
            reader.read(data, 0)


NEWER = record_of(
    {"name": "n", "type": "long"},
    {
        "name": "kind",
        "type": {"type": "enum", "name": "K", "namespace": "x", "symbols": ["A", "B"]},
    },
)


def test_another_version_is_read_with_defaults_and_without_what_we_do_not_know() -> None:
    older, newer = GeneralReader(NUMBER), GeneralReader(NEWER)
    assert newer.resolved(b"\6\2", 0, older) == (3,)
    with_default = {**NEWER, "fields": [NEWER["fields"][0], NEWER["fields"][1] | {"default": "B"}]}
    assert older.resolved(b"\6", 0, GeneralReader(with_default)) == (3, 1)


def test_a_version_that_lacks_what_we_need_does_not_resolve() -> None:
    with pytest.raises(Refused, match="does not resolve"):
        GeneralReader(NUMBER).resolved(b"\6", 0, GeneralReader(NEWER))


def test_our_own_rules_hold_for_what_another_version_wrote() -> None:
    ours = record_of({"name": "n", "type": "long", "minimum": 4})
    with pytest.raises(Refused, match="3 is below 4"):
        GeneralReader(NUMBER).resolved(b"\6", 0, GeneralReader(ours))


def test_every_enum_value_is_named_wherever_it_stands() -> None:
    kind = {"type": "enum", "name": "K", "namespace": "x", "symbols": ["A", "B"]}
    inner = record_of({"name": "k", "type": kind}) | {"name": "Inner"}
    outer = record_of(
        {"name": "list", "type": {"type": "array", "items": inner}},
        {"name": "maybe", "type": ["null", "x.K"]},
        {"name": "one", "type": "x.K"},
    )
    reader = GeneralReader(outer)
    assert reader.enum_symbols() == {"x.K": ("A", "B")}
    assert [*reader.symbols(b"\4\0\2\0\2\2\0", 0)] == [
        *(("x.K", "A"), ("x.K", "B"), ("x.K", "B"), ("x.K", "A"))
    ]
    assert [*reader.symbols(b"\0\0\2", 0)] == [("x.K", "B")]


@pytest.mark.parametrize(
    "value", [{}, {"n": "text"}, {"n": 2**64}, {"n": None}, {"x": 1}, None, []]
)
def test_a_value_that_is_none_of_the_schema_is_not_encoded(value: Any) -> None:
    with pytest.raises(Refused):
        encoded(fastavro.parse_schema(NUMBER), value)


def test_a_value_is_checked_against_its_rules_alone() -> None:
    rules = FieldRules(b"ab", 1, 2, None)
    check("string", "ab", {}, rules)
    for text in ("", "aba", "c", "ä"):
        with pytest.raises(Refused):
            check("string", text, {}, rules)


def test_an_identity_first_stands_as_its_fields_and_its_bytes() -> None:
    request = {"reservationId": "r-1", "userId": "u", "correlationId": "", "section": "A"}
    value = {"request": request | {"eventId": 1}, "seatCount": 2}
    span = b"\6r-1\2u\0\2A\2"
    assert flattened(inlined(HOLD), value) == (b"r-1", b"u", b"", b"A", 1, span, 2)
