"""Arrays in any of Avro's block forms in; the one form that our encoders write out.

A writer may cut an array into blocks, each with its count; a negative count is followed by the
block's size in bytes. Everybody who reads must take all of these, and many encoders write them.
The generated decoders read one block without a size; whatever they refuse is put into that form
here, and read again. What is no valid encoding is refused as before.
"""

from serdes.avro import varints
from serdes.avro.generated_source import named_types
from serdes.avro.refused import Refused
from serdes.avro.schema_files import Schema

_BITS = {"int": 32, "long": 64}


class BlockForms:
    """The form of one schema that has passed `schema_rules`."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._types = named_types(schema)

    def single(self, data: bytes, at: int) -> bytes:
        """Return data with every array from `at` on in one block without a size.

        Data itself where it is so already. Raises Refused where it is no record of the schema;
        takes a time proportional to the length of data.
        """
        walk = _Walk(data, self._types)
        try:
            end = walk.value(self._schema, at)
        except IndexError:
            raise Refused("cut short") from None
        if end != len(data):
            raise Refused("cut short" if end > len(data) else "bytes after the record")
        return walk.written(end)


class _Walk:
    """One pass over a record: what differs from the single form is noted as it is met."""

    def __init__(self, data: bytes, types: dict[str, Schema]) -> None:
        self._data = data
        self._types = types
        self._parts: list[bytes] = []
        self._copied = 0

    def written(self, end: int) -> bytes:
        if not self._parts:
            return self._data
        return b"".join((*self._parts, self._data[self._copied : end]))

    def value(self, schema: Schema, at: int) -> int:
        """Pass one value; return the position behind it."""
        data = self._data
        if isinstance(schema, str):
            schema = self._types.get(schema, schema)
        if isinstance(schema, list):
            branch = data[at]
            if branch not in (0, 2):
                raise Refused("no such branch")
            return self.value(schema[1], at + 1) if branch else at + 1
        match schema if isinstance(schema, str) else schema["type"]:
            case "int" | "long" as kind:
                return self._number(at, kind)[1]
            case "string" | "bytes":
                end = varints.read_size(data, at)[1]
                if end > len(data):
                    raise Refused("cut short")
                return end
            case "boolean":
                if data[at] > 1:
                    raise Refused("no such value")
                return at + 1
            case "enum":
                if data[at] & 1 or data[at] >> 1 >= len(schema["symbols"]):
                    raise Refused("no such value")
                return at + 1
            case "record":
                for field in schema["fields"]:
                    at = self.value(field["type"], at)
                return at
            case "array":
                return self._array(schema["items"], at)
        raise Refused(f"no reader of {schema}")

    def _number(self, at: int, kind: str = "long") -> tuple[int, int]:
        byte = self._data[at]
        if byte < len(varints.SMALL):
            return varints.SMALL[byte], at + 1
        return (varints.read_int if kind == "int" else varints.read_long)(self._data, at)

    def _array(self, items: Schema, at: int) -> int:
        start, mark, copied = at, len(self._parts), self._copied
        total, bodies, is_single = 0, [], True
        while True:
            count, at = self._number(at)
            if not count:
                break
            size = None
            if count < 0:
                count, is_single = -count, False
                size, at = self._number(at)
            # No item is shorter than a byte: what is declared beyond is never gone through.
            if count > len(self._data) - at:
                raise Refused("no such count")
            is_single = is_single and not total
            total += count
            began = self._copied = at
            inner = len(self._parts)
            for _ in range(count):
                at = self.value(items, at)
            if size is not None and at - began != size:
                raise Refused("a block of another size")
            bodies += [*self._parts[inner:], self._data[self._copied : at]]
            del self._parts[inner:]
        has_changed = not is_single or len(bodies) > 1
        del self._parts[mark:]
        self._copied = copied
        if has_changed:
            self._parts += [self._data[copied:start], varints.write_long(total), *bodies]
            # The array's end.
            self._parts.append(b"\0" if total else b"")
            self._copied = at
        return at
