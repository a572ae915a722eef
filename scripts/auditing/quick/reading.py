"""A schema in; a function that reads its usual records, several times as quick as fastavro.

Usual is what an encoder of ours writes (shortest numbers, arrays in one block) and keeps every
range; of all else it raises Unusual, IndexError, KeyError or ValueError, and says nothing of it.
"""

import re
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

Read = Callable[[bytes], dict[str, Any]]
Rules = Mapping[tuple[str, ...], Mapping[str, Any]]
"""What the schema says beside a field, by the way to it."""

UNREAD: Final = (Unusual, IndexError, KeyError, ValueError)
SMALL: Final = tuple((one >> 1) ^ -(one & 1) for one in range(SHORT))
INT: Final = (-(2**31), 2**31 - 1)


def number_at(body: bytes, at: int) -> tuple[int, int]:
    """Return a long in its shortest form, and what is behind it."""
    rest = shift = 0
    while True:
        byte = body[at]
        at += 1
        rest |= (byte & SHORT - 1) << shift
        shift += 7
        if byte < SHORT:
            break
        if shift > LONG_BITS:
            raise Unusual
    if (not byte and shift > 7) or rest >> LONG_BITS:
        raise Unusual
    return (rest >> 1) ^ -(rest & 1), at


def reader_of(schema: Schema, schemas: Mapping[str, Schema], rules: Rules) -> Read | None:
    """Return what reads a body; None where its schema has something unusual itself."""
    source = _Reader(schemas, rules)
    try:
        return source.whole(schema)
    except Unusual:
        return None


class _Reader(Source):
    def __init__(self, schemas: Mapping[str, Schema], rules: Rules) -> None:
        super().__init__(schemas)
        self._rules = rules
        self.names |= {"SMALL": SMALL, "number_at": number_at, "Unusual": Unusual}

    def whole(self, schema: Schema) -> Read:
        with self.block("def read(body):"):
            self.line("at = 0")
            made = self._record(schema, ())
            with self.block("if at != len(body):"):
                self.line("raise Unusual")
            self.line(f"return {made}")
        return self.function("read")

    def _record(self, schema: Schema, path: tuple[str, ...]) -> str:
        fields = [
            (field["name"], self._value(field["type"], (*path, field["name"])))
            for field in schema["fields"]
        ]
        return f"{{{', '.join(f'{name!r}: {value}' for name, value in fields)}}}"

    def _value(self, schema: Schema, path: tuple[str, ...]) -> str:
        """Add the lines that read one value and move behind it; return where it is then."""
        schema = self.definition(schema)
        if isinstance(schema, list):
            return self._optional(schema, path)
        value = self.fresh()
        match schema if isinstance(schema, str) else schema["type"]:
            case "int" | "long" as kind:
                self._number(value, kind, path)
            case "string" | "bytes" as kind:
                self._text(value, kind, path)
            case "boolean":
                self.line(f"{value} = {self.constant((False, True))}[body[at]]")
                self.line("at += 1")
            case "enum":
                by_byte = {2 * at: one for at, one in enumerate(schema["symbols"])}
                if len(by_byte) > SHORT // 2:
                    raise Unusual
                self.line(f"{value} = {self.constant(by_byte)}[body[at]]")
                self.line("at += 1")
            case "array":
                self._array(value, schema["items"], path)
            case "record" if is_identity(schema):
                self._identity(value, schema, path)
            case "record":
                self.line(f"{value} = {self._record(schema, path)}")
            case _:
                raise Unusual
        return value

    def _unless(self, kept: str) -> None:
        with self.block(f"if not {kept}:"):
            self.line("raise Unusual")

    def _number(self, value: str, kind: str, path: tuple[str, ...]) -> None:
        self.line("n = body[at]")
        with self.block(f"if n < {SHORT}:"):
            self.line(f"{value} = SMALL[n]")
            self.line("at += 1")
        with self.block("else:"):
            self.line(f"{value}, at = number_at(body, at)")
            if kind == "int":
                self._unless(f"{INT[0]} <= {value} <= {INT[1]}")
        least = self._rules.get(path, {}).get("minimum")
        if least is not None:
            self._unless(f"{value} >= {least}")

    def _size(self, size: str) -> None:
        self.line(f"{size} = body[at]")
        with self.block(f"if {size} < {SHORT} and not {size} & 1:"):
            self.line(f"{size} >>= 1")
            self.line("at += 1")
        with self.block("else:"):
            self.line(f"{size}, at = number_at(body, at)")
            self._unless(f"{size} >= 0")

    def _text(self, value: str, kind: str, path: tuple[str, ...]) -> None:
        rule = self._rules.get(path, {})
        size = self.fresh()
        self._size(size)
        least, most = rule.get("minBytes", 0), rule.get("maxBytes")
        if most is not None:
            self._unless(f"{least} <= {size} <= {most}")
        elif least:
            self._unless(f"{size} >= {least}")
        self.line(f"{value} = body[at : at + {size}]")
        self.line(f"at += {size}")
        if "charset" in rule:
            only = re.compile(f"[{rule['charset']}]*".encode("ascii"))
            self._unless(f"{self.constant(only.fullmatch)}({value})")
        if kind == "string":
            self.line(f"{value} = {value}.decode()")

    def _optional(self, schema: Schema, path: tuple[str, ...]) -> str:
        if len(schema) != 2 or schema[0] != "null":
            raise Unusual
        made = self.fresh()
        self.line("n = body[at]")
        self.line("at += 1")
        with self.block("if n == 2:"):
            self.line(f"{made} = {self._value(schema[1], path)}")
        with self.block("elif n:"):
            self.line("raise Unusual")
        with self.block("else:"):
            self.line(f"{made} = None")
        return made

    def _array(self, value: str, items: Schema, path: tuple[str, ...]) -> None:
        size = self.fresh()
        self._number(size, "long", ())
        self.line(f"{value} = []")
        with self.block(f"if {size}:"):
            # No item of ours takes no byte at all.
            self._unless(f"0 < {size} <= len(body) - at")
            with self.block(f"for _ in range({size}):"):
                self.line(f"{value}.append({self._value(items, (*path, '[]'))})")
            self._unless("body[at] == 0")
            self.line("at += 1")

    def _identity(self, value: str, schema: Schema, path: tuple[str, ...]) -> None:
        """Have an identity read once: a buyer's later commands, and outcomes, have the same."""
        known, begin, span, end = Remembered(), self.fresh(), self.fresh(), self.fresh()
        self.line(f"{begin} = at")
        for field in schema["fields"]:
            self._pass_over(field["type"])
        self.line(f"{span} = body[{begin}:at]")
        name = self.constant(known)
        self.line(f"{value} = {name}.get({span})")
        with self.block(f"if {value} is None:"):
            self.line(f"{end} = at")
            self.line(f"at = {begin}")
            self.line(f"{value} = {self._record(schema, path)}")
            with self.block(f"if at != {end} or at > len(body):"):
                self.line("raise Unusual")
            self.line(f"{name}.remember({span}, {value})")

    def _pass_over(self, schema: Schema) -> None:
        match schema:
            case "string" | "bytes":
                self.line("n = body[at]")
                with self.block(f"if n & {SHORT | 1}:"):
                    self.line("n, at = number_at(body, at)")
                    self._unless("n >= 0")
                    self.line("at += n")
                with self.block("else:"):
                    self.line("at += 1 + (n >> 1)")
            case "int" | "long":
                with self.block(f"while body[at] >= {SHORT}:"):
                    self.line("at += 1")
                self.line("at += 1")
            case _:
                raise Unusual
