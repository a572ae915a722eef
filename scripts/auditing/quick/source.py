"""Lines of Python and what they name, of which functions are made. No schema is known here."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any, Final

Schema = Any

SHORT: Final = 0x80
"""A varint of one byte is below it."""
LONG_BITS: Final = 64
REMEMBERED_MAX: Final = 50_000


class Unusual(Exception):
    """This is for the plain way to judge."""


class Remembered(dict[Any, Any]):
    """What was made of the last keys; begins anew once there are too many."""

    def remember(self, key: Any, made: Any) -> None:
        """Keep what was made of a key."""
        if len(self) >= REMEMBERED_MAX:
            self.clear()
        self[key] = made


class Source:
    """A function as it is written, line by line.

    names:   what the lines name. schemas: definitions inside the schema, by name.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self.names: dict[str, Any] = {}
        self._schemas = schemas
        self._lines: list[str] = []
        self._depth = 0
        self._numbers = 0

    def line(self, text: str) -> None:
        """Add a line."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Any:
        """Add a line, and those inside it."""
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def fresh(self) -> str:
        """Return a name of a variable that no line has."""
        self._numbers += 1
        return f"v{self._numbers}"

    def constant(self, value: Any) -> str:
        """Return a name for a value."""
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def definition(self, schema: Schema) -> Schema:
        """Return what a name stands for, and all else as it is."""
        return self._schemas.get(schema, schema) if isinstance(schema, str) else schema

    def function(self, name: str) -> Callable[..., Any]:
        """Return the function of this name that the lines define."""
        space = dict(self.names)
        exec(compile("\n".join(self._lines), f"<{name} of a schema>", "exec"), space)  # noqa: S102
        made: Callable[..., Any] = space[name]
        return made


def is_identity(schema: Schema) -> bool:
    """Say whether this is what many records have in common, so that it is made once."""
    return isinstance(schema, dict) and str(schema.get("name")).endswith(".RequestIdentity")
