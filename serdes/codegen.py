"""An Avro schema in; straight-line Python that decodes or encodes its records out.

Decoded values
--------------
record            a tuple of its fields, in order
RequestIdentity   first field of a top-level record: its five fields, then `span`, its bytes as
                  they stand in the record; anywhere else `span` alone
string, bytes     bytes (a string's are valid UTF-8)
enum              the index of its symbol
array             a tuple
[null, X]         None or X

So a record that begins with an identity decodes to (reservation_id, user_id, correlation_id,
section, event_id, span, ...) and encodes from (span, ...): an identity is pasted, never encoded
again. Everything else is encoded from what it decodes to.

A decoder gives the verdict of the decoder rule without encoding again: it takes only what the
encoder writes (shortest varints, arrays in one block), checks ranges and `field_rules`, and that
no byte is left. It raises `Refused` and nothing else on any bytes, and reads each byte at most
once, so hostile lengths and counts cost nothing.
"""

import linecache
from collections.abc import Callable
from itertools import count
from typing import Any

from serdes import varints
from serdes.field_rules import FREE, FieldRules, rules_of
from serdes.refused import Refused
from serdes.schema_files import Schema, inlined, name_of
from serdes.wire import VALUE_BYTES_MAX

IDENTITY = "io.seatstream.types.RequestIdentity"

Decode = Callable[[bytes, int], tuple[Any, ...]]
Encode = Callable[..., bytes]

_ALL_BYTES = bytes(range(256))
# Longest string whose length is one byte of varint, and the bit pattern of those that are not:
# negative (odd) or continued.
_SHORT_BYTES_MAX = 63
_NOT_SHORT = 129
_CONTINUED = 128
# Expressions for the number one (a count, or the branch that is not null) and a block's end.
_ONE = r'b"\x02"'
_END = r'b"\0"'

_serial = count()


def decoder(full_name: str) -> Decode:
    """Return `decode(data, at)`: the record that fills data from position `at` to its end.

    The function raises Refused for anything that is not exactly that.
    """
    return decoder_of(inlined(full_name))


def encoder(full_name: str, prefix: bytes = b"") -> Encode:
    """Return `encode(*fields)`: the record's bytes, after `prefix`.

    The function trusts its caller about charsets, sizes and UTF-8, but raises OverflowError or
    KeyError for a number or an enum index that does not fit.
    """
    return encoder_of(inlined(full_name), prefix)


def decoder_of(schema: Schema) -> Decode:
    """Return the decoder of a self-contained record schema."""
    return _DecoderSource(schema).compiled("decode")


def encoder_of(schema: Schema, prefix: bytes = b"") -> Encode:
    """Return the encoder of a self-contained record schema."""
    return _EncoderSource(schema, prefix).compiled("encode")


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a generated function."""
    return "".join(linecache.getlines(function.__code__.co_filename))


def named_types(schema: Schema) -> dict[str, Schema]:
    """Return every named type inside a self-contained schema, by full name."""
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


class _Source:
    """Lines of a function under construction, and the constants that they name."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.types = named_types(schema)
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {"Refused": Refused}
        self._depth = 0
        self._count = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self._depth + text)

    def indent(self) -> None:
        self._depth += 1

    def dedent(self) -> None:
        self._depth -= 1

    def fresh(self, hint: str) -> str:
        self._count += 1
        return f"{hint}_{self._count}"

    def constant(self, hint: str, value: Any) -> str:
        name = f"{hint.upper()}_{len(self.constants)}"
        self.constants[name] = value
        return name

    def definition(self, schema: Schema) -> Schema:
        """Return what a reference stands for; primitives stand for themselves."""
        return self.types.get(schema, schema) if isinstance(schema, str) else schema

    def is_identity(self, schema: Schema) -> bool:
        return isinstance(schema, dict) and "name" in schema and name_of(schema) == IDENTITY

    def compiled(self, verb: str) -> Callable[..., Any]:
        """Compile the lines; tracebacks and `inspect` find the source through `linecache`."""
        source = "\n".join(self.lines) + "\n"
        filename = f"<{verb} {name_of(self.schema)} {next(_serial)}>"
        namespace: dict[str, Any] = dict(self.constants)
        exec(compile(source, filename, "exec"), namespace)  # noqa: S102 (source is our own)
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        function: Callable[..., Any] = namespace[verb]
        return function


class _DecoderSource(_Source):
    """Writes `decode(data, at)`; every statement moves `at` behind what it read."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.constants |= {
            "SMALL": varints.SMALL,
            "read_int": varints.read_int,
            "read_long": varints.read_long,
            "read_size": varints.read_size,
        }
        self.line("def decode(data, at):")
        self.indent()
        self.line("end = len(data)")
        self.line(f"if end > {VALUE_BYTES_MAX}:")
        self._refuse("value", f"more than {VALUE_BYTES_MAX} bytes")
        self.line("try:")
        self.indent()
        parts = self._top_level()
        self.dedent()
        # Lengths are not compared with what is left: an overlong one puts `at` behind the end,
        # where the next read fails, or the comparison below.
        self.line("except IndexError:")
        self.line('    raise Refused("cut short") from None')
        self.line("if at != end:")
        self.line("    raise Refused('cut short' if at > end else 'bytes after the record')")
        self.line(f"return ({', '.join(parts)},)")

    def _refuse(self, path: str, why: str) -> None:
        self.line(f"    raise Refused({f'{path}: {why}'!r})")

    def _top_level(self) -> list[str]:
        parts: list[str] = []
        for field in self.schema["fields"]:
            definition = self.definition(field["type"])
            if self.is_identity(definition):
                span = self.fresh("span")
                parts += self._identity(definition, span, field["name"])
                parts.append(span)
            else:
                parts.append(self._value(field["type"], rules_of(field), field["name"]))
        return parts

    def _identity(self, schema: Schema, span: str, path: str) -> list[str]:
        start = self.fresh("identity_at")
        self.line(f"{start} = at")
        fields = [
            self._value(field["type"], rules_of(field), f"{path}.{field['name']}")
            for field in schema["fields"]
        ]
        self.line(f"{span} = data[{start}:at]")
        return fields

    def _value(self, schema: Schema, rules: FieldRules, path: str) -> str:
        """Write the lines that read one value; return the expression that holds it."""
        schema = self.definition(schema)
        if isinstance(schema, list):
            return self._optional(schema, path)
        kind = schema if isinstance(schema, str) else schema["type"]
        target = self.fresh(path.rpartition(".")[2].replace("[]", ""))
        match kind:
            case "int" | "long":
                self._number(target, kind, rules, path)
            case "string" | "bytes":
                self._text(target, kind, rules, path)
            case "boolean":
                self._byte(target, "data[at] == 1", 1, path)
            case "enum":
                last = 2 * (len(schema["symbols"]) - 1)
                assert last < _CONTINUED
                self._byte(target, "data[at] >> 1", last, path)
            case "array":
                self._array(target, schema, path)
            case "record":
                return self._record(target, schema, path)
            case _:
                raise ValueError(f"{path}: no code for {schema}")
        return target

    def _record(self, target: str, schema: Schema, path: str) -> str:
        if self.is_identity(schema):
            self._identity(schema, target, path)
            return target
        parts = [
            self._value(field["type"], rules_of(field), f"{path}.{field['name']}")
            for field in schema["fields"]
        ]
        return f"({', '.join(parts)},)"

    def _number(self, target: str, kind: str, rules: FieldRules, path: str) -> None:
        self.line("n = data[at]")
        self.line(f"if n < {_CONTINUED}:")
        self.line(f"    {target} = SMALL[n]")
        self.line("    at += 1")
        self.line("else:")
        self.line(f"    {target}, at = read_{kind}(data, at)")
        if rules.minimum is not None:
            self.line(f"if {target} < {rules.minimum}:")
            self._refuse(path, f"below {rules.minimum}")

    def _text(self, target: str, kind: str, rules: FieldRules, path: str) -> None:
        shortest, longest = rules.bytes_min, rules.bytes_max
        self.line("n = data[at]")
        if longest is not None and longest <= _SHORT_BYTES_MAX:
            # The first byte decides: a continued one is longer than allowed or not shortest.
            self.line(f"if n & 1 or not {2 * shortest} <= n <= {2 * longest}:")
            self._refuse(path, f"not {shortest} to {longest} bytes")
            self.line("start = at + 1")
            self.line("at = start + (n >> 1)")
        else:
            self.line(f"if n & {_NOT_SHORT}:")
            self.indent()
            self.line("start, at = read_size(data, at)")
            if longest is not None:
                self.line(f"if at - start > {longest}:")
                self._refuse(path, f"more than {longest} bytes")
            self.dedent()
            self.line("else:")
            self.line("    start = at + 1")
            self.line("    at = start + (n >> 1)")
            if shortest:
                assert shortest == 1
                self.line("if not n:")
                self._refuse(path, "empty")
        self.line(f"{target} = data[start:at]")
        if rules.charset is not None:
            allowed = self.constant("allowed", rules.charset)
            self.line(f"if {target}.translate(None, {allowed}):")
            self._refuse(path, "a character that is not allowed")
        elif kind == "string":
            self.line(f"if not {target}.isascii():")
            self.line("    try:")
            self.line(f"        {target}.decode()")
            self.line("    except UnicodeDecodeError:")
            self.line(f"        raise Refused({f'{path}: not UTF-8'!r}) from None")

    def _byte(self, target: str, expression: str, last: int, path: str) -> None:
        """Read a value whose varint is always one byte: a boolean or the index of an enum."""
        self.line("n = data[at]")
        self.line(f"if n > {last}:" if last == 1 else f"if n & 1 or n > {last}:")
        self._refuse(path, "no such value")
        self.line(f"{target} = {expression}")
        self.line("at += 1")

    def _optional(self, schema: Schema, path: str) -> str:
        null, other = schema
        assert null == "null"
        target = self.fresh("optional")
        self.line("n = data[at]")
        self.line("at += 1")
        self.line("if not n:")
        self.line(f"    {target} = None")
        self.line("elif n == 2:")
        self.indent()
        value = self._value(other, FREE, path)
        self.line(f"{target} = {value}")
        self.dedent()
        self.line("else:")
        self._refuse(path, "no such branch")
        return target

    def _array(self, target: str, schema: Schema, path: str) -> None:
        count, items = self.fresh("count"), self.fresh("items")
        self._number(count, "long", FREE, path)
        self.line(f"if {count} == 0:")
        self.line(f"    {target} = ()")
        # No item is shorter than a byte. A negative count is a block form that we never write.
        self.line(f"elif 0 < {count} <= end - at:")
        self.indent()
        self.line(f"{items} = []")
        self.line(f"for _ in range({count}):")
        self.indent()
        value = self._value(schema["items"], FREE, f"{path}[]")
        self.line(f"{items}.append({value})")
        self.dedent()
        self.line("if data[at]:")
        self._refuse(path, "more than one block")
        self.line("at += 1")
        self.line(f"{target} = tuple({items})")
        self.dedent()
        self.line("else:")
        self._refuse(path, "no such count")


class _EncoderSource(_Source):
    """Writes `encode(*fields)`: a join over the pieces, with statements for arrays before it."""

    def __init__(self, schema: Schema, prefix: bytes) -> None:
        super().__init__(schema)
        self.constants |= {
            "LAST": varints.LAST,
            "LOWEST": varints.LOWEST,
            "MIDDLE": varints.MIDDLE,
            "WHOLE": varints.WHOLE,
            "write_int": varints.write_int,
            "write_long": varints.write_long,
        }
        fields = schema["fields"]
        names = [self.fresh(field["name"]) for field in fields]
        self.line(f"def encode({', '.join(names)}):")
        self.indent()
        pieces = [self.constant("prefix", prefix)] if prefix else []
        for field, name in zip(fields, names, strict=True):
            pieces += self._pieces(field["type"], name)
        self.line(f"return {_joined(pieces)}")

    def _pieces(self, schema: Schema, name: str) -> list[str]:
        """Return expressions for the bytes of the value in the variable `name`."""
        schema = self.definition(schema)
        if isinstance(schema, list):
            return [self._optional(schema[1], name)]
        match schema if isinstance(schema, str) else schema["type"]:
            case "long":
                return [_long(name)]
            case "int":
                return [
                    f"(WHOLE[{name}] if 0 <= {name} < {varints.WHOLE_COUNT} "
                    f"else write_int({name}))"
                ]
            case "string" | "bytes":
                self.line(f"n_{name} = len({name})")
                return [_long(f"n_{name}"), name]
            case "boolean":
                return [f"(b'\\x01' if {name} else b'\\0')"]
            case "enum":
                # A mapping, because an index of -1 would find the last item of a tuple.
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
        target, item = self.fresh("block"), self.fresh("item")
        self.line(f"if not {name}:")
        self.line(f"    {target} = b'\\0'")
        self.line(f"elif len({name}) == 1:")
        self.indent()
        self.line(f"{item}, = {name}")
        pieces = self._pieces(items, item)
        self.line(f"{target} = {_joined([_ONE, *pieces, _END])}")
        self.dedent()
        self.line("else:")
        self.indent()
        self.line(f"{target} = [{_long(f'len({name})')}]")
        self.line(f"for {item} in {name}:")
        self.indent()
        pieces = self._pieces(items, item)
        self.line(f"{target} += ({', '.join(pieces)},)")
        self.dedent()
        self.line(f"{target}.append(b'\\0')")
        self.line(f"{target} = b''.join({target})")
        self.dedent()
        return target


def _joined(pieces: list[str]) -> str:
    return f'b"".join(({", ".join(pieces)},))'


def _long(value: str) -> str:
    """Return an expression for the varint of a long: look-ups up to 41 bits, then a call."""
    return (
        f"(WHOLE[{value}] if 0 <= {value} < {varints.WHOLE_COUNT}"
        f" else LOWEST[{value} & 8191] + LAST[{value} >> 13]"
        f" if 0 < {value} < {varints.TWO_STEP_LIMIT}"
        f" else LOWEST[{value} & 8191] + MIDDLE[{value} >> 13 & 16383] + LAST[{value} >> 27]"
        f" if 0 < {value} < {varints.THREE_STEP_LIMIT}"
        f" else write_long({value}))"
    )
