"""The decoder rule in its readable form: fastavro decodes, then one check follows another.

Reads records whose writer's schema is another version than ours, for which no code is generated;
and the tests compare the generated decoders with it.
"""

import io
from collections.abc import Iterator
from typing import Any

import fastavro

from serdes.avro.field_rules import FREE, FieldRules, rules_of
from serdes.avro.generated_source import IDENTITY, named_types
from serdes.avro.refused import Refused
from serdes.avro.schema_files import Schema, name_of
from serdes.wire import VALUE_BYTES_MAX

_BITS = {"int": 32, "long": 64}

# What fastavro raises on bytes that are no record of the schema; MemoryError where they declare
# a length that no memory holds.
_NOT_OF_SCHEMA = (
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    StopIteration,
    TypeError,
    ValueError,
)


class GeneralReader:
    """Reads records of one writer's schema, as fastavro's dictionaries."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._types = named_types(schema)
        self._parsed = fastavro.parse_schema(schema)

    def read(self, data: bytes, at: int) -> dict[str, Any]:
        """Return the record that fills data from `at` to its end, each array in one block.

        Raises Refused for any other bytes.
        """
        value = self._decoded(data, at)
        check(self.schema, value, self._types)
        if encoded(self._parsed, value) != data[at:]:
            raise Refused("not the form that an encoder writes")
        return value

    def resolved(self, data: bytes, at: int, reader: "GeneralReader") -> tuple[Any, ...]:
        """Return the record as a reader's schema has it, in the form of its generated decoder.

        Raises Refused, also where Avro's schema resolution fails for these schemas.
        """
        self.read(data, at)
        try:
            value = fastavro.schemaless_reader(
                io.BytesIO(data[at:]),
                self._parsed,
                reader._parsed,  # noqa: SLF001 (own class)
            )
        except (fastavro.read.SchemaResolutionError, *_NOT_OF_SCHEMA) as error:
            raise Refused(f"does not resolve: {error}") from error
        assert isinstance(value, dict)
        check(reader.schema, value, reader._types)  # noqa: SLF001 (own class)
        return flattened(reader.schema, value)

    def symbols(self, data: bytes, at: int) -> Iterator[tuple[str, str]]:
        """Yield (full name of its enum, symbol) for each enum value. Raises Refused."""
        return _symbols(self.schema, self.read(data, at), self._types)

    def enum_symbols(self) -> dict[str, tuple[str, ...]]:
        """Return the symbols of each enum of the schema, by its full name."""
        return {
            name: tuple(part["symbols"])
            for name, part in self._types.items()
            if part["type"] == "enum"
        }

    def _decoded(self, data: bytes, at: int) -> dict[str, Any]:
        if len(data) > VALUE_BYTES_MAX:
            raise Refused(f"more than {VALUE_BYTES_MAX} bytes")
        body = io.BytesIO(data[at:])
        try:
            value = fastavro.schemaless_reader(body, self._parsed, None)
        except _NOT_OF_SCHEMA as error:
            raise Refused(f"{type(error).__name__}: {error}") from error
        if body.read(1):
            raise Refused("bytes after the record")
        assert isinstance(value, dict)
        return value


def check(schema: Schema, value: Any, types: dict[str, Schema], rules: FieldRules = FREE) -> None:
    """Check what fastavro does not: that numbers have at most 32 or 64 bits, and the field rules.

    Raises Refused.
    """
    if isinstance(schema, str):
        schema = types.get(schema, schema)
    if isinstance(schema, list):
        if value is not None:
            check(schema[1], value, types)
        return
    match schema if isinstance(schema, str) else schema["type"]:
        case "int" | "long" as kind:
            half = 1 << (_BITS[kind] - 1)
            if not -half <= value < half:
                raise Refused(f"{value} is not an {kind}")
            if rules.minimum is not None and value < rules.minimum:
                raise Refused(f"{value} is below {rules.minimum}")
        case "string":
            _check_bytes(value.encode(), rules)
        case "bytes":
            _check_bytes(value, rules)
        case "array":
            for item in value:
                check(schema["items"], item, types)
        case "record":
            for field in schema["fields"]:
                check(field["type"], value[field["name"]], types, rules_of(field))


def _check_bytes(value: bytes, rules: FieldRules) -> None:
    if len(value) < rules.bytes_min:
        raise Refused(f"fewer than {rules.bytes_min} bytes")
    if rules.bytes_max is not None and len(value) > rules.bytes_max:
        raise Refused(f"more than {rules.bytes_max} bytes")
    if rules.charset is not None and set(value) - set(rules.charset):
        raise Refused("a character that is not allowed")


def encoded(parsed: Any, value: Any) -> bytes:
    """Return fastavro's encoding of a value. Raises Refused where the value does not fit."""
    body = io.BytesIO()
    try:
        fastavro.schemaless_writer(body, parsed, value)
    except _NOT_OF_SCHEMA as error:
        raise Refused(f"{type(error).__name__}: {error}") from error
    return body.getvalue()


def flattened(schema: Schema, record: dict[str, Any]) -> tuple[Any, ...]:
    """Return a record in the form of generated decoders, which `codegen` describes."""
    types = named_types(schema)

    def convert(part: Schema, value: Any) -> Any:
        part = types.get(part, part) if isinstance(part, str) else part
        if isinstance(part, list):
            return None if value is None else convert(part[1], value)
        match part if isinstance(part, str) else part["type"]:
            case "string":
                return value.encode()
            case "enum":
                return part["symbols"].index(value)
            case "array":
                return tuple(convert(part["items"], item) for item in value)
            case "record" if name_of(part) == IDENTITY:
                return encoded(fastavro.parse_schema(part), value)
            case "record":
                return tuple(
                    convert(field["type"], value[field["name"]]) for field in part["fields"]
                )
            case _:
                return value

    fields: list[Any] = []
    for field in schema["fields"]:
        part, value = types.get(str(field["type"]), field["type"]), record[field["name"]]
        if not fields and IDENTITY in types and part is types[IDENTITY]:
            fields += (convert(inner["type"], value[inner["name"]]) for inner in part["fields"])
        fields.append(convert(part, value))
    return tuple(fields)


def _symbols(schema: Schema, value: Any, types: dict[str, Schema]) -> Iterator[tuple[str, str]]:
    schema = types.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, list):
        if value is not None:
            yield from _symbols(schema[1], value, types)
    elif isinstance(schema, dict) and schema["type"] == "enum":
        yield name_of(schema), value
    elif isinstance(schema, dict) and schema["type"] == "array":
        for item in value:
            yield from _symbols(schema["items"], item, types)
    elif isinstance(schema, dict) and schema["type"] == "record":
        for field in schema["fields"]:
            yield from _symbols(field["type"], value[field["name"]], types)
