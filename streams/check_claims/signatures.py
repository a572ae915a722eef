"""Checks from a record's raw bytes alone whether a shop that has our secret wrote the record.

The header `payment-signature` is HMAC-SHA256, in lower-case hex, over type, key and value of the
record, each with its length before it (8 bytes, big-endian). So no two records have the same
signed content, and a signature fits no other topic, section or type. The type is the full name of
the record that the topic takes: a signature over another type is worth nothing here.

No time is signed, because no decision depends on it. A record that comes again, however late, only
makes the gateway be asked once more about an order, which buys its seats once at most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from serdes.wire import VALUE_BYTES_MAX
from streams.batch import Record
from streams.gateways.webhooks import Secrets, WebhookRefusal, only_header

HEADER: Final = "payment-signature"
TYPE: Final = b"io.seatstream.payments.PaymentCompleted"
KEY_BYTES_MAX: Final = 1024
_SIGNATURE: Final = re.compile(rb"[0-9a-f]{64}")

NO_CONTENT: Final = "NO_CONTENT"
"""Why a record without key or value is not believed: shops delete nothing here."""


def signed_content(key: bytes, value: bytes) -> tuple[bytes, ...]:
    """Return the signed content of a record, in parts to be joined."""
    parts = (TYPE, key, value)
    return tuple(piece for part in parts for piece in (len(part).to_bytes(8, "big"), part))


def unbelieved(record: Record, secrets: Secrets) -> str | None:
    """Return why a record is not believed; None where one of the secrets signed it.

    WRONG_SIGNATURE: forged, changed on its way, or signed with a secret that we do not have.
    """
    key, value = record.key, record.value
    if key is None or value is None:
        return NO_CONTENT
    if len(value) > VALUE_BYTES_MAX or len(key) > KEY_BYTES_MAX:
        return WebhookRefusal.TOO_LARGE
    signature = _only_signature(record.headers)
    if isinstance(signature, WebhookRefusal):
        return signature
    is_signed = secrets.signed_any(signed_content(key, value), (signature,))
    return None if is_signed else WebhookRefusal.WRONG_SIGNATURE


def _only_signature(headers: Sequence[tuple[str, bytes]]) -> bytes | WebhookRefusal:
    named = [(name.encode("utf-8", "surrogateescape"), value) for name, value in headers or ()]
    found = only_header(HEADER.encode(), named)
    if isinstance(found, WebhookRefusal):
        return found
    # A Kafka header may have no value at all.
    return found if found and _SIGNATURE.fullmatch(found) else WebhookRefusal.MALFORMED_SIGNATURE
