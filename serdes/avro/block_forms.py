"""Arrays in any of Avro's block forms in; the one form that our encoders write out.

A writer may cut an array into blocks, each with its count; a negative count is followed by the
block's size in bytes. Readers must accept all of these forms, and many encoders write them. The
generated decoders read only one block without a size; a record that they refuse is rewritten into
that form here, and decoded again. A record that is no valid encoding is refused here as well.
"""

from serdes.avro import varints
from serdes.avro.generated_source import named_types
from serdes.avro.refused import Refused
from serdes.avro.schema_files import Schema

_BITS = {"int": 32, "long": 64}


class BlockForms:
    """Rewrites the arrays in records of one schema, which has passed `schema_rules`."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._types = named_types(schema)

    def single(self, data: bytes, at: int) -> bytes:
        """Return data with every array from position `at` on in one block without a size.

        Returns data itself where its arrays have that form already. Raises Refused where data
        from `at` on is no record of the schema. Takes time proportional to the length of data.
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
    """One pass over a record, which collects the parts that a rewritten record consists of.

    _parts:  the parts so far; empty while nothing differs from the single-block form.
    _copied: position in the data up to which _parts covers it.
    """

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
        """Go past the value at position `at`; return the position behind it. Raises Refused."""
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
            # No item is shorter than a byte, so a count above the bytes left is false, and is
            # refused before any loop over it.
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
            # The count of 0 that ends an array; of an empty array it is the whole.
            self._parts.append(b"\0" if total else b"")
            self._copied = at
        return at
