"""Decoders and encoders of one schema agree, whatever the schema is, and show their source."""

import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.avro_values import arguments, hold_body, values, values_of

from serdes.avro.codegen import decoder, decoder_of, encoder, encoder_of, source_of
from serdes.avro.general import GeneralReader, encoded, flattened
from serdes.avro.refused import Refused
from serdes.avro.schema_files import inlined
from serdes.avro.schema_rules import faults_of

HOLD = "io.seatstream.commands.HoldBestAvailable"


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a record of any shape that the rules for schemas allow."""
    names = iter(range(10_000))

    def record(kinds: list[Any]) -> dict[str, Any]:
        fields = [{"name": f"f{at}", "type": kind} for at, kind in enumerate(kinds)]
        return {"type": "record", "name": f"R{next(names)}", "namespace": "x", "fields": fields}

    def enum(symbols: int) -> dict[str, Any]:
        words = [f"S{at}" for at in range(symbols)]
        return {"type": "enum", "name": f"E{next(names)}", "namespace": "x", "symbols": words}

    kinds = st.recursive(
        st.sampled_from(["int", "long", "string", "bytes", "boolean"])
        | st.integers(1, 64).map(enum),
        lambda inner: (
            inner.map(lambda kind: {"type": "array", "items": kind})
            | inner.map(lambda kind: kind if isinstance(kind, list) else ["null", kind])
            | st.lists(inner, min_size=1, max_size=3).map(record)
        ),
        max_leaves=6,
    )
    return record(draw(st.lists(kinds, min_size=1, max_size=5)))


@given(data=st.data())
def test_what_is_encoded_is_decoded_and_is_what_fastavro_writes(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    assert faults_of(schema) == []
    value = data.draw(values_of(schema))
    fields = flattened(schema, value)
    body = encoder_of(schema)(*fields)
    assert body == encoded(schema, value)
    assert GeneralReader(schema).read(body, 0) == value
    assert decoder_of(schema)(body, 0) == fields


@given(data=st.data())
def test_a_prefix_stands_before_the_body(data: st.DataObject) -> None:
    fields = flattened(inlined(HOLD), data.draw(values(HOLD)))
    with_prefix = encoder(HOLD, prefix=b"\x00%s\x00\x07")
    assert with_prefix(*arguments(HOLD, fields)) == b"\x00%s\x00\x07" + encoder(HOLD)(
        *arguments(HOLD, fields)
    )


def test_tracebacks_show_the_generated_line() -> None:
    with pytest.raises(Refused) as raised:
        decoder(HOLD)(hold_body(section=b"a"), 0)
    text = "".join(traceback.format_exception(raised.value))
    assert "raise Refused('request.section: a character" in text
    assert "def decode(data, at):" in source_of(decoder(HOLD))


def test_a_name_without_a_schema_has_no_code() -> None:
    with pytest.raises(KeyError, match=r"io\.seatstream\.Nothing"):
        decoder("io.seatstream.Nothing")
