"""Bytes of one topic in; values, or what is wrong with them, out. Never raises on bad input."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from schemas.topics import Topic, subject
from serdes.avro.block_forms import BlockForms
from serdes.avro.codegen import Decode, decoder
from serdes.avro.general import GeneralReader
from serdes.avro.refused import Refused
from serdes.avro.schema_files import current, fingerprint_of, inlined, name_of, qualified
from serdes.avro.schema_rules import faults_of
from serdes.registry.ids import NOT_A_SCHEMA, RegisteredSchema, SchemaIds
from serdes.wire import HEADER_BYTES, SCHEMA_ID_MAX, VALUE_BYTES_MAX, header_of, schema_id_of

HEADERS_MAX = 100
HEADERS_BYTES_MAX = 64 * 1024

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record: the full name of its schema, and its fields in the form of `codegen`."""

    name: str
    fields: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Bytes that are no record of this topic, and become a dead letter.

    reason: one of a few words, for counting; detail: for a human.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A null value; where a topic is not compacted it is ignored, with an alarm."""


@dataclass(frozen=True, slots=True)
class UnknownSchema:
    """A schema id that the decoder does not know: ask the registry, `learn`, decode again.

    Operator action: when the registry does not know it either, look for a producer that writes
    to the wrong environment.
    """

    schema_id: int


@dataclass(frozen=True, slots=True)
class UnknownRecordType:
    """A record of this topic that only newer code understands.

    Operator action: roll out the consumers before the producers; the partition waits.
    """

    detail: str


Verdict = Decoded | Undecodable | Tombstone | UnknownSchema | UnknownRecordType

TOMBSTONE = Tombstone()

# Reasons of Undecodable.
EMPTY = "EMPTY_VALUE"
TOO_LARGE = "TOO_LARGE"
BAD_HEADER = "BAD_WIRE_HEADER"
FOREIGN_SUBJECT = "FOREIGN_SUBJECT"
BAD_SCHEMA = "BAD_SCHEMA"
BAD_BODY = "BAD_BODY"
BAD_RECORD_HEADERS = "BAD_RECORD_HEADERS"
UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"


class TopicDecoder:
    """Decodes the values of one topic.

    The hot loop uses `by_header` itself: `by_header[value[:5]]` is (full name, generated decoder),
    to be called as `decode(value, 5)`. That decoder raises Refused for invalid bytes, and for
    valid arrays in another block form than our encoders write. Call `TopicDecoder.decode` after a
    Refused, for a header that is not in `by_header`, and for a record with headers.
    """

    def __init__(self, topic: Topic, ids: SchemaIds) -> None:
        self.by_header: dict[bytes, tuple[str, Decode]] = {}
        self._record_by_subject = {subject(topic, name): name for name in topic.records}
        self._prefix = subject(topic, "")
        self._others: dict[int, _OtherVersion | Undecodable | UnknownRecordType] = {}
        for schema_id, registered in ids.by_id().items():
            self.learn(schema_id, registered)

    def learn(self, schema_id: int, registered: RegisteredSchema) -> None:
        """Take in what an id stands for, as the registry tells it."""
        names = [
            self._record_by_subject[name]
            for name in registered.subjects
            if name in self._record_by_subject
        ]
        if names:
            self._learn_version(schema_id, names[0], registered.text)
        elif any(name.startswith(self._prefix) for name in registered.subjects):
            self._others[schema_id] = UnknownRecordType(
                f"schema {schema_id} of {', '.join(registered.subjects)}"
            )
        else:
            self._others[schema_id] = Undecodable(
                FOREIGN_SUBJECT, f"schema {schema_id} of {', '.join(registered.subjects)}"
            )

    def decode(self, value: bytes | None, headers: Headers = ()) -> Verdict:
        """Return the record, or the reason why there is none."""
        if headers and (refusal := refusal_of(headers)):
            return Undecodable(BAD_RECORD_HEADERS, refusal)
        if value is None:
            return TOMBSTONE
        if not value:
            return Undecodable(EMPTY, "no bytes")
        if len(value) > VALUE_BYTES_MAX:
            return Undecodable(TOO_LARGE, f"{len(value)} bytes")
        known = self.by_header.get(value[:HEADER_BYTES])
        try:
            if known is not None:
                name, decode = known
                try:
                    return Decoded(name, decode(value, HEADER_BYTES))
                except Refused:
                    # Arrays may be valid, and in another form than the fast decoder knows.
                    single = _block_forms(name).single(value, HEADER_BYTES)
                    if single is value:
                        raise
                    return Decoded(name, decode(single, HEADER_BYTES))
            schema_id = schema_id_of(value)
            if schema_id is None:
                return Undecodable(BAD_HEADER, "no Confluent header")
            other = self._others.get(schema_id)
            if other is None:
                # Registries count from 1 in an int: nobody is asked for what none gives out.
                if not 0 < schema_id <= SCHEMA_ID_MAX:
                    return Undecodable(
                        UNKNOWN_SCHEMA, f"schema {schema_id}, which no registry has"
                    )
                return UnknownSchema(schema_id)
            return other.decode(value) if isinstance(other, _OtherVersion) else other
        except Refused as error:
            return Undecodable(BAD_BODY, str(error))

    def _learn_version(self, schema_id: int, name: str, text: str) -> None:
        if text == current().text(name):
            self.by_header[header_of(schema_id)] = (name, decoder(name))
            return
        pinned = inlined(name)
        try:
            writer = qualified(json.loads(text))
            faults = faults_of(writer) or _misnamed(writer, name)
            if faults:
                self._others[schema_id] = Undecodable(BAD_SCHEMA, "; ".join(faults))
            # Another text of the same wire format, say with other docs, is read as fast.
            elif fingerprint_of(writer) == fingerprint_of(pinned):
                self.by_header[header_of(schema_id)] = (name, decoder(name))
            else:
                self._others[schema_id] = _OtherVersion(name, writer, pinned)
        except NOT_A_SCHEMA as error:
            detail = f"schema {schema_id}: {type(error).__name__}: {error}"
            self._others[schema_id] = Undecodable(BAD_SCHEMA, detail)


def _misnamed(writer: dict[str, Any], name: str) -> list[str]:
    return [] if name_of(writer) == name else [f"{name_of(writer)} under a subject of {name}"]


@cache
def _block_forms(name: str) -> BlockForms:
    return BlockForms(inlined(name))


class _OtherVersion:
    """Another version of a pinned subject: read by schema resolution."""

    def __init__(self, name: str, writer: dict[str, Any], pinned: dict[str, Any]) -> None:
        self._name = name
        self._writer = GeneralReader(writer)
        self._blocks = BlockForms(writer)
        self._reader = GeneralReader(pinned)
        self._known = self._reader.enum_symbols()

    def decode(self, value: bytes) -> Decoded | UnknownRecordType:
        """Return the record as our schema knows it. Raises Refused."""
        value = self._blocks.single(value, HEADER_BYTES)
        for enum, symbol in self._writer.symbols(value, HEADER_BYTES):
            # Avro would fall back to the enum's default: another command than was meant.
            if symbol not in self._known.get(enum, (symbol,)):
                return UnknownRecordType(f"{enum} has no {symbol} here")
        fields = self._writer.resolved(value, HEADER_BYTES, self._reader)
        return Decoded(self._name, fields)


def refusal_of(headers: Headers) -> str | None:
    """Return why a record has too many headers, or too large ones, or None."""
    if len(headers) > HEADERS_MAX:
        return f"{len(headers)} headers"
    # A character of a name has four bytes at most: nearly always that is proof enough.
    bound = 0
    for name, value in headers:
        bound += 4 * len(name) + (len(value) if value else 0)
    if bound <= HEADERS_BYTES_MAX:
        return None
    # Any bytes may be a name: those that are not UTF-8 come as surrogates.
    size = sum(
        len(key.encode("utf-8", "surrogateescape")) + len(value or b"") for key, value in headers
    )
    return f"{size} bytes of headers" if size > HEADERS_BYTES_MAX else None
