"""Records of a batch in; commands, or dead letters, out."""

from __future__ import annotations

from collections.abc import Sequence

from serdes.avro.refused import Refused
from serdes.decoding import (
    UNKNOWN_SCHEMA,
    Decoded,
    Tombstone,
    Undecodable,
    UnknownRecordType,
)
from serdes.decoding import UnknownSchema as UnknownSchemaId
from serdes.wire import HEADER_BYTES
from state.domain.keys import PROGRESS_KEY, RESERVATION, tick_version
from state.records.section import PLAN_AT
from streams.batch import DeadLetter, NewerProducer, Record, UnknownSchema
from streams.change_sections.fold import Fields, Fold, refuse_newer


def read(fold: Fold, records: Sequence[Record]) -> tuple[list[str], list[Fields], list[bytes]]:
    """Return for each record its full name ("" for none), its fields, and a key to look up.

    Raises UnknownSchema or NewerProducer before anything is decided.
    """
    names: list[str] = []
    decoded: list[Fields] = []
    keys: list[bytes] = []
    by_header = fold.codecs.commands.by_header
    for record in records:
        value = record.value
        headers = record.headers
        try:
            # The usual record. `_read_unusual` would read it as well, but a little slower.
            if value is None or headers:
                name, fields = _read_unusual(fold, record)
            else:
                name, decode = by_header[value[:HEADER_BYTES]]
                fields = decode(value, HEADER_BYTES)
        except (KeyError, Refused):
            name, fields = _read_unusual(fold, record)
        names.append(name)
        decoded.append(fields)
        if len(fields) > PLAN_AT:
            keys.append(RESERVATION + fields[0])
        else:
            # Ticks and unreadable records have no reservation; the progress is there to look up.
            keys.append(PROGRESS_KEY)
            if fields:
                refuse_newer(tick_version(record.key))
    return names, decoded, keys


def _read_unusual(fold: Fold, record: Record) -> tuple[str, Fields]:
    verdict = fold.codecs.commands.decode(record.value, record.headers)
    match verdict:
        case Decoded(name, fields):
            return name, fields
        case Undecodable(reason, detail):
            return _bury(fold, record, reason, detail)
        case Tombstone():
            fold.count("TOMBSTONE")
            return "", ()
        case UnknownSchemaId(schema_id):
            if schema_id not in fold.batch.unknown_schemas:
                raise UnknownSchema(schema_id, _unknown_ids(fold))
            return _bury(fold, record, UNKNOWN_SCHEMA, f"schema {schema_id}")
        case UnknownRecordType(detail):
            raise NewerProducer(detail)


def _unknown_ids(fold: Fold) -> set[int]:
    """Return every id of the batch that nobody has told us yet."""
    decode = fold.codecs.commands.decode
    verdicts = [decode(record.value, record.headers) for record in fold.batch.records]
    found = {one.schema_id for one in verdicts if isinstance(one, UnknownSchemaId)}
    return found - fold.batch.unknown_schemas


def _bury(fold: Fold, record: Record, reason: str, detail: str) -> tuple[str, Fields]:
    fold.effects.dead_letters.append(DeadLetter(record, reason, detail))
    return "", ()
