"""The named tuples name the fields that decoders return, in their order."""

import re
from typing import Any, NamedTuple

import pytest

from schemas.topics import TOPICS
from serdes.avro.codegen import decoder
from serdes.avro.schema_files import inlined
from state.records import names as values

RECORDS = [name for topic in TOPICS for name in topic.records]


def snake(name: str) -> str:
    return re.sub("([A-Z])", lambda match: "_" + match[1].lower(), name)


def expected_fields(schema: dict[str, Any]) -> list[str]:
    names: list[str] = []
    for field in schema["fields"]:
        part = field["type"]
        if not names and isinstance(part, dict) and part["name"] == "RequestIdentity":
            names += [snake(inner["name"]) for inner in part["fields"]]
            names.append("span")
        else:
            names.append(snake(field["name"]))
    return names


@pytest.mark.parametrize("name", [*RECORDS, "io.seatstream.types.RequestIdentity"])
def test_each_record_has_its_fields_named_in_order(name: str) -> None:
    named: type[NamedTuple] = getattr(values, name.rpartition(".")[2])
    assert list(named._fields) == expected_fields(inlined(name))


def test_the_identity_stands_before_its_span() -> None:
    assert values.HoldBestAvailable._fields[: values.IDENTITY_FIELDS] == (
        values.RequestIdentity._fields
    )
    span = b"\x06r-1\x04u1\x00\x06A-1\x02"
    decode = decoder("io.seatstream.types.RequestIdentity")
    assert values.RequestIdentity._make(decode(span, 0)).section == b"A-1"
