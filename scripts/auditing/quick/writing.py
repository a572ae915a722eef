"""A schema in; a function that writes its usual records as fastavro does, several times as quick.

It raises one of UNWRITTEN where fields are anything else than usual.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from scripts.auditing.quick.source import (
    LONG_BITS,
    SHORT,
    Remembered,
    Schema,
    Source,
    Unusual,
    is_identity,
)

Write = Callable[[Mapping[str, Any]], bytes]

UNWRITTEN: Final = (Unusual, AttributeError, IndexError, KeyError, TypeError, ValueError)


class Numbers(Remembered):
    """The bytes of each number, made when it is asked for."""

    def __missing__(self, number: int) -> bytes:
        made = varint(number)
        self.remember(number, made)
        return made


def varint(number: int) -> bytes:
    """Return the bytes of a long; raises Unusual for what is none."""
    if type(number) is not int or (number + (1 << LONG_BITS - 1)) >> LONG_BITS:
        raise Unusual
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    made = bytearray()
    while rest >= SHORT:
        made.append(rest & SHORT - 1 | SHORT)
        rest >>= 7
    made.append(rest)
    return bytes(made)


def writer_of(schema: Schema, schemas: Mapping[str, Schema]) -> Write | None:
    """Return what writes a record's fields; None where its schema has something unusual itself."""
    source = _Writer(schemas)
    try:
        return source.whole(schema)
    except Unusual:
        return None


class _Writer(Source):
    def whole(self, schema: Schema) -> Write:
        self.names["number"] = Numbers()
        with self.block("def write(fields):"):
            self.line(f"return {_joined(self._fields(schema, 'fields'))}")
        return self.function("write")

    def _fields(self, schema: Schema, record: str) -> list[str]:
        pieces: list[str] = []
        for field in schema["fields"]:
            value = self.fresh()
            self.line(f"{value} = {record}[{field['name']!r}]")
            pieces += self._pieces(field["type"], value)
        return pieces

    def _pieces(self, schema: Schema, value: str) -> list[str]:
        """Add the lines that a value needs; return the expressions that make up its bytes."""
        schema = self.definition(schema)
        if isinstance(schema, list):
            return [self._optional(schema, value)]
        match schema if isinstance(schema, str) else schema["type"]:
            case "int" | "long":
                return [f"number[{value}]"]
            case "string":
                text = self.fresh()
                self.line(f"{text} = {value}.encode()")
                return [f"number[len({text})]", text]
            case "bytes":
                return [f"number[len({value})]", value]
            case "boolean":
                return [f"{self.constant((bytes(1), bytes((1,))))}[{value}]"]
            case "enum":
                by_symbol = {one: varint(at) for at, one in enumerate(schema["symbols"])}
                return [f"{self.constant(by_symbol)}[{value}]"]
            case "array":
                return [self._array(schema["items"], value)]
            case "record" if is_identity(schema):
                return [self._identity(schema, value)]
            case "record":
                return self._fields(schema, value)
        raise Unusual

    def _optional(self, schema: Schema, value: str) -> str:
        if len(schema) != 2 or schema[0] != "null":
            raise Unusual
        made = self.fresh()
        self.line(f"{made} = b'\\0'")
        with self.block(f"if {value} is not None:"):
            pieces = [self.constant(varint(1)), *self._pieces(schema[1], value)]
            self.line(f"{made} = {_joined(pieces)}")
        return made

    def _array(self, items: Schema, value: str) -> str:
        made, item = self.fresh(), self.fresh()
        self.line(f"{made} = b'\\0'")
        with self.block(f"if {value}:"):
            self.line(f"{made} = [number[len({value})]]")
            with self.block(f"for {item} in {value}:"):
                self.line(f"{made} += {_tuple(self._pieces(items, item))}")
            self.line(f"{made}.append(b'\\0')")
            self.line(f"{made} = b''.join({made})")
        return made

    def _identity(self, schema: Schema, value: str) -> str:
        """Have the bytes of an identity made once: outcome and state have that of the command."""
        known = Remembered()
        key, made = self.fresh(), self.fresh()
        parts = [f"{value}[{field['name']!r}]" for field in schema["fields"]]
        self.line(f"{key} = {_tuple(parts)}")
        name = self.constant(known)
        self.line(f"{made} = {name}.get({key})")
        with self.block(f"if {made} is None:"):
            self.line(f"{made} = {_joined(self._fields(schema, value))}")
            self.line(f"{name}.remember({key}, {made})")
        return made


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)},)"


def _joined(pieces: list[str]) -> str:
    return f"b''.join({_tuple(pieces)})"
