"""Every value that can stand in a topic gets its verdict; nothing raises."""

import copy
import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.avro_values import bodies, hostile, values

from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS, TOPICS, subject
from serdes.avro.general import encoded, flattened
from serdes.avro.schema_files import inlined, parsed, qualified, text_of
from serdes.decoding import (
    BAD_BODY,
    BAD_HEADER,
    BAD_RECORD_HEADERS,
    BAD_SCHEMA,
    EMPTY,
    FOREIGN_SUBJECT,
    HEADERS_BYTES_MAX,
    TOMBSTONE,
    TOO_LARGE,
    Decoded,
    TopicDecoder,
    Undecodable,
    UnknownRecordType,
    UnknownSchema,
    refusal_of,
)
from serdes.registry.ids import RegisteredSchema, SchemaIds, counted_ids
from serdes.wire import HEADER_BYTES, header_of

HOLD = "io.seatstream.commands.HoldBestAvailable"
OPEN = "io.seatstream.commands.OpenSection"
HELD = "io.seatstream.outcomes.SeatsHeld"
IDS = counted_ids(first=7)
DECODER = TopicDecoder(SECTION_COMMANDS, IDS)
HOLD_ID = IDS.id_by_subject[subject(SECTION_COMMANDS, HOLD)]
HELD_ID = IDS.id_by_subject[subject(RESERVATION_OUTCOMES, HELD)]

IDENTITY = {
    "reservationId": "r-1",
    "userId": "u1",
    "correlationId": "",
    "section": "A-1",
    "eventId": 1,
}
A_HOLD = header_of(HOLD_ID) + encoded(parsed(HOLD), {"request": IDENTITY, "seatCount": 2})
HOLD_FIELDS = flattened(inlined(HOLD), {"request": IDENTITY, "seatCount": 2})

NEW_ID = 900
HOLD_SUBJECT = (subject(SECTION_COMMANDS, HOLD),)


def reason_of(value: bytes, headers: Any = ()) -> str:
    verdict = DECODER.decode(value, headers)
    assert isinstance(verdict, Undecodable), verdict
    assert verdict.detail
    return verdict.reason


def decoder_with(schema: Any, *subjects: str) -> TopicDecoder:
    decoder = TopicDecoder(SECTION_COMMANDS, IDS)
    text = schema if isinstance(schema, str) else json.dumps(schema)
    decoder.learn(NEW_ID, RegisteredSchema(subjects or HOLD_SUBJECT, text))
    return decoder


def written(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), value)
    return header_of(NEW_ID) + body.getvalue()


def version_of(name: str, change: Any) -> dict[str, Any]:
    schema = copy.deepcopy(inlined(name))
    change(schema)
    return schema


def test_a_record_of_the_topic_is_decoded() -> None:
    assert DECODER.decode(A_HOLD) == Decoded(HOLD, HOLD_FIELDS)


def test_the_hot_loop_finds_name_and_decoder_by_header() -> None:
    name, decode = DECODER.by_header[A_HOLD[:HEADER_BYTES]]
    assert (name, decode(A_HOLD, HEADER_BYTES)) == (HOLD, HOLD_FIELDS)
    assert len(DECODER.by_header) == len(SECTION_COMMANDS.records)


def test_b01_an_empty_value_is_undecodable() -> None:
    assert reason_of(b"") == EMPTY


def test_b02_a_null_value_is_a_tombstone() -> None:
    assert DECODER.decode(None) is TOMBSTONE


def test_b03_a_cut_header_is_undecodable() -> None:
    for size in range(1, HEADER_BYTES):
        assert reason_of(A_HOLD[:size]) == BAD_HEADER


@pytest.mark.parametrize("magic", [b"\x01", b"\xff"])
def test_b04_another_magic_byte_is_undecodable(magic: bytes) -> None:
    assert reason_of(magic + A_HOLD[1:]) == BAD_HEADER


def test_b05_json_text_is_undecodable() -> None:
    assert reason_of(b'{"reservationId": "r-1"}') == BAD_HEADER


def test_b06_an_id_that_nobody_told_us_is_left_to_the_registry() -> None:
    assert DECODER.decode(header_of(NEW_ID) + A_HOLD[5:]) == UnknownSchema(NEW_ID)


def test_b06_an_id_learned_later_is_decoded() -> None:
    decoder = decoder_with(inlined(HOLD))
    assert decoder.decode(header_of(NEW_ID) + A_HOLD[5:]) == Decoded(HOLD, HOLD_FIELDS)


def test_b07_a_schema_of_another_topic_is_undecodable() -> None:
    assert reason_of(header_of(HELD_ID) + A_HOLD[5:]) == FOREIGN_SUBJECT
    decoder = decoder_with(inlined(HOLD), "other-topic-io.other.Record")
    verdict = decoder.decode(header_of(NEW_ID) + A_HOLD[5:])
    assert isinstance(verdict, Undecodable)
    assert verdict.reason == FOREIGN_SUBJECT


def test_b09_a_value_cut_anywhere_is_undecodable() -> None:
    for size in range(HEADER_BYTES, len(A_HOLD)):
        assert reason_of(A_HOLD[:size]) == BAD_BODY


def test_b10_a_value_with_bytes_after_the_record_is_undecodable() -> None:
    assert reason_of(A_HOLD + b"\0") == BAD_BODY


def test_b17_a_value_above_64_kb_is_undecodable_whatever_it_holds() -> None:
    assert reason_of(b"\xff" * (1 << 20)) == TOO_LARGE
    assert reason_of(A_HOLD[:5] + b"\xff" * (1 << 20)) == TOO_LARGE


def test_b18_a_value_with_a_lone_surrogate_is_undecodable() -> None:
    assert reason_of(A_HOLD.replace(b"\x04u1", b"\x06\xed\xa0\x80")) == BAD_BODY


def test_b21_a_new_optional_field_is_accepted() -> None:
    field = {"name": "maxPrice", "type": ["null", "long"], "default": None}
    writer = version_of(HOLD, lambda schema: schema["fields"].append(field))
    value = {"request": IDENTITY, "seatCount": 2, "maxPrice": 12_000}
    assert decoder_with(writer).decode(written(writer, value)) == Decoded(HOLD, HOLD_FIELDS)


def test_b22_a_field_that_an_older_writer_lacks_gets_its_default() -> None:
    def without_the_last_four(schema: Any) -> None:
        del schema["fields"][-4:]

    writer = version_of(OPEN, without_the_last_four)
    row = {"label": "1", "seatCount": 3, "firstNumber": 1, "numberStep": 1, "category": ""}
    lists: dict[str, Any] = {"seatLabels": [], "aisles": [], "seatCategories": []}
    value: dict[str, Any] = {"request": IDENTITY, "layoutVersion": 1, "rows": [row | lists]}
    value |= {"blocked": [], "orphanRule": "STRICT", "maxSeatsPerHold": 4}
    value |= {"holdMs": 1, "maxHoldMs": 2, "saleStartsMs": 3}
    decoder = decoder_with(writer, subject(SECTION_COMMANDS, OPEN))
    verdict = decoder.decode(written(writer, value))
    lacking = {"saleEndsMs": 0, "currency": "", "prices": [], "paymentMs": 900_000}
    expected = flattened(inlined(OPEN), value | lacking)
    assert verdict == Decoded(OPEN, expected)


def test_b23_a_record_type_of_a_newer_producer_stops_the_partition() -> None:
    writer = inlined(HOLD) | {"name": "HoldTable"}
    decoder = decoder_with(writer, "section-commands-io.seatstream.commands.HoldTable")
    assert isinstance(decoder.decode(header_of(NEW_ID) + b"\0"), UnknownRecordType)


def test_b23_an_enum_symbol_of_a_newer_producer_stops_the_partition() -> None:
    def add_rule(schema: Any) -> None:
        for field in schema["fields"]:
            if field["name"] == "orphanRule":
                field["type"]["symbols"].append("ONLY_PAIRS")

    writer = version_of(OPEN, add_rule)
    value: dict[str, Any] = {"request": IDENTITY, "layoutVersion": 1, "rows": [], "blocked": []}
    value |= {"orphanRule": "ONLY_PAIRS", "maxSeatsPerHold": 4, "holdMs": 1, "maxHoldMs": 2}
    value |= {"saleStartsMs": 3, "saleEndsMs": 4}
    decoder = decoder_with(writer, subject(SECTION_COMMANDS, OPEN))
    verdict = decoder.decode(written(writer, value))
    assert isinstance(verdict, UnknownRecordType)
    assert "ONLY_PAIRS" in verdict.detail
    known = decoder.decode(written(writer, value | {"orphanRule": "STRICT"}))
    assert isinstance(known, Decoded)


def test_the_rules_hold_for_other_versions_too() -> None:
    field = {"name": "maxPrice", "type": ["null", "long"], "default": None}
    writer = version_of(HOLD, lambda schema: schema["fields"].append(field))
    decoder = decoder_with(writer)
    good = written(writer, {"request": IDENTITY, "seatCount": 2, "maxPrice": None})
    bad_id = {"request": IDENTITY | {"reservationId": "a b"}, "seatCount": 2, "maxPrice": None}
    for value in (good + b"\0", good[:-1], written(writer, bad_id)):
        verdict = decoder.decode(value)
        assert isinstance(verdict, Undecodable)
        assert verdict.reason == BAD_BODY


@given(data=st.data())
def test_other_versions_never_raise(data: st.DataObject) -> None:
    decoder = decoder_with(WIDER)
    verdict = decoder.decode(header_of(NEW_ID) + data.draw(hostile(OPEN)))
    assert isinstance(verdict, Decoded | Undecodable | UnknownRecordType)


def _widen(schema: Any) -> None:
    schema["name"] = "HoldBestAvailable"
    schema["namespace"] = "io.seatstream.commands"
    schema["fields"].append({"name": "seatCount", "type": "long"})


# Holds of this version carry a whole layout: much to go wrong on the way.
WIDER = version_of(OPEN, _widen)


@given(data=st.data())
def test_another_text_of_the_same_format_is_read_by_the_generated_decoder(
    data: st.DataObject,
) -> None:
    other = version_of(HOLD, lambda schema: schema.update(doc="Other words."))
    decoder = decoder_with(other)
    assert header_of(NEW_ID) in decoder.by_header
    body = data.draw(bodies(HOLD))
    assert decoder.decode(header_of(NEW_ID) + body) == DECODER.decode(A_HOLD[:5] + body)


@given(data=st.data())
def test_the_same_value_in_another_version_decodes_to_the_same_fields(
    data: st.DataObject,
) -> None:
    field = {"name": "note", "type": "string", "default": ""}
    writer = version_of(HOLD, lambda schema: schema["fields"].insert(0, field))
    value = data.draw(values(HOLD))
    verdict = decoder_with(writer).decode(written(writer, value | {"note": "n"}))
    assert verdict == Decoded(HOLD, flattened(inlined(HOLD), value))


def shortened(schema: Any, namespace: str = "") -> Any:
    """Leave out what a name inherits, as Java's writers of schemas do."""
    if isinstance(schema, list):
        return [shortened(branch, namespace) for branch in schema]
    if isinstance(schema, str):
        return schema.removeprefix(namespace + ".")
    result = dict(schema)
    own = result.get("namespace", namespace)
    if own == namespace:
        result.pop("namespace", None)
    for key in ("type", "items"):
        if key in result and "fields" not in result and "symbols" not in result:
            result[key] = shortened(result[key], own)
    if "fields" in result:
        result["fields"] = [shortened(field, own) for field in result["fields"]]
    return result


RECORDS = [name for topic in TOPICS for name in topic.records]


@pytest.mark.parametrize("name", RECORDS)
def test_inherited_namespaces_may_be_left_out(name: str) -> None:
    short = shortened(inlined(name))
    assert qualified(short) == inlined(name)
    (topic,) = (topic for topic in TOPICS if name in topic.records)
    decoder = TopicDecoder(topic, SchemaIds({}))
    decoder.learn(NEW_ID, RegisteredSchema((subject(topic, name),), text_of(short)))
    assert header_of(NEW_ID) in decoder.by_header


TREE = inlined(HOLD) | {
    "fields": [{"name": "left", "type": ["null", "io.seatstream.commands.HoldBestAvailable"]}]
}
NULLS = inlined(HOLD) | {"fields": [{"name": "n", "type": {"type": "array", "items": "null"}}]}
WRONG_RULE = inlined(HOLD) | {"fields": [{"name": "n", "type": "int", "minimum": "x"}]}


@pytest.mark.parametrize(
    "schema",
    ["", "{", "[]", "7", "null", "[" * 100_000, TREE, NULLS, WRONG_RULE, inlined(OPEN)],
    ids=["no text", "cut", "list", "number", "null", "deep", "tree", "nulls", "rule", "other"],
)
def test_b16_a_schema_that_could_do_harm_is_never_used(schema: Any) -> None:
    decoder = decoder_with(schema)
    verdict = decoder.decode(header_of(NEW_ID) + b"\x02" * 5_000)
    assert isinstance(verdict, Undecodable)
    assert verdict.reason == BAD_SCHEMA


@pytest.mark.parametrize(
    "headers",
    [
        [("h", b"")] * 1000,
        [("h", b"x" * 100_000)],
        [("h" * 70_000, None)],
        [("h", b"x" * 1000)] * 66,
    ],
)
def test_b25_too_many_or_too_large_headers_are_undecodable(headers: Any) -> None:
    assert reason_of(A_HOLD, headers) == BAD_RECORD_HEADERS


def test_headers_within_the_limits_do_not_matter() -> None:
    assert DECODER.decode(A_HOLD, [("trace", b"x"), ("empty", None)]) == DECODER.decode(A_HOLD)


@given(value=st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: A_HOLD[:5] + tail))
def test_decoding_never_raises(value: bytes) -> None:
    DECODER.decode(value)


def test_one_text_under_two_subjects_shares_an_id() -> None:
    decoder = decoder_with(text_of(inlined(HOLD)), "other-topic-x", *HOLD_SUBJECT)
    assert isinstance(decoder.decode(header_of(NEW_ID) + A_HOLD[5:]), Decoded)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), max_size=30),
            st.one_of(st.none(), st.binary(max_size=30)),
        ),
        max_size=8,
    ),
    st.integers(0, 70_000),
)
def test_headers_are_counted_to_the_byte_where_it_matters(
    headers: list[tuple[str, bytes | None]], padding: int
) -> None:
    headers.append(("\udcff" * (padding // 4), b"x" * (padding - padding // 4)))
    size = sum(
        len(name.encode("utf-8", "surrogateescape")) + len(value or b"") for name, value in headers
    )
    refusal = refusal_of(headers)
    assert refusal == (f"{size} bytes of headers" if size > HEADERS_BYTES_MAX else None)
