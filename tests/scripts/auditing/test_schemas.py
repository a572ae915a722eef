"""What an encoder of ours writes is read as it was; what is anything else is unreadable."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import AVRO, ID_BY_NAME, WIRE, RandomBuyers, identity, value_of

import schemas
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from scripts.auditing.schemas import (
    VALUE_BYTES_MAX,
    Unreadable,
    WireFormat,
    broken,
    names_of,
    surely_kept,
)

HOLD = {"request": identity("r1", "u1", "A", 7), "seatCount": 2}
VALUE = value_of("HoldBestAvailable", HOLD)


@given(st.integers(0, 10_000))
def test_what_is_written_is_read_as_it_was(seed: int) -> None:
    for _, _, value, _ in RandomBuyers(seed).commands(20):
        try:
            name, fields = WIRE.decode(value or b"", SECTION_COMMANDS)
        except Unreadable:
            continue
        assert value_of(name, fields) == value


def test_a_name_stands_in_the_header() -> None:
    assert WIRE.name_of(VALUE) == "HoldBestAvailable"
    assert WIRE.decode(VALUE) == ("HoldBestAvailable", HOLD)
    for nobody in (b"", b"\x01" + VALUE[1:], b"\0\xff\xff\xff\xff"):
        assert WIRE.name_of(nobody) is None


@given(st.integers(0, len(VALUE) - 1))
def test_a_record_that_was_cut_anywhere_is_unreadable(size: int) -> None:
    with pytest.raises(Unreadable):
        WIRE.decode(VALUE[:size])


def test_bytes_behind_a_record_are_too_many() -> None:
    with pytest.raises(Unreadable, match="bytes behind"):
        WIRE.decode(VALUE + b"\0")
    with pytest.raises(Unreadable, match="64 kB"):
        WIRE.decode(VALUE + bytes(VALUE_BYTES_MAX))


def test_a_record_of_another_topic_is_unreadable_here() -> None:
    assert "HoldBestAvailable" in names_of(SECTION_COMMANDS)
    with pytest.raises(Unreadable, match="no record of reservation-outcomes"):
        WIRE.decode(VALUE, RESERVATION_OUTCOMES)


def test_an_id_that_nobody_registered_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="unknown schema id 100"):
        WireFormat(AVRO, {}).decode(b"\0\0\0\0\x64")
    assert ID_BY_NAME  # the same ids are known to WIRE


def test_f89_a_stored_record_is_read_as_whichever_release_wrote_it() -> None:
    name = "io.seatstream.state.Reservation"
    golden = Path(schemas.__file__).parent.parent / "tests" / "golden" / "schemas"
    for release, price in (("v1", (0, "")), ("v2", (9_000, "EUR"))):
        entries = json.loads((golden / f"{release}.json").read_text(encoding="utf-8"))
        body = bytes.fromhex(entries[name]["bytes"])
        fields = AVRO.decode_stored("Reservation", body)
        assert (fields["amount"], fields["currency"]) == price
        assert fields["seats"] == entries[name]["value"]["seats"]
        with pytest.raises(Unreadable):
            AVRO.decode_stored("Reservation", body + bytes(4))
        with pytest.raises(Unreadable, match="bytes behind"):
            AVRO.decode_stored("Progress", body)
    with pytest.raises(Unreadable, match="of no release"):
        AVRO.decode_former("Progress", b"")


def test_an_outcome_of_another_version_is_compared_as_ours_would_be_written() -> None:
    assert WIRE.present_form("HoldBestAvailable", VALUE, HOLD) == VALUE[5:]
    other = WireFormat(AVRO, {7: ("HoldBestAvailable", {"another": "schema"})})
    assert other.present_form("HoldBestAvailable", b"\0\0\0\0\x07?", HOLD) == VALUE[5:]


@pytest.mark.parametrize(
    ("rule", "value", "fault"),
    [
        ({"type": "int"}, 2**31 - 1, None),
        ({"type": "int"}, 2**31, "beyond 32 bits"),
        ({"type": "int"}, -(2**31) - 1, "beyond 32 bits"),
        ({"type": "long", "minimum": 0}, -1, "below its minimum"),
        ({"type": "long", "minimum": 0}, 0, None),
        ({"type": "string", "minBytes": 1}, "", "0 bytes"),
        ({"type": "string", "maxBytes": 3}, "éé", "4 bytes"),
        ({"type": "string", "charset": "a-z"}, "ab", None),
        ({"type": "string", "charset": "a-z"}, "aB", "a character that an id may not have"),
    ],
)
def test_a_range_beside_a_field_holds(rule: Any, value: Any, fault: str | None) -> None:
    assert broken(rule, value) == fault


@pytest.mark.parametrize(
    "text",
    [
        '"string"',
        '["null", "int"]',
        "syntax = 'proto3';",
        '{"type": "object"}',
        '{"type": "record", "name": "Tick", "namespace": "io.stranger", "fields": []}',
        '{"type": "record", "name": "io.seatstream.commands.Tick", "fields": [{"name": 1}]}',
        "[" * 100_000,
        None,
    ],
)
def test_a_schema_of_strangers_is_none_of_ours(text: Any) -> None:
    assert AVRO.own_record(text) is None


ranges = st.fixed_dictionaries(
    {"type": st.sampled_from(["int", "long", "string", "bytes"])},
    optional={
        "minimum": st.integers(-3, 3),
        "minBytes": st.integers(0, 3),
        "maxBytes": st.integers(3, 9),
        "charset": st.sampled_from(["A-Z", "a-z_", "!-~", "0-9-"]),
    },
)


@given(ranges, st.one_of(st.integers(-5, 5), st.integers(), st.text("Aa_1-é𝄞\n", max_size=6)))
def test_what_a_quick_look_says_of_a_range_is_so(rule: dict[str, Any], value: int | str) -> None:
    is_number = rule["type"] in {"int", "long"}
    if is_number != isinstance(value, int):
        value = 7 if is_number else "A7"
    given_value: Any = (
        value.encode() if rule["type"] == "bytes" and isinstance(value, str) else value
    )
    if surely_kept(rule)(given_value):
        assert broken(rule, given_value) is None
    elif is_number and -(2**63) <= given_value < 2**63:
        assert broken(rule, given_value) is not None
