"""Decoders and encoders of records in stores and changelogs, which have no schema id beside them.

Releases only add fields at the end of a record, and every decoder demands that its last field ends
the bytes. So the bytes of a record satisfy the decoder of one release at most: the one it is of.
"""

import copy
from functools import cache
from typing import Any

from serdes.avro.codegen import Decode, Encode, decoder, decoder_of, encoder_of
from serdes.avro.generated_source import named_types
from serdes.avro.refused import Refused
from serdes.avro.schema_files import Schema, fingerprint_of, inlined, releases
from serdes.wire import VALUE_BYTES_MAX


@cache
def stored_encoder(full_name: str) -> Encode:
    """Return `encode(*fields)` as `encoder` does; it writes nothing that could not be read again.

    It raises TooLong for a record that is longer than decoders take. Stored, that record would
    take its whole partition out of service; so who asks for it is refused.
    """
    return encoder_of(inlined(full_name), bytes_max=VALUE_BYTES_MAX)


@cache
def stored_decoder(full_name: str) -> Decode:
    """Return `decode(data, at)` as `decoder` does; it reads the records of each release as well.

    Fields that a release did not have yet get their defaults. Raises ValueError where a release
    differs from the present schema in more than fields and symbols added at the end.
    """
    present = decoder(full_name)
    former = [_former(full_name, schema) for schema in _former_schemas(full_name)]
    if not former:
        return present

    def decode(data: bytes, at: int) -> tuple[Any, ...]:
        try:
            return present(data, at)
        except Refused:
            for read, defaults in former:
                try:
                    return read(data, at) + defaults
                except Refused:
                    continue
            raise

    return decode


def _former_schemas(full_name: str) -> list[Schema]:
    """Return the record's schema in each release, newest first; equal wire formats only once.

    Those of the present wire format are left out.
    """
    known = {fingerprint_of(inlined(full_name))}
    found: list[Schema] = []
    for files in reversed(releases()):
        if full_name in files.by_name:
            schema = files.inlined(full_name)
            if (fingerprint := fingerprint_of(schema)) not in known:
                known.add(fingerprint)
                found.append(schema)
    return found


def _former(full_name: str, schema: Schema) -> tuple[Decode, tuple[Any, ...]]:
    """Return the decoder of a released schema, and the defaults of the fields added since."""
    present = inlined(full_name)
    count = len(schema["fields"])
    begin = _with_symbols_of(schema, {**present, "fields": present["fields"][:count]})
    if fingerprint_of(begin) != fingerprint_of(schema):
        raise ValueError(f"{full_name} differs from a release in more than what ends it")
    added = present["fields"][count:]
    return decoder_of(schema), tuple(_default(field) for field in added)


def _with_symbols_of(released: Schema, schema: Schema) -> Schema:
    """Return a schema whose enums end with the last symbol that a release had.

    Symbols added at the end change no bytes: a symbol is written as its index.
    """
    former = named_types(released)
    schema = copy.deepcopy(schema)
    for name, part in named_types(schema).items():
        if part["type"] == "enum" and name in former:
            part["symbols"] = part["symbols"][: len(former[name]["symbols"])]
    return schema


def _default(field: dict[str, Any]) -> Any:
    """Return a field's default in the form of generated decoders; ValueError for other types."""
    match field["default"]:
        case str() as text if field["type"] == "string":
            return text.encode()
        case bool() | int() as number:
            return number
        case []:
            return ()
    raise ValueError(f"{field['name']}: no default that stores know")
