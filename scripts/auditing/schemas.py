"""Reads and writes records with nothing but fastavro and the `.avsc` files.

The auditor's own decoder rule: size, header, known schema, decode, ranges that the schema states
beside a field (`charset`, `minBytes`, `maxBytes`, `minimum`), and strict form, which also finds
bytes behind the record.
"""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException

import schemas
from schemas.topics import Topic
from scripts.auditing.quick.reading import UNREAD, Read, reader_of
from scripts.auditing.quick.writing import UNWRITTEN, Write, writer_of

VALUE_BYTES_MAX = 64 * 1024
HEADER_BYTES = 5
HISTORY = "history"
INT_MIN, INT_MAX = -(2**31), 2**31 - 1

Schema = Any
Fields = dict[str, Any]


Ruled = tuple[tuple[str, ...], Callable[[Any], Any], Mapping[str, Any]]
"""Where a field is, `surely_kept` of its range, and what the schema says beside it."""


class Unreadable(Exception):
    """These bytes are no record of a schema that the topic has."""


class Avro:
    """The schemas of the repository, by the last part of their name."""

    def __init__(self, root: Path = Path(schemas.__file__).parent) -> None:
        self._raw = _schemas_in(path for path in root.rglob("*.avsc") if HISTORY not in path.parts)
        self._parsed = {
            name.rpartition(".")[2]: fastavro.parse_schema(expanded(schema, self._raw))
            for name, schema in self._raw.items()
        }
        self._released = [
            _schemas_in(folder.rglob("*.avsc"))
            for folder in sorted((root / HISTORY).glob("v*"), key=lambda path: int(path.name[1:]))
        ]
        self._rules = {
            name.rpartition(".")[2]: list(self._ruled(schema, ()))
            for name, schema in self._raw.items()
            if schema["type"] == "record"
        }
        self._former: dict[str, list[Schema]] = {}
        self._readers: dict[str, Read | None] = {}
        self._writers: dict[str, Write | None] = {}
        # By identity, which holds as long as the schema beside it does.
        self._named: dict[int, tuple[Schema, Mapping[str, Schema]]] = {}

    def knows(self, name: str) -> bool:
        """Say whether a record of this name is the repository's."""
        return name in self._rules

    def own_record(self, text: Any) -> tuple[str, Schema] | None:
        """Return the last part of the name, and the schema as parsed, of a text in the registry.

        None where it is not a record of ours, whatever it is; the schema is None where it writes
        the same bytes as the repository's own.
        """
        try:
            schema = json.loads(text)
            full_name = schema["name"]
            if "." not in full_name:
                full_name = f"{schema['namespace']}.{full_name}"
            if full_name not in self._raw:
                return None
            name = full_name.rpartition(".")[2]
            parsed = fastavro.parse_schema(schema)
        except (LookupError, RecursionError, SchemaParseException, TypeError, ValueError):
            # Protobuf, a JSON schema, Avro that is no record: a stranger's.
            return None
        if not self.knows(name):
            return None
        return name, None if self.is_own(name, parsed) else parsed

    def is_own(self, name: str, writer: Schema) -> bool:
        """Say whether a schema writes the same bytes as the repository's own."""
        canonical = fastavro.schema.to_parsing_canonical_form
        return bool(canonical(writer) == canonical(self._parsed[name]))

    def encode(self, name: str, fields: Fields) -> bytes:
        """Return the body of a record."""
        write = self.quick_writer(name)
        if write is not None:
            try:
                return write(fields)
            except UNWRITTEN:
                pass
        return self.encode_plainly(name, fields)

    def encode_plainly(self, name: str, fields: Fields) -> bytes:
        """As `encode`, by fastavro alone."""
        body = io.BytesIO()
        fastavro.schemaless_writer(body, self._parsed[name], fields)
        return body.getvalue()

    def decode(self, name: str, body: bytes, writer: Schema = None) -> Fields:
        """Return the fields of a body; raise Unreadable where it is not exactly one record.

        writer: the schema that it was written with, as parsed; None for the repository's own.
        """
        if writer is None and (read := self.quick_reader(name)) is not None:
            try:
                return read(body)
            except UNREAD:
                pass
        return self.decode_plainly(name, body, writer)

    def decode_plainly(self, name: str, body: bytes, writer: Schema = None) -> Fields:
        """As `decode`, by fastavro, and byte by byte where it overlooks something."""
        own = self._parsed[name]
        written = writer or own
        try:
            as_written: Any = fastavro.schemaless_reader(io.BytesIO(body), written, None)
            again = io.BytesIO()
            fastavro.schemaless_writer(again, written, as_written)
            # What an encoder of ours would write is strict; all else is looked at.
            if again.getvalue() != body:
                end = Strict(body, self._named_in(written)).passed(written, 0)
                if end != len(body):
                    raise Unreadable("bytes behind the record")
            fields: Any = as_written
            if writer is not None:
                fields = fastavro.schemaless_reader(io.BytesIO(body), written, own)
        except (
            ArithmeticError,
            EOFError,
            LookupError,
            MemoryError,
            TypeError,
            ValueError,
            fastavro.read.SchemaResolutionError,
        ) as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from None
        for path, is_surely_kept, rule in self._rules[name]:
            value = fields
            for key in path:
                value = value[key]
            if not is_surely_kept(value) and (fault := broken(rule, value)):
                raise Unreadable(f"{'.'.join(path)}: {fault}")
        return dict(fields)

    def decode_stored(self, name: str, body: bytes) -> Fields:
        """Return the fields of a body without a header, of whichever release; as `decode`."""
        try:
            return self.decode(name, body)
        except Unreadable:
            with suppress(Unreadable):
                return self.decode_former(name, body)
            raise

    def decode_former(self, name: str, body: bytes) -> Fields:
        """Return the fields of a body that an earlier release wrote; raise Unreadable."""
        if name not in self._former:
            self._former[name] = list(self._former_of(name))
        for writer in self._former[name]:
            with suppress(Unreadable):
                return self.decode(name, body, writer)
        raise Unreadable("of no release")

    def quick_reader(self, name: str) -> Read | None:
        """Return what reads the usual records of a name quickly, or nothing; made once."""
        if name not in self._readers:
            schema = self._parsed[name]
            rules = {path: rule for path, _, rule in self._rules[name]}
            self._readers[name] = reader_of(schema, self._named_in(schema), rules)
        return self._readers[name]

    def quick_writer(self, name: str) -> Write | None:
        """Return what writes the records of a name quickly, or nothing; made once."""
        if name not in self._writers:
            schema = self._parsed[name]
            self._writers[name] = writer_of(schema, self._named_in(schema))
        return self._writers[name]

    def _former_of(self, name: str) -> Iterator[Schema]:
        """Yield what releases wrote under a name otherwise than we do, newest first, as parsed."""
        full_name = next(full for full in self._raw if full.rpartition(".")[2] == name)
        for release in reversed(self._released):
            if full_name in release:
                writer = fastavro.parse_schema(expanded(release[full_name], release))
                if not self.is_own(name, writer):
                    yield writer

    def _named_in(self, schema: Schema) -> Mapping[str, Schema]:
        """Return every definition inside a parsed schema; made once for each, for they stay."""
        if id(schema) not in self._named:
            self._named[id(schema)] = schema, named_in(schema)
        return self._named[id(schema)][1]

    def _ruled(self, schema: Schema, path: tuple[str, ...]) -> list[Ruled]:
        """Return the fields, at any depth of records, that have a range to keep."""
        found = []
        for field in schema["fields"]:
            here = (*path, field["name"])
            kind = field["type"]
            limits = {"charset", "minBytes", "maxBytes", "minimum"} & field.keys()
            if limits or kind == "int":
                found.append((here, surely_kept(field), field))
            if isinstance(kind, str) and self._raw.get(kind, {}).get("type") == "record":
                found += self._ruled(self._raw[kind], here)
        return found


@cache
def own_schemas() -> Avro:
    """Return the schemas of this repository, read once."""
    return Avro()


def _schemas_in(paths: Iterable[Path]) -> dict[str, Any]:
    """Return the schemas of some files by their full names."""
    schemas_ = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    return {f"{schema['namespace']}.{schema['name']}": schema for schema in schemas_}


def expanded(
    schema: Schema, by_name: Mapping[str, Schema], seen: set[str] | None = None
) -> Schema:
    """Return a schema with every reference replaced by its definition at first use."""
    seen = set() if seen is None else seen
    if isinstance(schema, str):
        if schema in seen or schema not in by_name:
            return schema
        return expanded(by_name[schema], by_name, seen)
    if isinstance(schema, list):
        return [expanded(branch, by_name, seen) for branch in schema]
    if schema["type"] == "array":
        return schema | {"items": expanded(schema["items"], by_name, seen)}
    if "name" in schema:
        seen.add(f"{schema['namespace']}.{schema['name']}")
    if schema["type"] != "record":
        return schema
    fields = [
        field | {"type": expanded(field["type"], by_name, seen)} for field in schema["fields"]
    ]
    return schema | {"fields": fields}


def named_in(schema: Schema) -> dict[str, Schema]:
    """Return every definition inside a parsed schema, by its name."""
    if isinstance(schema, list):
        return {name: one for part in schema for name, one in named_in(part).items()}
    if not isinstance(schema, dict):
        return {}
    own = {schema["name"]: schema} if "name" in schema else {}
    inner = [field["type"] for field in schema.get("fields", ())]
    return own | named_in([*inner, schema.get("items")])


class Strict:
    """Passes over a body byte by byte: fastavro overlooks sizes, overlong numbers and more."""

    def __init__(self, body: bytes, named: Mapping[str, Schema]) -> None:
        self._body = body
        self._named = named

    def passed(self, schema: Schema, at: int) -> int:
        """Return the position behind a value; raise Unreadable, or IndexError at the end."""
        schema = self._named.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(schema, list):
            branch, at = self._long(at)
            if not 0 <= branch < len(schema):
                raise Unreadable("no such branch")
            return self.passed(schema[branch], at)
        match schema if isinstance(schema, str) else schema["type"]:
            case "null":
                return at
            case "boolean":
                if self._body[at] > 1:
                    raise Unreadable("no boolean")
                return at + 1
            case "int" | "long":
                return self._long(at)[1]
            case "enum":
                index, at = self._long(at)
                if not 0 <= index < len(schema["symbols"]):
                    raise Unreadable("no such symbol")
                return at
            case "string" | "bytes":
                size, at = self._long(at)
                if not 0 <= size <= len(self._body) - at:
                    raise Unreadable("cut short")
                return at + size
            case "record":
                for field in schema["fields"]:
                    at = self.passed(field["type"], at)
                return at
            case "array":
                return self._blocks(schema["items"], at)
        raise Unreadable(f"no reader of {schema!r:.80}")

    def _blocks(self, items: Schema, at: int) -> int:
        count, at = self._long(at)
        while count:
            size = None
            if count < 0:
                size, at = self._long(at)
            if abs(count) > len(self._body) - at:
                raise Unreadable("more items than bytes")
            start = at
            for _ in range(abs(count)):
                at = self.passed(items, at)
            if size not in (None, at - start):
                raise Unreadable("a block of another size")
            count, at = self._long(at)
        return at

    def _long(self, at: int) -> tuple[int, int]:
        unsigned = shift = 0
        while True:
            byte = self._body[at]
            at += 1
            unsigned |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            if shift >= 70:
                raise Unreadable("a number without end")
        if (not byte and shift > 7) or unsigned >> 64:
            raise Unreadable("a number that is too long")
        return (unsigned >> 1) ^ -(unsigned & 1), at


def surely_kept(rule: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a quick look at a value that says yes only where it keeps a range.

    Of numbers and of texts with a charset it says no only where they do not.
    """
    kind = rule["type"]
    if kind in {"int", "long"}:
        low, high = (INT_MIN, INT_MAX) if kind == "int" else (-(2**63), 2**63 - 1)
        return range(max(low, rule.get("minimum", low)), high + 1).__contains__
    if kind == "string" and "charset" in rule:
        # No character of a charset takes more than a byte.
        most = rule.get("maxBytes", "")
        return re.compile(f"[{rule['charset']}]{{{rule.get('minBytes', 0)},{most}}}").fullmatch
    if kind in {"string", "bytes"} and "charset" not in rule:
        # No character takes less than one byte, and none more than four.
        wide = 4 if kind == "string" else 1
        fitting = range(rule.get("minBytes", 0), rule.get("maxBytes", 2**63) // wide + 1)
        return lambda value: len(value) in fitting
    return lambda _: False


def broken(rule: Mapping[str, Any], value: Any) -> str | None:
    """Return how a value breaks the range beside its field, or None."""
    if isinstance(value, int):
        # fastavro reads an int of any size.
        if rule["type"] == "int" and not INT_MIN <= value <= INT_MAX:
            return "beyond 32 bits"
        return "below its minimum" if value < rule.get("minimum", value) else None
    size = len(value if isinstance(value, bytes) else value.encode())
    if not rule.get("minBytes", 0) <= size <= rule.get("maxBytes", size):
        return f"{size} bytes"
    if "charset" in rule and not _only_of(rule["charset"]).fullmatch(value):
        return "a character that an id may not have"
    return None


@cache
def _only_of(charset: str) -> re.Pattern[str]:
    return re.compile(f"[{charset}]*")


@cache
def names_of(topic: Topic) -> frozenset[str]:
    """Return the last part of the name of each record that a topic has."""
    return frozenset(name.rpartition(".")[2] for name in topic.records)


class WireFormat:
    """Values of topics: five bytes of header with a schema id, then the body.

    writers: schema id -> (name, schema as parsed, or None where it is the repository's own).
    """

    def __init__(self, avro: Avro, writers: Mapping[int, tuple[str, Schema]]) -> None:
        self.avro = avro
        self._writers = writers

    def name_of(self, value: bytes) -> str | None:
        """Return the name of a record by its header; None where it has none."""
        if value[:1] != b"\0":
            return None
        name, _ = self._writers.get(int.from_bytes(value[1:HEADER_BYTES], "big"), (None, None))
        return name

    def present_form(self, name: str, value: bytes, fields: Fields) -> bytes:
        """Return the body of a record that was read, as the repository's own schema writes it."""
        _, writer = self._writers[int.from_bytes(value[1:HEADER_BYTES], "big")]
        return value[HEADER_BYTES:] if writer is None else self.avro.encode(name, fields)

    def unsaid(self, value: bytes, fields: Fields) -> Fields:
        """Return those fields that the schema which a record was written with has not got."""
        _, writer = self._writers[int.from_bytes(value[1:HEADER_BYTES], "big")]
        if writer is None:
            return {}
        said = {field["name"] for field in writer["fields"]}
        return {name: content for name, content in fields.items() if name not in said}

    def decode(self, value: bytes, topic: Topic | None = None) -> tuple[str, Fields]:
        """Return name and fields of a record; raise Unreadable.

        topic: a record that is not one of its is unreadable too.
        """
        if len(value) > VALUE_BYTES_MAX:
            raise Unreadable("more than 64 kB")
        if len(value) < HEADER_BYTES or value[0] != 0:
            raise Unreadable("no header")
        schema_id = int.from_bytes(value[1:HEADER_BYTES], "big")
        if schema_id not in self._writers:
            raise Unreadable(f"unknown schema id {schema_id}")
        name, writer = self._writers[schema_id]
        if topic is not None and name not in names_of(topic):
            raise Unreadable(f"a {name}, which is no record of {topic.name}")
        return name, self.avro.decode(name, value[HEADER_BYTES:], writer)
