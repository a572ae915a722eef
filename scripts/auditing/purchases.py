"""Topics of payments in; each payment of one partition, with all records about it, out.

The audit reads them with the schemas alone: what workers store (purchases-changelog), what they
publish (payment-events), and the records that must have led to both (payment-commands).
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import PAYMENT_COMMANDS, PAYMENT_EVENTS, PURCHASES_CHANGELOG
from scripts.auditing.log import Log
from scripts.auditing.oracle.keys import CART_PAYMENT_ID, partition_of
from scripts.auditing.report import Notes, offset_of
from scripts.auditing.schemas import Unreadable
from scripts.auditing.stored import (
    DELETION_HEADER,
    OF_WORKERS,
    check_envelope,
    is_sealed,
    opened,
)
from scripts.auditing.topics import LogRecord

Fields = dict[str, Any]

PURCHASE, COMPENSATION, COUNTS, PROGRESS, INTENT = b"u", b"c", b"n", b"p", b"\xfe"
# The ids that follow an intent through log lines: nothing follows from them.
TRACE = b"\xfd"
STATE_BY_TAG = {
    PURCHASE: "Purchase",
    COMPENSATION: "OpenCompensation",
    b"g": "PaymentOfGateway",
    COUNTS: "PurchaseCounts",
    PROGRESS: "Progress",
    INTENT: "OpenIntent",
}
KEY = re.compile(rb"[uc][A-Za-z0-9_-]{1,64}|g[a-z0-9_-]{1,32}:[!-~]{1,128}|[np]|\xfe.+", re.DOTALL)
"""What may be a key of ours; under any other nothing is anybody's value."""

TERMS = ("epoch", "amount", "currency", "gateway", "deadlineMs")


@dataclass(slots=True)
class Payment:
    """One payment, under its reservation's id.

    asked:      the PaymentRequested that began the payment, appended at asked_at_ms (Unix ms); a
                later one where the first was a claim that the section refused, if that is kept.
    is_claimed: another shop says that it has charged the buyer.
    stored:     its purchase; told: each PaymentChanged.
    captures:   the captures that its gateway told.
    heard:      words for all other records that may have moved the payment.
    is_waiting: some records about the payment were not decided yet.
    is_unclear: workers have quarantined a record about the payment.
    is_listed:  the payment is listed among those that need a person.
    """

    asked: Fields | None = None
    stored: Fields | None = None
    told: list[Fields] = field(default_factory=list)
    captures: list[Fields] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    asked_at_ms: int = 0
    is_claimed: bool = False
    is_waiting: bool = False
    is_unclear: bool = False
    is_listed: bool = False

    @property
    def offset(self) -> int:
        """Return the offset of the command that started the payment; -1 where none is known."""
        return -1 if self.asked is None else offset_of(self.asked["outcomeId"])

    @property
    def is_refused(self) -> bool:
        """Say whether the section keeps no seats for it: a claim, whose money is looked for."""
        return self.asked is not None and not self.asked["deadlineMs"]

    @property
    def is_told_of(self) -> bool:
        """Say whether a word must have been said of it, which may be compared with it now.

        One that was done before its turns were counted was never told of.
        """
        stored = self.stored
        is_done_once = stored is not None and stored["bookingNumber"] and stored["turns"]
        return bool(is_done_once) and not self.is_waiting

    @property
    def status(self) -> str:
        """Return the status of the purchase; empty where there is none."""
        return "" if self.stored is None else str(self.stored["status"])


@dataclass(slots=True)
class Purchases:
    """The payments of one partition.

    is_played: workers of this cluster have played the role payments at some time.
    intents:   open intents by id.
    counts:    stored counts of purchases by the number of their status; None without any.
    unreadable: offsets of the records of payment-commands that were decided, but cannot be read.
    """

    is_played: bool = False
    by_id: dict[str, Payment] = field(default_factory=dict)
    intents: dict[str, Fields] = field(default_factory=dict)
    counts: list[int] | None = None
    unreadable: set[int] = field(default_factory=set)

    def of(self, reservation_id: str) -> Payment:
        """Return the payment of a reservation; a new one where none is known."""
        return self.by_id.setdefault(reservation_id, Payment())


def read_purchases(log: Log, notes: Notes, quarantined: AbstractSet[int]) -> Purchases:
    """Read the payments of the partition of `notes`; count foreign and undecided records.

    quarantined: offsets of payment-commands that no worker survived.
    """
    is_played = log.is_paid or any(log.purchases.values()) or log.ledger is not None
    purchases = Purchases(is_played=is_played)
    if not purchases.is_played:
        return purchases
    next_offset = read_state(log, notes, purchases)
    for record in log.payments.get(notes.partition, []):
        try:
            name, fields = log.wire.decode(record.value or b"", PAYMENT_COMMANDS)
        except Unreadable:
            # The family `payments` notes it as foreign.
            if record.value is not None and record.offset < next_offset:
                purchases.unreadable.add(record.offset)
            continue
        if name == "PaymentTick":
            continue
        reservation_id = id_of(fields)
        if record.offset >= next_offset:
            notes.report.pending += 1
            purchases.of(reservation_id).is_waiting = True
            continue
        is_unclear = record.offset in quarantined
        if is_unclear:
            purchases.of(reservation_id).is_unclear = True
        # A request that no worker survived is refused: its purchase has failed.
        is_heard = not is_unclear or name == "PaymentRequested"
        if is_heard and record.key == reservation_id.encode():
            hear(log, notes, purchases, record, name, fields)
    for record in log.told.get(notes.partition, []):
        try:
            _, fields = log.wire.decode(record.value or b"", PAYMENT_EVENTS)
        except Unreadable as error:
            notes.foreign(PAYMENT_EVENTS.name, record.offset, str(error))
            continue
        purchases.of(id_of(fields)).told.append(fields)
    return purchases


def id_of(fields: Fields) -> str:
    """Return the reservation id of a record about a payment."""
    return str(fields.get("reservationId") or fields["request"]["reservationId"])


def is_of_cart(payment_id: str) -> bool:
    """Say whether a payment is that of a whole cart, and lies where the cart does."""
    return CART_PAYMENT_ID.fullmatch(payment_id) is not None


def hear(
    log: Log, notes: Notes, purchases: Purchases, record: LogRecord, name: str, fields: Fields
) -> None:
    """Remember a decided record about a payment."""
    payment = purchases.of(id_of(fields))
    if name == "PaymentRequested":
        request = fields["request"]
        whose = request["userId" if is_of_cart(id_of(fields)) else "section"]
        home = f"{request['eventId']}-{whose}".encode()
        is_here = partition_of(home, log.partitions) == notes.partition
        payment.is_claimed |= fields["method"] == "COMPLETED"
        if payment.is_refused:
            payment.heard.add("asked anew")
        is_kept = payment.is_refused and is_as_asked(payment.stored, fields)
        is_new = payment.asked is None or is_kept
        if is_new and is_here and fields["epoch"] >= 1:
            payment.asked, payment.asked_at_ms = fields, record.timestamp
    elif payment.asked is not None:
        payment.heard |= words_of(payment, name, fields)


def is_as_asked(stored: Fields | None, asked: Fields) -> bool:
    """Say whether what is kept of a payment has these terms."""
    return stored is not None and all(stored[part] == asked[part] for part in TERMS)


def words_of(payment: Payment, name: str, fields: Fields) -> set[str]:
    """Return the words for what a record may do to its payment; empty for another's record."""
    asked = payment.asked
    assert asked is not None
    whose: Fields = asked["request"]
    request: Fields = fields.get("request", whose)
    is_of_section = all(whose[part] == request[part] for part in ("section", "eventId"))
    if fields.get("epoch", asked["epoch"]) != asked["epoch"] or not is_of_section:
        return set()
    match name:
        case "GatewayAnswered" if fields["word"] == "CAPTURED" and not fields["paymentId"]:
            # Without an id nobody could tell this capture from another, so it is no answer.
            return {"OPEN"}
        case "GatewayAnswered" if fields["word"] == "CAPTURED":
            payment.captures.append(fields)
            exact = all(fields[part] == asked[part] for part in ("amount", "currency"))
            return {"captured" if exact else "captured otherwise"}
        case "GatewayAnswered":
            return {fields["word"]}
        case "SaleDecided" if request == whose and fields["reason"] == "INTERNAL":
            # The section could not decide, so its seats are as before.
            return {"undecided"}
        case "SaleDecided" if fields["reason"] == "ALREADY_SOLD" and request == whose:
            return {"sold by another"}
        case "SaleDecided" if fields["asked"] == "SELL_SEATS" and request == whose:
            return {"sold" if fields["decision"] == "SOLD" else "lost"}
        case "RefundRequested" if request["userId"] == whose["userId"]:
            return {"refund asked"}
        case "CompensationResolved" if not fields["gateway"]:
            return {f"found {fields['finding']}"}
    return set()


# The state.


def read_state(log: Log, notes: Notes, purchases: Purchases) -> int:
    """Read the last values of the changelog; return the offset of the first record not in them."""
    next_offset = 0
    records = log.purchases.get(notes.partition, [])
    last = last_values(records, notes, PURCHASES_CHANGELOG.name, KEY, log.partitions)
    for key, (offset, value) in last.items():
        tag, rest = key[:1], key[1:].decode(errors="replace")
        try:
            check_envelope(value, notes.partition, PURCHASES_CHANGELOG.name)
            fields = log.wire.avro.decode_stored(STATE_BY_TAG[tag], opened(value)[0])
        except Unreadable as error:
            notes.bad("I14", "corrupt value", offset, f"purchases-changelog: {key!r}: {error}")
            continue
        if tag == PURCHASE:
            purchases.of(rest).stored = fields
        elif tag == COMPENSATION:
            purchases.of(rest).is_listed = True
        elif tag == INTENT:
            purchases.intents[rest] = fields
        elif tag == COUNTS:
            purchases.counts = fields["counts"]
        elif tag == PROGRESS:
            next_offset = fields["nextOffset"]
    return next_offset


def last_values(
    records: Iterable[LogRecord],
    notes: Notes,
    name: str,
    keys: re.Pattern[bytes],
    partitions: int,
) -> dict[bytes, tuple[int, bytes]]:
    """Return offset and last value by key; note values that are not of this partition.

    name: of the changelog. keys: what may be a key of ours in it.
    """
    last: dict[bytes, tuple[int, bytes]] = {}
    here = notes.partition
    for record in records:
        key, value = record.key or b"", record.value
        if key in OF_WORKERS or key[:1] == TRACE:
            continue
        if not keys.fullmatch(key):
            notes.foreign(name, record.offset, f"{key[:40]!r} is no key of ours")
        elif value is None:
            sealed = dict(record.headers).get(DELETION_HEADER) or b""
            if is_sealed(sealed, here, key, name):
                last.pop(key, None)
            else:
                notes.foreign(name, record.offset, f"{key[:40]!r} was deleted by a stranger")
        elif not is_sealed(value, here, changelog=name) and any(
            is_sealed(value, place, changelog=name) for place in range(partitions)
        ):
            notes.foreign(name, record.offset, f"{key[:40]!r} is another partition's")
        else:
            last[key] = record.offset, value
    return last
