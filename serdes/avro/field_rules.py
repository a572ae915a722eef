"""Bounds of a field's values that Avro's types cannot state, as attributes of the field.

charset:            the bytes a string may hold, as single characters and `a-z` ranges.
minBytes, maxBytes: bounds of a string's length in bytes, both included.
minimum:            the smallest int or long.

Other readers ignore these attributes, as Avro has it for all that it does not define.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldRules:
    """What a field's value must satisfy; None where the schema sets no bound."""

    charset: bytes | None
    bytes_min: int
    bytes_max: int | None
    minimum: int | None


FREE = FieldRules(None, 0, None, None)


def rules_of(field: Mapping[str, Any]) -> FieldRules:
    """Return the rules written beside a field's type."""
    charset = field.get("charset")
    return FieldRules(
        charset=None if charset is None else expand(charset),
        bytes_min=field.get("minBytes", 0),
        bytes_max=field.get("maxBytes"),
        minimum=field.get("minimum"),
    )


def expand(charset: str) -> bytes:
    """Return every byte of a charset such as `A-Za-z0-9_-`; a `-` at the end is one of them."""
    allowed = bytearray()
    at = 0
    while at < len(charset):
        if charset[at + 1 : at + 2] == "-" and at + 2 < len(charset):
            allowed += bytes(range(ord(charset[at]), ord(charset[at + 2]) + 1))
            at += 3
        else:
            allowed += charset[at].encode("ascii")
            at += 1
    return bytes(allowed)
