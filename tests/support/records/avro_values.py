"""Generated Avro values and hostile bytes for any of our schemas."""

import random
from functools import cache
from typing import Any

from hypothesis import strategies as st

from serdes.avro import varints
from serdes.avro.field_rules import FREE, FieldRules, rules_of
from serdes.avro.general import GeneralReader, encoded, flattened
from serdes.avro.generated_source import named_types
from serdes.avro.refused import Refused
from serdes.avro.schema_files import Schema, current, inlined, parsed

RECORDS = sorted(name for name, schema in current().by_name.items() if schema["type"] == "record")

_EDGES = (0, 1, 63, 64, 8191, 8192, 2**27 - 1, 2**27, 1_764_000_000_123)


@cache
def values(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Generate records of one of our schemas, within all ranges."""
    return values_of(inlined(name))


def values_of(schema: Schema) -> st.SearchStrategy[Any]:
    """Generate values of a self-contained schema, within all ranges."""
    return _values(schema, named_types(schema), FREE)


@cache
def bodies(name: str) -> st.SearchStrategy[bytes]:
    """Generate valid bodies, as fastavro writes them."""
    return values(name).map(lambda value: encoded(parsed(name), value))


def verdict_by_rule(reader: GeneralReader, data: bytes, at: int) -> Any:
    """Return the oracle's fields, or None where it refuses."""
    try:
        return flattened(reader.schema, reader.read(data, at))
    except Refused:
        return None


def _numbers(bits: int, rules: FieldRules) -> st.SearchStrategy[int]:
    low = -(1 << (bits - 1)) if rules.minimum is None else rules.minimum
    high = (1 << (bits - 1)) - 1
    edges = [edge for edge in (*_EDGES, *(-edge for edge in _EDGES)) if low <= edge <= high]
    return (
        st.sampled_from([*edges, low, high])
        | st.integers(max(0, low), 300)
        | st.integers(low, high)
    )


def _texts(rules: FieldRules) -> st.SearchStrategy[str]:
    if rules.charset is not None:
        alphabet = st.sampled_from(rules.charset.decode())
        return st.text(alphabet, min_size=rules.bytes_min, max_size=rules.bytes_max)
    longest = rules.bytes_max
    plain = st.text(min_size=rules.bytes_min, max_size=longest or 80)
    if longest is None:
        return plain
    return plain.filter(lambda text: len(text.encode()) <= longest)


def _values(schema: Schema, types: dict[str, Schema], rules: FieldRules) -> st.SearchStrategy[Any]:
    schema = types.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, list):
        return st.none() | _values(schema[1], types, FREE)
    match schema if isinstance(schema, str) else schema["type"]:
        case "int":
            return _numbers(32, rules)
        case "long":
            return _numbers(64, rules)
        case "string":
            return _texts(rules)
        case "bytes":
            return st.binary(max_size=200)
        case "boolean":
            return st.booleans()
        case "enum":
            return st.sampled_from(schema["symbols"])
        case "array":
            return st.lists(_values(schema["items"], types, FREE), max_size=3)
        case "record":
            return st.fixed_dictionaries(
                {
                    field["name"]: _values(field["type"], types, rules_of(field))
                    for field in schema["fields"]
                }
            )
        case other:
            raise AssertionError(other)


_LONG_FORMS = (
    b"\x80\x00",  # zero in two bytes
    b"\x81\x80\x00",
    b"\xff" * 9 + b"\x01",  # the lowest long
    b"\xff" * 9 + b"\x02",  # 65 bits
    b"\xff" * 10,
    b"\xff" * 11,
    varints.write_long(2**40),
    varints.write_long(-1),
    varints.write_long(-(2**40)),
    varints.write_long(2**31),
    varints.write_long(2**62),
    varints.write_long(64),
    varints.write_long(65),
    b"\xed\xa0\x80",  # a lone surrogate
    b"\xc0\x80",  # an overlong NUL
    b"\x00",
    b"\x01",
    b"\x02",
    b"\x03",
    b"\x04",
    b"\x7f",
)


@st.composite
def hostile(draw: st.DrawFn, name: str) -> bytes:
    """Generate bytes near a valid body, and far from it."""
    body = draw(bodies(name))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        match draw(st.integers(0, 5)):
            case 0:
                body = body[:at]
            case 1:
                body = body + draw(st.binary(min_size=1, max_size=3))
            case 2 if body:
                at = min(at, len(body) - 1)
                body = body[:at] + bytes((draw(st.integers(0, 255)),)) + body[at + 1 :]
            case 3:
                body = body[:at] + draw(st.sampled_from(_LONG_FORMS)) + body[at + 1 :]
            case 4:
                body = body[:at] + draw(st.sampled_from(_LONG_FORMS)) + body[at:]
            case _:
                body = body[:at] + body[at + 1 :]
    return body


def blocked(schema: Schema, value: Any, chance: random.Random) -> bytes:
    """Encode a value with its arrays cut into blocks at random, with sizes at random."""
    types = named_types(schema)

    def write(part: Schema, one: Any) -> bytes:
        part = types.get(part, part) if isinstance(part, str) else part
        if isinstance(part, list):
            return b"\0" if one is None else b"\x02" + write(part[1], one)
        match part if isinstance(part, str) else part["type"]:
            case "array":
                return blocks([write(part["items"], item) for item in one])
            case "record":
                fields = part["fields"]
                return b"".join(write(field["type"], one[field["name"]]) for field in fields)
            case "enum":
                return varints.write_long(part["symbols"].index(one))
            case "boolean":
                return bytes([one])
            case "int" | "long":
                return varints.write_long(one)
            case kind:
                content: bytes = one.encode() if kind == "string" else one
                return varints.write_long(len(content)) + content

    def blocks(items: list[bytes]) -> bytes:
        out = b""
        while items:
            count = chance.randint(1, len(items))
            body, items = b"".join(items[:count]), items[count:]
            with_size = varints.write_long(-count) + varints.write_long(len(body))
            out += (with_size if chance.random() < 0.5 else varints.write_long(count)) + body
        return out + b"\0"

    return write(schema, value)


_IDENTITY_FIELDS = 5


def arguments(name: str, fields: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what an encoder takes: an identity's bytes, without the fields decoded from them."""
    first = inlined(name)["fields"][0]["type"]
    has_identity = isinstance(first, dict) and first.get("name") == "RequestIdentity"
    return fields[_IDENTITY_FIELDS:] if has_identity else fields


def hold_body(
    reservation: bytes = b"r-1",
    user: bytes = b"u1",
    correlation: bytes = b"",
    section: bytes = b"A-1",
    event: bytes = b"\x02",
    count: bytes = b"\x04",
) -> bytes:
    """Build a hold by hand: each length is a one-byte zigzag varint, twice the length."""
    texts = (reservation, user, correlation, section)
    return b"".join(bytes((2 * len(text),)) + text for text in texts) + event + count
