"""Bytes of every released schema still read, and are still what is written.

The files under golden/schemas hold, by release and record, a value and its bytes as fastavro
wrote them at the release. What lies in topics already and no release has yet is in
`unreleased.json`, to be taken over by the next one.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import TOPICS, subject
from serdes.avro.codegen import decoder, decoder_of, encoder
from serdes.avro.general import flattened
from serdes.avro.refused import Refused
from serdes.avro.schema_files import SCHEMA_ROOT, current, inlined, release_paths, releases
from serdes.avro.stored import stored_decoder
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import RegisteredSchema, counted_ids
from serdes.wire import header_of
from state.records.names import IDENTITY_FIELDS

GOLDEN = Path(__file__).parent.parent / "golden" / "schemas"
RELEASES = sorted(path.stem for path in GOLDEN.glob("v*.json"))
FILES = {
    path.name: files for path, files in zip(release_paths(SCHEMA_ROOT), releases(), strict=True)
}
UNRELEASED = "unreleased"
HISTORY = SCHEMA_ROOT / "history"
RECORDS = [name for topic in TOPICS for name in topic.records]
CHANGELOGS = [topic for topic in TOPICS if topic.name.endswith("-changelog")]


def _bytes(part: dict[str, Any]) -> Any:
    return bytes.fromhex(part["hex"]) if part.keys() == {"hex"} else part


def golden(release: str) -> dict[str, Any]:
    text = (GOLDEN / f"{release}.json").read_text(encoding="utf-8")
    entries: dict[str, Any] = json.loads(text, object_hook=_bytes)
    return entries


# Records that the last release writes as we do.
UNCHANGED = [
    record
    for record in golden(RELEASES[-1])
    if FILES[RELEASES[-1]].fingerprint(record) == current().fingerprint(record)
]


def test_every_release_has_golden_bytes() -> None:
    folders = sorted(path.name for path in HISTORY.glob("v*"))
    assert RELEASES == folders
    for release in RELEASES:
        assert golden(release).keys() == set(RECORDS) & FILES[release].by_name.keys()


def test_what_no_release_has_yet_is_in_none() -> None:
    assert golden(UNRELEASED).keys() <= {*RECORDS} - golden(RELEASES[-1]).keys()


@pytest.mark.parametrize(
    ("release", "record"),
    [
        *((RELEASES[-1], record) for record in UNCHANGED),
        *((UNRELEASED, record) for record in golden(UNRELEASED)),
    ],
)
def test_golden_bytes_decode_to_their_value_and_back(release: str, record: str) -> None:
    entry = golden(release)[record]
    body = bytes.fromhex(entry["bytes"])
    fields = decoder(record)(body, 0)
    assert fields == flattened(inlined(record), entry["value"])
    is_owned = "span" in encoder_arguments(record)
    arguments = fields[IDENTITY_FIELDS:] if is_owned else fields
    assert encoder(record)(*arguments) == body


@pytest.mark.parametrize(
    ("release", "record"),
    [(release, record) for release in RELEASES for record in golden(release)],
)
def test_f89_golden_bytes_of_every_release_are_read_with_defaults_for_what_they_lack(
    release: str, record: str
) -> None:
    entry = golden(release)[record]
    value = with_defaults(inlined(record), entry["value"])
    read = flattened(inlined(record), value)
    body = bytes.fromhex(entry["bytes"])
    topic = next(topic for topic in TOPICS if record in topic.records)
    if topic in CHANGELOGS:
        # What lies in a store says nothing of its schema.
        assert stored_decoder(record)(body, 0) == read
        return
    files = FILES[release]
    topics = TopicDecoder(topic, counted_ids())
    topics.learn(900, RegisteredSchema((subject(topic, record),), files.text(record)))
    assert topics.decode(header_of(900) + body) == Decoded(record, read)


STORED_WITH_MORE = [
    (earlier, later, record)
    for earlier, later in pairwise(RELEASES)
    for topic in CHANGELOGS
    for record in topic.records
    if record in golden(earlier)
    and golden(earlier)[record]["value"].keys() != golden(later)[record]["value"].keys()
]


@pytest.mark.parametrize(("earlier", "later", "record"), STORED_WITH_MORE)
def test_f89_a_reader_of_a_release_refuses_what_the_next_one_has_stored_with_more(
    earlier: str, later: str, record: str
) -> None:
    """Else two versions of the workers could decide one partition by turns."""
    read = decoder_of(FILES[earlier].inlined(record))
    with pytest.raises(Refused):
        read(bytes.fromhex(golden(later)[record]["bytes"]), 0)


def with_defaults(schema: Any, value: Any) -> Any:
    """Return a value with the default of each field that it lacks, at any depth."""
    if isinstance(schema, dict) and schema["type"] == "record":
        fields = schema["fields"]
        return {
            field["name"]: with_defaults(
                field["type"], value.get(field["name"], field.get("default"))
            )
            for field in fields
        }
    if isinstance(schema, dict) and schema["type"] == "array":
        return [with_defaults(schema["items"], item) for item in value]
    return value


def encoder_arguments(record: str) -> list[str]:
    first = inlined(record)["fields"][0]["type"]
    return ["span"] if isinstance(first, dict) and first["type"] == "record" else []


def test_a_tick_by_hand() -> None:
    # 1,764,000,000,123 doubled, in groups of seven bits, lowest first
    unsigned = 2 * 1_764_000_000_123
    groups = [unsigned >> shift & 127 for shift in range(0, 42, 7)]
    body = bytes([group | 128 for group in groups[:-1]] + groups[-1:])
    assert bytes.fromhex(golden("v1")["io.seatstream.commands.Tick"]["bytes"]) == body


def test_a_status_record_of_a_5000_seat_section_takes_at_most_50_bytes() -> None:
    body = encoder("io.seatstream.status.SectionStatusEvent")(
        4711, b"A-12", 5000, 1_764_000_000_123, 1_000_000, 5000, 1000
    )
    header_bytes = 5
    assert len(body) + header_bytes <= 50
