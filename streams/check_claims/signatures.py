"""Whether a record was written by a shop that has our secret: decided from its raw bytes alone.

The header `payment-signature` is HMAC-SHA256, in small hex, over type, key and value of the
record, each with its length before it (8 bytes, big-endian). So no two records have the same
signed content, and a signature fits no other topic, section or type. The type is the full name of
the record that the topic takes: whoever signed something else has signed nothing here.

Nothing of the time is signed, because nothing is decided by it: a record that comes again, however
late, asks the gateway again about an order, which is bought once at most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from serdes.wire import VALUE_BYTES_MAX
from streams.batch import Record
from streams.gateways.webhooks import Secrets, WebhookRefusal, only_header

HEADER: Final = "payment-signature"
TYPE: Final = b"io.seatstream.payments.PaymentCompleted"
KEY_BYTES_MAX: Final = 1024
_SIGNATURE: Final = re.compile(rb"[0-9a-f]{64}")


class Unbelieved(StrEnum):
    """Why nobody knows who wrote a record; a reason of its dead letter."""

    NO_CONTENT = "NO_CONTENT"
    """No key or no value: a stranger's, for we delete nothing here."""
    TOO_LARGE = "TOO_LARGE"
    NO_SIGNATURE = "NO_SIGNATURE"
    MANY_SIGNATURE_HEADERS = "MANY_SIGNATURE_HEADERS"
    MALFORMED_SIGNATURE = "MALFORMED_SIGNATURE"
    WRONG_SIGNATURE = "WRONG_SIGNATURE"
    """Forged, changed on its way, or signed with a secret that we have not (any more)."""


def signed_content(key: bytes, value: bytes) -> tuple[bytes, ...]:
    """Return what is signed of a record, in parts to be joined."""
    parts = (TYPE, key, value)
    return tuple(piece for part in parts for piece in (len(part).to_bytes(8, "big"), part))


def unbelieved(record: Record, secrets: Secrets) -> Unbelieved | None:
    """Return why a record is not believed; None where one of the secrets signed it."""
    key, value = record.key, record.value
    if key is None or value is None:
        return Unbelieved.NO_CONTENT
    if len(value) > VALUE_BYTES_MAX or len(key) > KEY_BYTES_MAX:
        return Unbelieved.TOO_LARGE
    signature = _only_signature(record.headers)
    if isinstance(signature, Unbelieved):
        return signature
    is_signed = secrets.signed_any(signed_content(key, value), (signature,))
    return None if is_signed else Unbelieved.WRONG_SIGNATURE


def _only_signature(headers: Sequence[tuple[str, bytes]]) -> bytes | Unbelieved:
    named = [(name.encode("utf-8", "surrogateescape"), value) for name, value in headers or ()]
    found = only_header(HEADER.encode(), named)
    if isinstance(found, WebhookRefusal):
        return Unbelieved(found)
    # A header of Kafka's may have no value at all.
    return found if found and _SIGNATURE.fullmatch(found) else Unbelieved.MALFORMED_SIGNATURE
