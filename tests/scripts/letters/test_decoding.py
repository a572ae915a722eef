"""Values are shown as their writer meant them; a stranger's bytes and schemas harm nobody."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import AVRO, identity, value_of
from support.records.registry_fake import fake_registry

from scripts.auditing.schemas import Unreadable
from scripts.letters.decoding import asks, decode, hexdump
from serdes.registry.client import Registry

RELEASE = {"request": identity("r1", "ann", "A", 1), "epoch": 1}
POINT = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "long"}]}

NOTHINGS = {
    "type": "record",
    "name": "A",
    "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}],
}


def says(schema: Any) -> Any:
    return lambda _: schema if isinstance(schema, str) else json.dumps(schema)


def own_schema(name: str) -> str:
    return json.dumps(AVRO._parsed[name], default=str)


def test_a_record_is_shown_with_the_schema_that_wrote_it() -> None:
    value = b"\0\0\0\0\7" + b"\x54"
    assert decode(value, says(POINT)) == ("Point", {"x": 42})


def test_an_id_that_nobody_may_have_is_shown_all_the_same() -> None:
    fields = RELEASE | {"request": identity("not an id", "ann", "A", 1)}
    value = value_of("ReleaseReservation", fields)
    with pytest.raises(Unreadable):
        AVRO.decode("ReleaseReservation", value[5:])
    assert decode(value, says(own_schema("ReleaseReservation"))).fields == fields


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_said_to_be_none(body: bytes) -> None:
    try:
        name, _ = decode(b"\0\0\0\0\7" + body, says(own_schema("HoldBestAvailable")))
    except Unreadable:
        return
    assert name.endswith("HoldBestAvailable")


@pytest.mark.parametrize(
    "schema",
    [
        "no json",
        "[]",
        '"long"',
        '{"type": "record"}',
        '{"type": "record", "name": "A", "fields": [{"name": "a", "type": "Nobody"}]}',
        '{"type": "record", "name": "A", "fields": [{"name": "a", "type": "A"}]}',
        json.dumps(NOTHINGS),
        "[" * 100_000,
    ],
)
def test_a_schema_of_a_stranger_is_no_trap(schema: str) -> None:
    with pytest.raises(Unreadable):
        decode(b"\0\0\0\0\7" + b"\xfe\xff\xff\xff\xff\xff\xff\x7f\0", says(schema))


@pytest.mark.parametrize("value", [None, b"", b"\0\0\0", b"\1\0\0\0\7x", b"\0" * 70_000])
def test_what_has_no_header_or_is_too_long_is_not_looked_at(value: bytes | None) -> None:
    def never(_: int) -> str:
        raise AssertionError

    with pytest.raises(Unreadable):
        decode(value, never)


def test_a_registry_is_asked_once_and_what_it_does_not_say_is_said() -> None:
    with fake_registry() as fake:
        schema_text = asks(Registry(fake.url, timeout_s=20.0))
        known = fake.add("subject", json.dumps(POINT))
        assert {schema_text(known), schema_text(known)} == {json.dumps(POINT)}
        assert len(fake.requests) == 1
        with pytest.raises(Unreadable, match="has no schema 99"):
            schema_text(99)
    with pytest.raises(Unreadable, match="does not answer"):
        asks(Registry("http://127.0.0.1:1", timeout_s=1.0))(1)


@given(st.binary(max_size=100), st.integers(1, 64))
def test_a_hexdump_has_every_byte_that_it_shows(content: bytes, most: int) -> None:
    lines = list(hexdump(content, most))
    shown = "".join(line[10:57] for line in lines if not line.startswith("..."))
    assert bytes.fromhex(shown) == content[:most]
    assert (len(content) > most) == any("bytes more" in line for line in lines)


def test_a_hexdump_shows_text_beside_bytes() -> None:
    assert list(hexdump(b"\0seat")) == [
        "00000000  00 73 65 61 74                                   |.seat|"
    ]
