"""Nothing in a schema may crash, hang or exhaust whoever reads by it."""

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.avro_values import RECORDS

from schemas.topics import SECTION_COMMANDS, subject
from serdes.avro.schema_files import inlined, qualified
from serdes.avro.schema_rules import faults_of
from serdes.decoding import Decoded, TopicDecoder, Undecodable, UnknownRecordType
from serdes.registry.ids import NOT_A_SCHEMA, RegisteredSchema, SchemaIds
from serdes.wire import header_of

OPEN = "io.seatstream.commands.OpenSection"


def record(*kinds: Any, name: str = "R") -> dict[str, Any]:
    fields = [{"name": f"f{at}", "type": kind} for at, kind in enumerate(kinds)]
    return {"type": "record", "name": name, "namespace": "x", "fields": fields}


def enum(symbols: int) -> dict[str, Any]:
    words = [f"S{at}" for at in range(symbols)]
    return {"type": "enum", "name": "E", "namespace": "x", "symbols": words}


def nested(depth: int) -> Any:
    schema: Any = "int"
    for level in range(depth, 0, -1):
        schema = record(schema, name=f"R{level}")
    return schema


@pytest.mark.parametrize("name", RECORDS)
def test_no_schema_of_ours_has_a_fault(name: str) -> None:
    assert faults_of(inlined(name)) == []


@pytest.mark.parametrize(
    "schema",
    [
        record("boolean", "int", "long", "bytes", "string"),
        record(["null", "int"], {"type": "array", "items": "string"}, {"type": "int"}),
        record(enum(64), "x.E"),
        record(record("int", name="Inner"), "x.Inner"),
        nested(16),
    ],
    ids=["primitives", "complex", "named again", "record named again", "as deep as allowed"],
)
def test_what_is_allowed_has_no_fault(schema: Any) -> None:
    assert faults_of(schema) == []


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ("int", "not a record"),
        ([record("int")], "not a record"),
        (record("float"), "R.f0: a float"),
        (record({"type": "double"}), "R.f0: a float"),
        (record("null"), "R.f0: unknown type null"),
        (record("x.Nowhere"), "R.f0: unknown type x.Nowhere"),
        (record("x.R"), "R.f0: recursive"),
        (record({"type": "array", "items": "x.R"}), "R.f0[]: recursive"),
        (record(record(["null", "x.R"], name="In")), "R.f0.f0: recursive"),
        (record(["int", "null"]), "R.f0: a union other than [null, X]"),
        (record(["null", "null"]), "R.f0: a union other than [null, X]"),
        (record(["null", "int", "long"]), "R.f0: a union other than [null, X]"),
        (record([]), "R.f0: a union other than [null, X]"),
        (record({"type": "array", "items": "null"}), "R.f0: an array of null"),
        (record({"type": "array"}), "R.f0[]: not a schema"),
        (record({"type": "map", "values": "int"}), "R.f0: unknown type map"),
        (record({"type": "fixed", "name": "F", "size": 1}), "R.f0: unknown type fixed"),
        (record({"type": "long", "logicalType": "date"}), "R.f0: a logical type"),
        (record({"type": {"type": "int"}}), "R.f0: no type {'type': 'int'}"),
        (record({}), "R.f0: no type None"),
        (record(7), "R.f0: not a schema"),
        (record(enum(65)), "R.f0: more than 64 symbols"),
        (record(enum(0)), "R.f0: an enum without namespace, name or symbols"),
        (record(), "R: a record without namespace, name or fields"),
        (
            record({"type": "record", "fields": [1]}),
            "R.f0: a record without namespace, name or fields",
        ),
        (nested(17), ".".join(["R1", *["f0"] * 17]) + ": deeper than 16 records"),
    ],
)
def test_a_fault_is_named_with_its_place(schema: Any, fault: str) -> None:
    assert faults_of(schema) == [fault]


@pytest.mark.parametrize(
    "rule",
    [{"charset": 7}, {"charset": "ä"}, {"minBytes": "1"}, {"maxBytes": 1.5}, {"minimum": None}],
)
def test_a_rule_of_another_type_is_a_fault(rule: dict[str, Any]) -> None:
    schema = record("string")
    schema["fields"][0] |= rule
    assert faults_of(schema) == ["R.f0: charset or bounds of the wrong type"]


def test_every_fault_of_a_schema_is_told_at_once() -> None:
    assert len(faults_of(record("float", "x.No", ["int"]))) == 3


JUNK: list[Any] = [None, True, 0, -1, 1.5, "", "x", "null", "int", "record", "enum", OPEN]
JUNK += [[], ["null"], ["null", "int"], {}, {"type": "int"}, {"type": "array", "items": "null"}]
JUNK += [{"type": "map", "values": "int"}, {"type": ["null", "int"]}, {"type": {"type": {}}}]
KEYS = ["type", "name", "namespace", "fields", "items", "symbols", "charset", "minBytes"]
KEYS += ["maxBytes", "minimum", "default", "doc", "aliases", "order", "logicalType", "size"]


def places(schema: Any) -> list[tuple[Any, Any]]:
    """Return every container of a schema with every key that it has."""
    found: list[tuple[Any, Any]] = []
    if isinstance(schema, dict | list):
        keys = schema if isinstance(schema, dict) else range(len(schema))
        for key in keys:
            found += [(schema, key), *places(schema[key])]
    return found


def junk(data: st.DataObject) -> Any:
    """Draw a copy: the next change may be one of what was put in."""
    return copy.deepcopy(data.draw(st.sampled_from(JUNK)))


@given(data=st.data())
def test_b16_a_schema_changed_anywhere_is_used_safely_or_not_at_all(data: st.DataObject) -> None:
    schema = copy.deepcopy(inlined(OPEN))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(schema)))
        match data.draw(st.integers(0, 2)), container:
            case 0, dict():
                del container[key]
            case 1, dict():
                container[data.draw(st.sampled_from(KEYS))] = junk(data)
            case _:
                container[key] = junk(data)
    with suppress(*NOT_A_SCHEMA):
        faults_of(qualified(schema))
    decoder = TopicDecoder(SECTION_COMMANDS, SchemaIds({}))
    named = (subject(SECTION_COMMANDS, OPEN),)
    decoder.learn(900, RegisteredSchema(named, json.dumps(schema)))
    verdict = decoder.decode(header_of(900) + data.draw(st.binary(max_size=60)))
    assert isinstance(verdict, Decoded | Undecodable | UnknownRecordType)
