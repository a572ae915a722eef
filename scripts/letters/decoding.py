"""A dead letter's value for people: decoded with the schema that wrote it, else as a hexdump."""

import io
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import fastavro

from scripts.auditing.schemas import (
    HEADER_BYTES,
    VALUE_BYTES_MAX,
    Strict,
    Unreadable,
    named_in,
)
from serdes.registry.client import Registry, RegistryRefusedError, RegistryUnavailableError

NO_SCHEMA = (
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    fastavro.schema.SchemaParseException,
)
LINE_BYTES = 16
SHOWN_BYTES = 1_024

Fields = dict[str, Any]
SchemaText = Callable[[int], str]
"""Gives the text of a schema by its id; raises Unreadable where there is none."""


class Decoded(NamedTuple):
    """What a value says; name: of its record, fields: as its writer wrote them."""

    name: str
    fields: Fields


def decode(value: bytes | None, schema_text: SchemaText) -> Decoded:
    """Return a value as its writer meant it, whatever our rules say of it; raises Unreadable.

    Bytes and schema may be a stranger's: sizes and counts are looked at before a library is
    given them.
    """
    if value is None:
        raise Unreadable("no value")
    if len(value) > VALUE_BYTES_MAX:
        raise Unreadable("more than 64 kB")
    if len(value) < HEADER_BYTES or value[0] != 0:
        raise Unreadable("no Confluent header")
    try:
        schema = fastavro.parse_schema(json.loads(schema_text(_id_in(value))))
    except NO_SCHEMA as error:
        raise Unreadable(f"its schema is none: {error!r:.200}") from None
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise Unreadable("its schema is of no record")
    body = value[HEADER_BYTES:]
    try:
        end = Strict(body, named_in(schema)).passed(schema, 0)
        if end != len(body):
            raise Unreadable("bytes behind the record")
        fields: Any = fastavro.schemaless_reader(io.BytesIO(body), schema, None)
    except (ArithmeticError, EOFError, MemoryError, *NO_SCHEMA) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None
    return Decoded(str(schema["name"]), dict(fields))


def _id_in(value: bytes) -> int:
    return int.from_bytes(value[1:HEADER_BYTES], "big")


def asks(registry: Registry) -> SchemaText:
    """Return a function that asks a registry, once for each id."""
    known: dict[int, str] = {}

    def schema_text(schema_id: int) -> str:
        if schema_id not in known:
            try:
                known[schema_id] = str(registry.call("GET", f"schemas/ids/{schema_id}")["schema"])
            except RegistryRefusedError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    raise Unreadable(f"the registry has no schema {schema_id}") from None
                raise Unreadable(f"the registry refuses: {error}") from None
            except (RegistryUnavailableError, LookupError, TypeError) as error:
                raise Unreadable(f"the registry does not answer: {error}") from None
        return known[schema_id]

    return schema_text


def hexdump(content: bytes, most: int = SHOWN_BYTES) -> Iterator[str]:
    """Yield lines of offset, bytes in hexadecimal, and what of them is ASCII.

    most: bytes that are shown; a last line says how many are not.
    """
    for at in range(0, min(len(content), most), LINE_BYTES):
        part = content[at : min(at + LINE_BYTES, most)]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{at:08x}  {part.hex(' '):{3 * LINE_BYTES - 1}}  |{shown}|"
    if len(content) > most:
        yield f"... {len(content) - most} bytes more"
