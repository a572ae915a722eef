"""I24: no record has the number of a payment card, whatever else is said in it.

Every record that is read is looked through: its headers, the texts in its fields, and all bytes of
what nobody can read. Ids are left out, which may be digits of anybody's choice; so are keys, which
are made of ids. Where a number stands is told, and never the number.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from infra.process.card_numbers import has_card_number
from scripts.auditing import carts, purchases, stored
from scripts.auditing.issued.reading import OF_WORKERS
from scripts.auditing.log import Log
from scripts.auditing.report import Notes, Report
from scripts.auditing.schemas import Unreadable, WireFormat
from scripts.auditing.topics import LogRecord

NO_TEXTS: Final = frozenset(
    (
        *("allocationId", "bookingNumber", "cartId", "cartIds", "claimedId", "correlationId"),
        *("callId", "item", "token"),
        *(
            "eventId",
            "hints",
            "idempotencyKey",
            "intentId",
            "openedBy",
            "openingDigest",
            "orderId",
        ),
        *("outcomeId", "paymentId", "purchaseId", "reservationId", "section", "userId"),
        # Ids under other names, what intents have of a record that is kept beside them, bitmaps.
        *("answers", "destination", "extension", "wish", "payload", "blocked", "free"),
    )
)
"""Fields whose text is no text by a person or a gateway."""

NO_TEXTS_IN_HEADERS: Final = frozenset(
    (
        *("correlation-id", "traceparent", "event-id", "deletion", "payment-signature"),
        *("dead-letter-correlation-id", "dead-letter-event-id", "dead-letter-header-names"),
        *("dead-letter-offset", "dead-letter-timestamp", "dead-letter-value-bytes"),
        *("dead-letter-first-failed-at-ms", "dead-letter-last-failed-at-ms"),
    )
)
NAME_BY_TAG: Final = stored.STATE_BY_TAG | purchases.STATE_BY_TAG | carts.STATE_BY_TAG
"""Of all changelogs that are read: a tag means the same in each."""

# Most records have none, and need not be decoded. In one shape for all digits, for a search that
# begins with the same bytes is many times as quick.
_SHAPE: Final = bytes.maketrans(b"0123456789-", b"0" * 10 + b" ")
_MANY_DIGITS: Final = re.compile(rb"0000(?: ?0){9}")
_CUT_MAX: Final = 4
# Digits of a digest stand beside other hexadecimal ones; a single letter may be a text's length.
_RUN: Final = re.compile(r"(?<![0-9A-Fa-f][A-Fa-f])(?<![0-9])[0-9][0-9 -]+(?![0-9A-Fa-f])")


def judge_cards(log: Log, report: Report) -> None:
    """Note every record that may have the number of a card."""
    for topic, records_by_partition in log.by_topic():
        for partition, records in records_by_partition.items():
            notes = Notes(partition, report)
            for record in records:
                if may_have_none(record):
                    continue
                if where := where_card_is(log.wire, topic, record):
                    # Without a reservation, whose records would be shown.
                    message = f"{topic} at offset {record.offset}, {where}"
                    notes.bad("I24", "card number", -1, f"{message}: what may be that of a card")


def where_card_is(wire: WireFormat, topic: str, record: LogRecord) -> str:
    """Return in which part of a record the number of a card may be; empty for none."""
    for name, value in record.headers:
        may_be = name not in NO_TEXTS_IN_HEADERS and has_many_digits(value or b"")
        if may_be and has_card_number((value or b"").decode(errors="replace")):
            return f"header {name!r:.80}"
    key, value = record.key or b"", record.value or b""
    if key.startswith(OF_WORKERS):
        return "its answer" if have_card(answer_in(value)) else ""
    if not has_many_digits(value) or key in stored.OF_WORKERS or key[:1] == purchases.TRACE:
        return ""
    try:
        fields = fields_of(wire, topic, key, value)
    except Unreadable:
        return "its bytes" if have_card(value) else ""
    return next((name for name, text in texts_of("", fields) if has_card_number(text)), "")


def may_have_none(record: LogRecord) -> bool:
    """Say whether `where_card_is` finds nothing for sure, as in most records."""
    # As there: of each value without these nothing is read.
    return not (
        record.headers
        or has_many_digits(record.value or b"")
        or (record.key or b"").startswith(OF_WORKERS)
    )


def has_many_digits(value: bytes) -> bool:
    """Say whether thirteen digits stand in a row, the later ones with a blank or dash between."""
    return _MANY_DIGITS.search(value.translate(_SHAPE)) is not None


def answer_in(value: bytes) -> bytes:
    """Return what a destination has said, of an answer that a worker has sent itself.

    Ids and keys stand beside it, in JSON behind a seal. All bytes of what is nothing of the kind.
    """
    try:
        *_, payload, detail, _, _ = json.loads(value[value.find(b"[") :])
        return base64.b64decode(payload, validate=True) + b"\n" + str(detail).encode()
    except (ValueError, TypeError, RecursionError):
        return value


def fields_of(wire: WireFormat, topic: str, key: bytes, value: bytes) -> dict[str, Any]:
    """Return the fields of a record, of whatever topic; raises Unreadable."""
    if not topic.endswith("-changelog"):
        return wire.decode(value)[1]
    name = NAME_BY_TAG.get(key[:1])
    if name is None or value[0] not in stored.HEADER_BYTES_BY_FORMAT:
        raise Unreadable("no value of ours")
    return wire.avro.decode_stored(name, stored.opened(value)[0])


def texts_of(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield each text in a field, with the name of the field that it is in."""
    if name in NO_TEXTS:
        return
    match value:
        case str():
            yield name, value
        case bytes():
            yield name, value.decode(errors="replace")
        case dict():
            for inner, content in value.items():
                yield from texts_of(inner, content)
        case list() | tuple():
            for one in value:
                yield from texts_of(name, one)


def have_card(value: bytes) -> bool:
    """Say whether bytes without a known form may have the number of a card.

    What stands before a text, such as its length, may look like further digits.
    """
    runs = (run[0] for run in _RUN.finditer(value.decode("latin-1")))
    return any(has_card_number(run[cut:]) for run in runs for cut in range(_CUT_MAX))
