"""The ids of the request that put an item into the queue, as the item carries them."""

from infra.process.log_lines import Correlation
from infra.process.record_ids import CORRELATION, TRACEPARENT, Headers, correlation_in, followed


def encoded_ids(ids: Correlation) -> bytes:
    return f"{ids.id} {ids.traceparent}".rstrip(" ").encode()


def ids_as_headers(text: bytes) -> Headers:
    """Return the ids that an item carries, those that are good, as headers of a record."""
    told = zip((CORRELATION, TRACEPARENT), text.split(b" "), strict=False)
    return followed(tuple(told))


def ids_of(item_id: str, text: bytes) -> Correlation:
    """Return the ids that an item is followed by; its own where it carries none that are good."""
    found = correlation_in(ids_as_headers(text))
    return Correlation(found.id or item_id, found.traceparent)
