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
section, event_id, span, ...) and encodes from (span, ...): an identity's bytes are copied, never
encoded again. Every other value is encoded from the form that it decodes to.

A decoder accepts only the bytes that the encoder writes (shortest varints, arrays in one block),
checks ranges and `field_rules`, and that no byte is left; so its verdict is that of the decoder
rule in `general`, without encoding the value again. Whatever the bytes are, it raises `Refused` or
nothing, and reads each byte at most once, so that false lengths and counts cost no time.
"""

import linecache
from collections.abc import Callable
from functools import cache
from typing import Any

from serdes.avro.decoder_source import DecoderSource
from serdes.avro.encoder_source import EncoderSource
from serdes.avro.generated_source import IDENTITY
from serdes.avro.schema_files import Schema, inlined

__all__ = [
    "IDENTITY",
    "Decode",
    "Encode",
    "decoder",
    "decoder_of",
    "encoder",
    "encoder_of",
    "source_of",
]

Decode = Callable[[bytes, int], tuple[Any, ...]]
Encode = Callable[..., bytes]


@cache
def decoder(full_name: str) -> Decode:
    """Return `decode(data, at)`, which reads the record that fills data from `at` to its end.

    It raises Refused where those bytes are anything else than one record.
    """
    return decoder_of(inlined(full_name))


@cache
def encoder(full_name: str, prefix: bytes = b"") -> Encode:
    """Return `encode(*fields)`, which gives `prefix` and the record's bytes.

    It does not check charsets, sizes or UTF-8. It raises OverflowError for a number that does not
    fit its type, and KeyError for an index that is no symbol's.
    """
    return encoder_of(inlined(full_name), prefix)


def decoder_of(schema: Schema) -> Decode:
    """Return the decoder of a self-contained record schema."""
    return DecoderSource(schema).compiled("decode")


def encoder_of(schema: Schema, prefix: bytes = b"", bytes_max: int | None = None) -> Encode:
    """Return the encoder of a self-contained record schema.

    bytes_max: it raises TooLong for a longer record; None for no such check.
    """
    return EncoderSource(schema, prefix, bytes_max).compiled("encode")


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a generated function."""
    return "".join(linecache.getlines(function.__code__.co_filename))
