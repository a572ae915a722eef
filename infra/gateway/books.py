"""The gateway's decisions by key and by order: the rules of money, without I/O.

An idempotency key belongs for ever to its first decision, and to the request that led to it. A
refusal is no decision, so it takes no key. An order is captured at most once, and refunded as a
whole, at most once.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final


class Operation(StrEnum):
    """What led to an entry. SETTLE comes from the control side, for an order that was pending."""

    CHARGE = "charge"
    REFUND = "refund"
    SETTLE = "settle"
    LOOK_UP = "look_up"
    """Writes no entry, but may have faults."""


class Outcome(StrEnum):
    """What was decided."""

    CAPTURED = "captured"
    DECLINED = "declined"
    PENDING = "pending"
    REFUNDED = "refunded"


class Refusal(StrEnum):
    """Why nothing was decided."""

    KEY_REUSED = "KEY_REUSED"
    ALREADY_CAPTURED = "ALREADY_CAPTURED"
    ALREADY_REFUNDED = "ALREADY_REFUNDED"
    PARTIAL_REFUND = "PARTIAL_REFUND"
    NOT_FOUND = "NOT_FOUND"
    STILL_PENDING = "STILL_PENDING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One decision, and one line of the ledger.

    number:      1, 2 .. in the ledger; the ids of payments and refunds are made of it.
    fingerprint: hash of the request.
    at_ms:       Unix ms.
    asked:       amount of the charge, in minor units.
    amount:      what was captured or refunded, in minor units; 0 where no money moved.
    """

    number: int
    operation: Operation
    outcome: Outcome
    key: str
    fingerprint: str
    order_id: str
    at_ms: int
    payment_id: str
    asked: int
    amount: int = 0
    currency: str = ""
    method: str = ""
    refund_id: str = ""
    reason: str = ""

    def line(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "Entry":
        """Return the entry in a line; ValueError, TypeError or KeyError where there is none."""
        fields: dict[str, Any] = json.loads(line)
        entry = cls(**fields)
        return replace(entry, operation=Operation(entry.operation), outcome=Outcome(entry.outcome))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """A charge that was asked for.

    amount: minor units. parameters: those of the method; the ledger has only their hash.
    """

    order_id: str
    amount: int
    currency: str
    method: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """A refund that was asked for.

    amount: minor units; refused unless it is all that was captured.
    """

    order_id: str
    amount: int
    currency: str


def fingerprint(request: ChargeRequest | RefundRequest) -> str:
    kind = type(request).__name__
    return sha256(json.dumps([kind, asdict(request)], sort_keys=True).encode()).hexdigest()


# The currency that a gateway with a fault takes instead.
OTHER_CURRENCY: Final = {"EUR": "USD"}


class Books:
    """All decisions so far. Methods return an entry: an earlier one, or a new one.

    The caller writes a new entry (`is_new`) to the ledger, and then calls `keep` with it.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._count = 0
        self._by_key: dict[str, Entry] = {}
        self._by_order: dict[str, list[Entry]] = {}
        for entry in entries:
            self.keep(entry)

    def is_new(self, entry: Entry) -> bool:
        return entry.number > self._count

    def keep(self, entry: Entry) -> None:
        assert entry.number == self._count + 1, "entries are kept in their order"
        self._count = entry.number
        if entry.key:
            self._by_key[entry.key] = entry
        self._by_order.setdefault(entry.order_id, []).append(entry)

    def standing(self, order_id: str) -> Entry | None:
        """Return the newest entry of an order, by which it stands; None for an unknown order."""
        entries = self._by_order.get(order_id)
        return None if entries is None else entries[-1]

    def charge(
        self,
        request: ChargeRequest,
        key: str,
        now_ms: int,
        wanted: Outcome = Outcome.CAPTURED,
        reason: str = "",
    ) -> Entry | Refusal:
        """Decide a charge.

        wanted, reason: the outcome, where the key is new and the order is not paid.
        """
        known = self._known(request, key)
        if known is not None:
            return known
        last = self.standing(request.order_id)
        if last is not None and last.outcome is Outcome.PENDING:
            return Refusal.STILL_PENDING
        if last is not None and last.outcome is not Outcome.DECLINED:
            return Refusal.ALREADY_CAPTURED
        money = request.amount if wanted is Outcome.CAPTURED else 0
        return Entry(
            number=self._count + 1,
            operation=Operation.CHARGE,
            outcome=wanted,
            key=key,
            fingerprint=fingerprint(request),
            order_id=request.order_id,
            at_ms=now_ms,
            payment_id=f"pay_{self._count + 1}",
            asked=request.amount,
            amount=money,
            currency=request.currency,
            method=request.method,
            reason=reason,
        )

    def settle(self, order_id: str, now_ms: int, wanted: Outcome) -> Entry | Refusal:
        """Decide an order that is pending. The key of its charge keeps the answer PENDING."""
        last = self.standing(order_id)
        if last is None or last.outcome is not Outcome.PENDING:
            return Refusal.NOT_FOUND
        return replace(
            last,
            number=self._count + 1,
            operation=Operation.SETTLE,
            outcome=wanted,
            key="",
            at_ms=now_ms,
            amount=last.asked if wanted is Outcome.CAPTURED else 0,
            reason="" if wanted is Outcome.CAPTURED else "DECLINED",
        )

    def refund(self, request: RefundRequest, key: str, now_ms: int) -> Entry | Refusal:
        """Refund all that was captured for an order."""
        known = self._known(request, key)
        if known is not None:
            return known
        last = self.standing(request.order_id)
        if last is None or last.outcome in {Outcome.PENDING, Outcome.DECLINED}:
            return Refusal.NOT_FOUND
        if last.outcome is Outcome.REFUNDED:
            return Refusal.ALREADY_REFUNDED
        if (request.amount, request.currency) != (last.amount, last.currency):
            return Refusal.PARTIAL_REFUND
        return replace(
            last,
            number=self._count + 1,
            operation=Operation.REFUND,
            outcome=Outcome.REFUNDED,
            key=key,
            fingerprint=fingerprint(request),
            at_ms=now_ms,
            refund_id=f"ref_{self._count + 1}",
        )

    def _known(self, request: ChargeRequest | RefundRequest, key: str) -> Entry | Refusal | None:
        known = self._by_key.get(key)
        if known is None:
            return None
        return known if known.fingerprint == fingerprint(request) else Refusal.KEY_REUSED


def erring(entry: Entry, *, amount: bool = False, currency: bool = False) -> Entry:
    """Return a capture of another amount or currency than was asked for."""
    assert entry.outcome is Outcome.CAPTURED, "only a capture has money in it"
    return replace(
        entry,
        amount=entry.amount + 1 if amount else entry.amount,
        currency=OTHER_CURRENCY.get(entry.currency, "EUR") if currency else entry.currency,
    )
