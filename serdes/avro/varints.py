"""Avro's zigzag varints, as tables and straight-line functions for generated code.

Most values have one byte: the generated code looks these up in a table and calls no function.
"""

from collections.abc import Hashable
from typing import TypeVar

from serdes.avro.refused import Refused

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_REMEMBERED_MAX = 16384


class Remembered(dict[Key, Value]):
    """A bounded cache of values that follow from their keys, so that clearing it changes nothing.

    It starts with `fixed`, which always stays. Callers look up with `get` and `remember` the value
    of a key that was missing.
    """

    def __init__(self, fixed: dict[Key, Value]) -> None:
        super().__init__(fixed)
        self._fixed = fixed

    def remember(self, key: Key, value: Value) -> None:
        if len(self) >= len(self._fixed) + _REMEMBERED_MAX:
            self.clear()
            self.update(self._fixed)
        self[key] = value


# Value of a one-byte varint, by that byte.
SMALL = tuple((byte >> 1) ^ -(byte & 1) for byte in range(128))

_LONG_BYTES_MAX = 10
_LONG_LIMIT = 1 << 64
_INT_LIMIT = 1 << 32
_LONGER = "a number has a shorter form"
_TIME_BYTES = 6
_SEVEN = 0x7F
_MORE = 0x80

# Unix times by their six bytes; the records of a batch have few different ones.
TIMES: Remembered[bytes, int] = Remembered({})


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return the value of a varint of two bytes or more, and the position behind it.

    Reads at most ten bytes. Raises Refused for more than 64 bits and for a varint that has a
    shorter form, and IndexError where data ends within it.
    """
    # Varints of two and three bytes have lines of their own, and the six bytes of a Unix time are
    # looked up: a loop takes twice as long, and took half of the time of decoding a reservation.
    second = data[at + 1]
    unsigned = data[at] & _SEVEN | (second & _SEVEN) << 7
    if second < _MORE:
        if not second:
            raise Refused(_LONGER)
        return (unsigned >> 1) ^ -(unsigned & 1), at + 2
    third = data[at + 2]
    if third < _MORE:
        if not third:
            raise Refused(_LONGER)
        unsigned |= third << 14
        return (unsigned >> 1) ^ -(unsigned & 1), at + 3
    six = data[at : at + _TIME_BYTES]
    value = TIMES.get(six)
    if value is not None:
        return value, at + _TIME_BYTES
    unsigned |= (third & _SEVEN) << 14
    for position in range(3, _LONG_BYTES_MAX):
        byte = data[at + position]
        unsigned |= (byte & _SEVEN) << 7 * position
        if byte < _MORE:
            if not byte:
                raise Refused(_LONGER)
            if unsigned >= _LONG_LIMIT:
                break
            value = (unsigned >> 1) ^ -(unsigned & 1)
            if position == _TIME_BYTES - 1:
                TIMES.remember(six, value)
            return value, at + position + 1
    raise Refused("a number exceeds 64 bits")


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """Return as `read_long`; raises Refused for more than 32 bits as well."""
    value, at = read_long(data, at)
    if not -(_INT_LIMIT >> 1) <= value < _INT_LIMIT >> 1:
        raise Refused("an int exceeds 32 bits")
    return value, at


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """Return the positions of a string's first byte and of the byte behind its last one.

    Called where the string's first length byte is odd or has another byte behind it. The end may
    lie behind the end of data; the caller's next read or its last check finds that out. Raises as
    `read_long`, and Refused for a negative length.
    """
    byte = data[at]
    size, start = (SMALL[byte], at + 1) if byte < _MORE else read_long(data, at)
    if size < 0:
        raise Refused("a negative length")
    return start, start + size


def write_long(value: int) -> bytes:
    """Return the varint of a 64-bit value. Raises OverflowError for a larger one."""
    if not -(_LONG_LIMIT >> 1) <= value < _LONG_LIMIT >> 1:
        raise OverflowError(f"{value} exceeds 64 bits")
    unsigned = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while unsigned >= _MORE:
        encoded.append(unsigned & _SEVEN | _MORE)
        unsigned >>= 7
    encoded.append(unsigned)
    return bytes(encoded)


def write_int(value: int) -> bytes:
    """Return the varint of a 32-bit value. Raises OverflowError for a larger one."""
    if not -(_INT_LIMIT >> 1) <= value < _INT_LIMIT >> 1:
        raise OverflowError(f"{value} exceeds 32 bits")
    return write_long(value)


# The varints of 0 .. 8191: the numbers from 0 on that take one or two bytes.
WHOLE_COUNT = 1 << 13
WHOLE = tuple(write_long(value) for value in range(WHOLE_COUNT))
# The first two bytes of a longer varint, by the lowest 13 bits of the value: two bytes hold 14
# bits, and zigzag doubles the value.
LOWEST = tuple(
    bytes(((value << 1) & _SEVEN | _MORE, (value >> 6) | _MORE)) for value in range(1 << 13)
)
# The one or two last bytes of a longer varint, by the bits that the bytes before do not hold.
LAST = tuple(
    bytes((bits,)) if bits < _MORE else bytes((bits & _SEVEN | _MORE, bits >> 7))
    for bits in range(1 << 14)
)
# Two bytes in the middle of a longer varint, by the 14 bits of the value that they hold.
_MIDDLE = tuple(bytes((bits & _SEVEN | _MORE, (bits >> 7) | _MORE)) for bits in range(1 << 14))
# Offsets, versions and counts are below the first limit, Unix times in ms until 2039 below the
# second.
TWO_STEP_LIMIT = 1 << (13 + 14)
_THREE_STEP_LIMIT = 1 << (13 + 14 + 14)


# Varints by value: of small numbers always, and of recent numbers that take more than two steps.
# Those are mostly Unix times, of which a batch has few different ones.
KNOWN = Remembered(dict(enumerate(WHOLE)))


def write_recent(value: int) -> bytes:
    """Return as `write_long`, and keep the varint in `KNOWN` for the next record."""
    if TWO_STEP_LIMIT <= value < _THREE_STEP_LIMIT:
        encoded = LOWEST[value & 8191] + _MIDDLE[value >> 13 & 16383] + LAST[value >> 27]
    else:
        encoded = write_long(value)
    KNOWN.remember(value, encoded)
    return encoded
