"""Records of a batch in; their names and fields, or dead letters, out."""

from __future__ import annotations

from collections.abc import Sequence

from infra.process.record_ids import Headers
from serdes.avro.refused import Refused
from serdes.decoding import (
    UNKNOWN_SCHEMA,
    Decoded,
    Tombstone,
    TopicDecoder,
    Undecodable,
    UnknownRecordType,
    refusal_of,
)
from serdes.decoding import UnknownSchema as UnknownSchemaId
from serdes.wire import HEADER_BYTES, VALUE_BYTES_MAX
from streams.batch import Batch, NewerProducer, Record, UnknownSchema
from streams.folding.fold import Fields, Fold
from streams.folding.ticks import tick_version


def read(fold: Fold, records: Sequence[Record]) -> tuple[list[str], list[Fields]]:
    """Return the full name and the fields of each record; "" and () for one that says nothing.

    A record that says nothing is a tombstone, or became a dead letter here.
    Raises UnknownSchema or NewerProducer before anything is decided.
    """
    names: list[str] = []
    decoded: list[Fields] = []
    tick_name = fold.tick_name
    by_header = _decoder(fold).by_header
    for record in records:
        value = record.value
        headers = record.headers
        try:
            # The usual record. `_read_unusual` would read it as well, but a little slower.
            if value is None or (headers and not _are_usual(fold, headers, value)):
                name, fields = _read_unusual(fold, record)
            else:
                name, decode = by_header[value[:HEADER_BYTES]]
                fields = decode(value, HEADER_BYTES)
        except (KeyError, Refused):
            name, fields = _read_unusual(fold, record)
        names.append(name)
        decoded.append(fields)
        if name == tick_name:
            fold.refuse_newer(tick_version(record.key))
    return names, decoded


def _are_usual(fold: Fold, headers: Headers, value: bytes) -> bool:
    """Note that there are headers; say whether they and the value are refused by no decoder."""
    fold.has_headers = True
    return len(value) <= VALUE_BYTES_MAX and refusal_of(headers) is None


def _read_unusual(fold: Fold, record: Record) -> tuple[str, Fields]:
    match told(_decoder(fold), fold.batch, record):
        case Decoded(name, fields):
            return name, fields
        case Undecodable(reason, detail):
            fold.bury(record, reason, detail)
        case None:
            fold.count("TOMBSTONE")
    return "", ()


def told(decoder: TopicDecoder, batch: Batch, record: Record) -> Decoded | Undecodable | None:
    """Return what a record of a batch says, or why it says nothing; None for a tombstone.

    Raises UnknownSchema or NewerProducer: to be asked before anything of the batch is decided.
    """
    verdict = decoder.decode(record.value, record.headers)
    match verdict:
        case Decoded() | Undecodable():
            return verdict
        case Tombstone():
            return None
        case UnknownSchemaId(schema_id):
            if schema_id not in batch.unknown_schemas:
                raise UnknownSchema(schema_id, _unknown_ids(decoder, batch))
            return Undecodable(UNKNOWN_SCHEMA, f"schema {schema_id}")
        case UnknownRecordType(detail):
            raise NewerProducer(detail)


def _unknown_ids(decoder: TopicDecoder, batch: Batch) -> set[int]:
    """Return the unknown schema ids of a batch that the registry was not asked for yet."""
    decode = decoder.decode
    verdicts = [decode(record.value, record.headers) for record in batch.records]
    found = {one.schema_id for one in verdicts if isinstance(one, UnknownSchemaId)}
    return found - batch.unknown_schemas


def _decoder(fold: Fold) -> TopicDecoder:
    assert fold.decoder is not None, "this fold reads its records itself"
    return fold.decoder
