"""Confluent wire format: a zero byte, the schema id (4 bytes, big-endian), the Avro body."""

HEADER_BYTES = 5
MAGIC = b"\x00"
SCHEMA_ID_MAX = (1 << 31) - 1

# The largest value that is read, header included; the decoder rule's first step.
VALUE_BYTES_MAX = 64 * 1024


def header_of(schema_id: int) -> bytes:
    """Return the five bytes before a body. Raises OverflowError outside 0 .. 2^32 - 1."""
    return MAGIC + schema_id.to_bytes(4, "big")


def schema_id_of(header: bytes) -> int | None:
    """Return the schema id of a header, or None where these are not five bytes of a header."""
    if len(header) < HEADER_BYTES or header[:1] != MAGIC:
        return None
    return int.from_bytes(header[1:HEADER_BYTES], "big")


def checked_id(value: object) -> int:
    """Return what JSON gives as a schema id. Raises ValueError where no registry gives it out."""
    # A bool is an int to Python, and registries count from 1 in an int of 32 bits.
    if type(value) is not int or not 0 < value <= SCHEMA_ID_MAX:
        raise ValueError(f"{value!r:.200} is no schema id")
    return value
