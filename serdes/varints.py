"""Avro's zigzag varints, as tables and straight-line functions for generated code.

One-byte values, by far the most, never leave the generated line: it looks them up in a table.
"""

from serdes.refused import Refused

# Value of a one-byte varint, by that byte.
SMALL = tuple((byte >> 1) ^ -(byte & 1) for byte in range(128))

_LONG_BYTES_MAX = 10
_LONG_LIMIT = 1 << 64
_INT_LIMIT = 1 << 32
_SEVEN = 0x7F
_MORE = 0x80


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint of two bytes or more and the position behind it.

    Raises Refused for more than 64 bits and for a varint with a shorter form, IndexError at the
    end of data. At most ten bytes are looked at.
    """
    unsigned = data[at] & _SEVEN
    for position in range(1, _LONG_BYTES_MAX):
        byte = data[at + position]
        unsigned |= (byte & _SEVEN) << 7 * position
        if byte < _MORE:
            if not byte:
                raise Refused("a number has a shorter form")
            if unsigned >= _LONG_LIMIT:
                break
            return (unsigned >> 1) ^ -(unsigned & 1), at + position + 1
    raise Refused("a number exceeds 64 bits")


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """As `read_long`, for 32 bits."""
    value, at = read_long(data, at)
    if not -(_INT_LIMIT >> 1) <= value < _INT_LIMIT >> 1:
        raise Refused("an int exceeds 32 bits")
    return value, at


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """Return first byte and end of a string or bytes value whose length byte is not plain.

    The end may lie behind the end of data: the caller's next read or its last check finds out.
    """
    byte = data[at]
    size, start = (SMALL[byte], at + 1) if byte < _MORE else read_long(data, at)
    if size < 0:
        raise Refused("a negative length")
    return start, start + size


def write_long(value: int) -> bytes:
    """Return the varint of any 64-bit value. Raises OverflowError beyond."""
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
    """Return the varint of any 32-bit value. Raises OverflowError beyond."""
    if not -(_INT_LIMIT >> 1) <= value < _INT_LIMIT >> 1:
        raise OverflowError(f"{value} exceeds 32 bits")
    return write_long(value)


# Varints of 0 .. 8191: all that take one or two bytes.
WHOLE_COUNT = 1 << 13
WHOLE = tuple(write_long(value) for value in range(WHOLE_COUNT))
# The two lowest bytes of a longer varint, by the value's lowest 13 bits: the zigzag doubles it.
LOWEST = tuple(
    bytes(((value << 1) & _SEVEN | _MORE, (value >> 6) | _MORE)) for value in range(1 << 13)
)
# Two bytes in the middle, and the last one or two, by 14 bits of the value.
MIDDLE = tuple(bytes((bits & _SEVEN | _MORE, (bits >> 7) | _MORE)) for bits in range(1 << 14))
LAST = tuple(
    bytes((bits,)) if bits < _MORE else bytes((bits & _SEVEN | _MORE, bits >> 7))
    for bits in range(1 << 14)
)
# Offsets and versions end below the first bound, Unix ms until the year 2039 below the second.
TWO_STEP_LIMIT = 1 << (13 + 14)
THREE_STEP_LIMIT = 1 << (13 + 14 + 14)
