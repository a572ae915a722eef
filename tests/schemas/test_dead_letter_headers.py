"""The record that describes the headers of a dead letter says what is written."""

import re

import pytest

from schemas.topics import DEAD_LETTER_QUEUE, subjects
from serdes.avro.schema_files import current
from streams.batch import DeadLetter
from streams.driver import PipedRecord
from streams.runtime.transactions.dead_letters import dead_letter_record

FIELDS = current().by_name[DEAD_LETTER_QUEUE.headers]["fields"]
ORIGINAL = PipedRecord(
    "words", 3, 41, 1_700_000_000_123, b"k", b"\0\0\0\0\7rest", (("ce_id", b"1"),)
)


def header_name(field: str) -> str:
    """Return the header that a field stands for: fooBar -> dead-letter-foo-bar."""
    return "dead-letter-" + re.sub("[A-Z]", lambda capital: "-" + capital[0].lower(), field)


def headers_of(record: PipedRecord) -> list[tuple[str, bytes]]:
    letter = DeadLetter(record, "BAD_BODY", "a byte too many")
    return dead_letter_record(letter, record.topic, record.partition)[2]


def test_every_header_has_a_field_and_every_field_a_header_in_the_same_order() -> None:
    added = headers_of(ORIGINAL)[len(ORIGINAL.headers) :]
    assert [name for name, _ in added] == [header_name(field["name"]) for field in FIELDS]


def test_header_texts_are_values_of_the_types_of_their_fields() -> None:
    text_by_header = dict(headers_of(ORIGINAL))
    for field in FIELDS:
        text = text_by_header[header_name(field["name"])].decode()
        kind = field["type"] if isinstance(field["type"], str) else field["type"][1]
        if kind != "string":
            assert str(int(text)) == text
    assert text_by_header["dead-letter-schema-id"] == b"7"
    assert text_by_header["dead-letter-offset"] == b"41"


@pytest.mark.parametrize("value", [None, b"", b"\0\0\0\7", b"\1\0\0\0\7"])
def test_a_value_without_a_confluent_header_has_an_empty_schema_id(value: bytes | None) -> None:
    record = PipedRecord("words", 0, 0, 0, None, value)
    assert dict(headers_of(record))["dead-letter-schema-id"] == b""


def test_the_headers_of_the_original_come_first_and_untouched() -> None:
    assert headers_of(ORIGINAL)[0] == ("ce_id", b"1")


def test_what_describes_headers_is_registered_nowhere() -> None:
    assert DEAD_LETTER_QUEUE.headers not in subjects().values()
