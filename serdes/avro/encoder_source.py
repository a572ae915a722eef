"""A record schema in; the source of its encoder out. `codegen` describes what it encodes."""

from serdes.avro import varints
from serdes.avro.generated_source import Source
from serdes.avro.refused import TooLong
from serdes.avro.schema_files import Schema
from serdes.avro.varints import Remembered

# Expressions for the bytes of the number 1 (a count, or the branch that is not null) and of the
# 0 that ends an array.
_ONE = r'b"\x02"'
_END = r'b"\0"'

# Longer arrays are not kept: an operator may block thousands of seats at once, and such a list
# does not come again.
_REMEMBERED_ITEMS_MAX = 16


class EncoderSource(Source):
    """Writes `encode(*fields)`: one join of the fields' bytes, behind the lines that make them."""

    def __init__(self, schema: Schema, prefix: bytes, bytes_max: int | None = None) -> None:
        """Write it; bytes_max: beyond it TooLong is raised, None for no such check."""
        super().__init__(schema)
        self.constants |= {
            "LAST": varints.LAST,
            "LOWEST": varints.LOWEST,
            "WHOLE": varints.WHOLE,
            "write_int": varints.write_int,
            "known": varints.KNOWN.get,
            "write_recent": varints.write_recent,
            "TooLong": TooLong,
        }
        fields = schema["fields"]
        names = [self.fresh(field["name"]) for field in fields]
        self.line(f"def encode({', '.join(names)}):")
        self.indent()
        pieces = [self.constant("prefix", prefix)] if prefix else []
        for field, name in zip(fields, names, strict=True):
            pieces += self._pieces(field["type"], name)
        if bytes_max is None:
            self.line(f"return {_joined(pieces)}")
            return
        record = self.fresh("record")
        self.line(f"{record} = {_joined(pieces)}")
        self.line(f"if len({record}) > {bytes_max}:")
        self.line(f"    raise TooLong(f'{{len({record})}} bytes, the limit is {bytes_max}')")
        self.line(f"return {record}")

    def _pieces(self, schema: Schema, name: str) -> list[str]:
        """Return expressions for the bytes of the value in the variable `name`, to be joined.

        Writes the lines that these expressions need.
        """
        schema = self.definition(schema)
        if isinstance(schema, list):
            return [self._optional(schema[1], name)]
        match schema if isinstance(schema, str) else schema["type"]:
            case "long":
                return [_long(name)]
            case "int":
                return [_int(name)]
            case "string" | "bytes":
                self.line(f"n_{name} = len({name})")
                return [_long(f"n_{name}"), name]
            case "boolean":
                return [f"(b'\\x01' if {name} else b'\\0')"]
            case "enum":
                # A mapping and no tuple: the index -1 must raise, not find the last symbol.
                index = dict(enumerate(varints.WHOLE[: len(schema["symbols"])]))
                return [f"{self.constant(schema['name'], index)}[{name}]"]
            case "array":
                return [self._array(schema["items"], name)]
            case "record":
                if self.is_identity(schema) and schema is not self.schema:
                    return [name]
                return self._record(schema, name)
            case kind:
                raise ValueError(f"{name}: no code for {kind}")

    def _record(self, schema: Schema, name: str) -> list[str]:
        parts = [self.fresh(field["name"]) for field in schema["fields"]]
        self.line(f"{', '.join(parts)}, = {name}")
        pieces: list[str] = []
        for field, part in zip(schema["fields"], parts, strict=True):
            pieces += self._pieces(field["type"], part)
        return pieces

    def _optional(self, schema: Schema, name: str) -> str:
        target = self.fresh("branch")
        self.line(f"if {name} is None:")
        self.line(f"    {target} = b'\\0'")
        self.line("else:")
        self.indent()
        pieces = self._pieces(schema, name)
        self.line(f"{target} = {_joined([_ONE, *pieces])}")
        self.dedent()
        return target

    def _array(self, items: Schema, name: str) -> str:
        items = self.definition(items)
        if self._is_seats(items):
            return self._remembered(items, name)
        target = self.fresh("block")
        self.line(f"if not {name}:")
        self.line(f"    {target} = b'\\0'")
        self.line("else:")
        self.indent()
        self._block(target, items, name)
        self.dedent()
        return target

    def _is_seats(self, schema: Schema) -> bool:
        """Return whether this is a record of ints alone: a seat or a seat range."""
        return (
            isinstance(schema, dict)
            and schema["type"] == "record"
            and all(field["type"] == "int" for field in schema["fields"])
        )

    def _remembered(self, items: Schema, name: str) -> str:
        """Return an expression that encodes an array of seats or seat ranges only the first time.

        The outcome and the reservation have the same array, and many sections have equal ones.
        """
        known = self.constant("blocks", Remembered({(): b"\0"}))
        function = self.fresh("write_block")
        outer, self.lines, depth = self.lines, self.functions, self.reset_depth(0)
        self.line(f"def {function}(items):")
        self.indent()
        self.line("if len(items) == 1:")
        self.indent()
        item = self.fresh("item")
        self.line(f"{item}, = items")
        self.line(f"block = {_joined([_ONE, *self._pieces(items, item), _END])}")
        self.dedent()
        self.line("else:")
        self.indent()
        self._block("block", items, "items")
        self.dedent()
        self.line(f"if len(items) <= {_REMEMBERED_ITEMS_MAX}:")
        self.line(f"    {known}.remember(items, block)")
        self.line("return block")
        self.lines = outer
        self.reset_depth(depth)
        self.constants[f"{known}_GET"] = self.constants[known].get
        return f"({known}_GET({name}) or {function}({name}))"

    def _block(self, target: str, items: Schema, name: str) -> None:
        """Write the lines that encode an array of one item or more, as one block."""
        item = self.fresh("item")
        self.line(f"{target} = [{_long(f'len({name})')}]")
        self.line(f"for {item} in {name}:")
        self.indent()
        self.line(f"{target} += ({', '.join(self._pieces(items, item))},)")
        self.dedent()
        self.line(f"{target}.append(b'\\0')")
        self.line(f"{target} = b''.join({target})")


def _joined(pieces: list[str]) -> str:
    return f'b"".join(({", ".join(pieces)},))'


def _int(value: str) -> str:
    return f"(WHOLE[{value}] if 0 <= {value} < {varints.WHOLE_COUNT} else write_int({value}))"


def _long(value: str) -> str:
    """Return an expression for the varint of a long; usual numbers are looked up in tables."""
    return (
        f"(known({value}) or (LOWEST[{value} & 8191] + LAST[{value} >> 13]"
        f" if 0 < {value} < {varints.TWO_STEP_LIMIT} else write_recent({value})))"
    )
