"""A field's position is the one at which the decoder puts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import OF_EACH_RECORD
from support.records.avro_values import RECORDS, bodies

from serdes.avro.codegen import decoder
from serdes.avro.field_names import field_names, position
from serdes.avro.general import GeneralReader
from serdes.avro.schema_files import inlined

PLAIN = ("int", "long", "string", "bytes", "boolean")


@pytest.mark.parametrize("name", RECORDS)
@OF_EACH_RECORD
@given(data=st.data())
def test_each_plain_field_is_where_its_name_says(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies(name))
    fields = decoder(name)(body, 0)
    assert len(fields) == len(field_names(name))
    schema, read = inlined(name), GeneralReader(inlined(name)).read(body, 0)
    plain = [(field["name"], field["type"], read) for field in schema["fields"]]
    if len(fields) > len(plain):
        request = schema["fields"][0]
        plain += [
            (field["name"], field["type"], read[request["name"]])
            for field in request["type"]["fields"]
        ]
    for field, kind, record in plain:
        if kind in PLAIN:
            value = record[field]
            expected = value.encode() if isinstance(value, str) else value
            assert fields[position(name, field)] == expected


def test_an_identity_stands_as_its_fields_and_then_whole() -> None:
    assert field_names("io.seatstream.commands.HoldBestAvailable") == (
        "reservationId",
        "userId",
        "correlationId",
        "section",
        "eventId",
        "request",
        "seatCount",
    )
    assert position("io.seatstream.commands.HoldBestAvailable", "seatCount") == 6


def test_an_identity_alone_has_its_fields_only() -> None:
    names = field_names("io.seatstream.types.RequestIdentity")
    assert names == ("reservationId", "userId", "correlationId", "section", "eventId")


def test_a_field_that_a_record_does_not_have_has_no_position() -> None:
    with pytest.raises(ValueError, match="no field epoch, but reservationId"):
        position("io.seatstream.commands.HoldBestAvailable", "epoch")
