"""The ids of the request that put an item into the queue, as the item carries them."""

from infra.process.log_lines import Correlation
from infra.process.record_ids import CORRELATION, TRACEPARENT, correlation_in


def encoded_ids(ids: Correlation) -> bytes:
    return f"{ids.id} {ids.traceparent}".rstrip(" ").encode()


def ids_of(item_id: str, text: bytes) -> Correlation:
    """Return the ids that an item is followed by; its own where it carries none that are good."""
    found = correlation_in(tuple(zip((CORRELATION, TRACEPARENT), text.split(b" "), strict=False)))
    return Correlation(found.id or item_id, found.traceparent)
