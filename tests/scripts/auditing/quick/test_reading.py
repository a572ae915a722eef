"""What is read quickly is what the plain way reads; all that an encoder of ours writes is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import AVRO
from support.records.avro_values import RECORDS, blocked, bodies, hostile, values

from scripts.auditing.quick.reading import UNREAD, number_at, reader_of
from scripts.auditing.quick.source import Unusual
from scripts.auditing.schemas import Avro, Unreadable
from serdes.avro.schema_files import inlined

EACH = pytest.mark.parametrize("full_name", RECORDS)


def plainly(name: str, body: bytes) -> object:
    try:
        return AVRO.decode_plainly(name, body)
    except Unreadable:
        return None


def read(name: str, body: bytes, avro: Avro = AVRO) -> object:
    try:
        return avro.decode(name, body)
    except Unreadable:
        return None


@EACH
@given(st.data())
def test_usual_bytes_are_read_without_the_plain_way(full_name: str, data: st.DataObject) -> None:
    name = full_name.rpartition(".")[2]
    body = data.draw(bodies(full_name))
    quick = AVRO.quick_reader(name)
    assert quick is not None
    assert quick(body) == AVRO.decode_plainly(name, body)


@EACH
@given(st.data())
def test_hostile_bytes_are_read_as_by_the_plain_way(full_name: str, data: st.DataObject) -> None:
    name = full_name.rpartition(".")[2]
    body = data.draw(hostile(full_name))
    quick = AVRO.quick_reader(name)
    assert quick is not None
    try:
        found: object = quick(body)
    except UNREAD:
        found = plainly(name, body)
    assert found == plainly(name, body) == read(name, body)


@given(st.data(), st.integers(0, 2**32))
def test_other_forms_of_a_record_are_read_by_the_plain_way(data: st.DataObject, seed: int) -> None:
    full_name = "io.seatstream.state.Reservation"
    value = data.draw(values(full_name))
    body = blocked(inlined(full_name), value, random.Random(seed))
    assert read("Reservation", body) == value


def test_numbers_are_read_in_their_shortest_form_alone() -> None:
    assert number_at(b"\x80\x01\xff", 0) == (64, 2)
    assert number_at(b"\xff" * 9 + b"\x01", 0) == (-(2**63), 10)
    for body in (b"\x80\0", b"\xff" * 9 + b"\x02", b"\xff" * 11):
        with pytest.raises(Unusual):
            number_at(body, 0)


def test_a_schema_with_something_unusual_has_no_reader() -> None:
    for kind in ("double", ["int", "null"], ["null", "int", "long"]):
        schema = {"type": "record", "name": "A", "fields": [{"name": "a", "type": kind}]}
        assert reader_of(schema, {}, {}) is None
