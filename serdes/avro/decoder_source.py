"""A record schema in; the source of its decoder out. `codegen` describes what it decodes to."""

from serdes.avro import varints
from serdes.avro.field_rules import FREE, FieldRules, rules_of
from serdes.avro.generated_source import CONTINUED, Source
from serdes.avro.schema_files import Schema
from serdes.wire import VALUE_BYTES_MAX

# The longest string whose length is a varint of one byte, and the bits that are 0 in such a byte:
# an odd one would be a negative number, and one from 128 on has another byte behind it.
_SHORT_BYTES_MAX = 63
_NOT_SHORT = CONTINUED | 1


class DecoderSource(Source):
    """Writes `decode(data, at)`; the lines for each value move `at` behind that value."""

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
        # A string's length is not compared with the bytes left: one that is too long puts `at`
        # behind the end, where the next read raises IndexError or the comparison below fails.
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
            if not parts and self.is_identity(definition):
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
                assert last < CONTINUED
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
        self.line(f"if n < {CONTINUED}:")
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
            # The first byte decides: with another byte behind it, the length is above the bound,
            # or not written in its shortest form.
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
        """Write the lines for a value of always one byte: a boolean, or the index of an enum."""
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
        # No item is shorter than a byte, so the count is at most the bytes left. Negative counts
        # and further blocks are refused, since our encoders do not write them; `block_forms`
        # rewrites those of other encoders.
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
