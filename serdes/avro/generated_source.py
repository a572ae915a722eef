"""Lines of a generated function in; the compiled function out."""

import linecache
from collections.abc import Callable
from functools import cache
from itertools import count
from types import CodeType
from typing import Any

from serdes.avro.refused import Refused
from serdes.avro.schema_files import Schema, name_of

IDENTITY = "io.seatstream.types.RequestIdentity"

# From this value on, a byte of a varint has another byte behind it.
CONTINUED = 128

_serial = count()


def named_types(schema: Schema) -> dict[str, Schema]:
    """Return every record and enum inside a self-contained schema, by full name."""
    found: dict[str, Schema] = {}

    def walk(part: Schema) -> None:
        if isinstance(part, list):
            for branch in part:
                walk(branch)
        elif isinstance(part, dict):
            if "name" in part:
                found[name_of(part)] = part
            for field in part.get("fields", ()):
                walk(field["type"])
            walk(part.get("items"))

    walk(schema)
    return found


class Source:
    """Lines of a function under construction, and the constants that they name."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.types = named_types(schema)
        self.lines: list[str] = []
        # Lines of functions that the main function calls; they are compiled before it.
        self.functions: list[str] = []
        self.constants: dict[str, Any] = {"Refused": Refused}
        self._depth = 0
        self._count = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self._depth + text)

    def indent(self) -> None:
        self._depth += 1

    def reset_depth(self, depth: int) -> int:
        """Set the indentation; return the former one."""
        former, self._depth = self._depth, depth
        return former

    def dedent(self) -> None:
        self._depth -= 1

    def fresh(self, prefix: str) -> str:
        """Return a name that no variable has yet."""
        self._count += 1
        return f"{prefix}_{self._count}"

    def constant(self, prefix: str, value: Any) -> str:
        """Make a value known to the code; return its name there."""
        name = f"{prefix.upper()}_{len(self.constants)}"
        self.constants[name] = value
        return name

    def definition(self, schema: Schema) -> Schema:
        """Return the schema that a full name refers to; any other schema is returned as it is."""
        return self.types.get(schema, schema) if isinstance(schema, str) else schema

    def is_identity(self, schema: Schema) -> bool:
        return isinstance(schema, dict) and "name" in schema and name_of(schema) == IDENTITY

    def compiled(self, verb: str) -> Callable[..., Any]:
        """Compile the lines into the function that is named `verb`.

        Tracebacks and `inspect` find its source through `linecache`.
        """
        source = "\n".join(self.functions + self.lines) + "\n"
        namespace: dict[str, Any] = dict(self.constants)
        exec(_code(f"{verb} {name_of(self.schema)}", source), namespace)  # noqa: S102 (our own)
        function: Callable[..., Any] = namespace[verb]
        return function


@cache
def _code(name: str, source: str) -> CodeType:
    filename = f"<{name} {next(_serial)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return compile(source, filename, "exec")
