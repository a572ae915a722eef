"""The gateway's own side: what its ledger says of each order."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.gateway.books import Entry, Operation, Outcome
from scripts.auditing.purchases import Payment
from scripts.auditing.report import Bad, decimal

GATEWAY = "mock"
"""The one gateway whose ledger can be read."""

Order = tuple[str, int]  # reservation id, epoch

EARLY_MS = 60_000
"""How far the gateway's clock may be behind the broker's."""


@dataclass(slots=True)
class Account:
    """One order. keys: the idempotency keys that it was charged or refunded under."""

    order_id: str
    captures: list[Entry] = field(default_factory=list)
    refunds: list[Entry] = field(default_factory=list)
    keys: dict[Operation, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def kept(self) -> Counter[str]:
        """Return what the gateway still has of the buyer's money, by currency; no zeros."""
        money: Counter[str] = Counter()
        for entry in self.captures:
            money[entry.currency] += entry.amount
        for entry in self.refunds:
            money[entry.currency] -= entry.amount
        return Counter({currency: amount for currency, amount in money.items() if amount})


def accounts_of(entries: Iterable[Entry], partition: int, partitions: int) -> dict[Order, Account]:
    """Return the orders of a partition; those that name none of ours are the first one's."""
    accounts: dict[Order, Account] = {}
    for entry in entries:
        place, order = place_of(entry.order_id, partitions)
        if place != partition:
            continue
        account = accounts.setdefault(order, Account(entry.order_id))
        if entry.key:
            account.keys[entry.operation].add(entry.key)
        if entry.outcome is Outcome.CAPTURED:
            account.captures.append(entry)
        elif entry.outcome is Outcome.REFUNDED:
            account.refunds.append(entry)
    return accounts


def place_of(order_id: str, partitions: int) -> tuple[int, Order]:
    """Return partition, and reservation id with epoch, of `{reservation}.{epoch}.{partition}`."""
    reservation_id, _, rest = order_id.partition(".")
    epoch, _, place = rest.partition(".")
    if reservation_id and decimal(epoch) >= 0 and 0 <= decimal(place) < partitions:
        return decimal(place), (reservation_id, decimal(epoch))
    return 0, (order_id, -1)


def judge_account(account: Account, payment: Payment, bad: Bad, *, is_ours: bool) -> None:
    """Judge one order by itself: one capture, one whole refund, one key for each.

    is_ours: it was we who charged, if anybody has.
    """
    captures, refunds, order_id = account.captures, account.refunds, account.order_id
    if len(captures) > 1:
        bad("I11", "charged twice", f"order {order_id} was captured {len(captures)} times")
    captured = Counter({entry.currency: 0 for entry in captures})
    for entry in captures:
        captured[entry.currency] += entry.amount
        if is_ours and payment.asked is not None and entry.at_ms + EARLY_MS < payment.asked_at_ms:
            bad("I12", "early capture", f"order {order_id}, before its payment was started")
    for entry in refunds:
        if (entry.amount, entry.currency) not in {(one.amount, one.currency) for one in captures}:
            message = f"order {order_id}: {entry.amount} {entry.currency} of {dict(captured)}"
            bad("I10", "partial refund", message)
    if len(refunds) > 1:
        bad("I10", "refunded twice", f"order {order_id} was given back {len(refunds)} times")
    for operation, prefix in ((Operation.CHARGE, "pay"), (Operation.REFUND, "refund")):
        # A person who gives money back uses another key.
        is_charge = operation is Operation.CHARGE
        is_judged = is_ours if is_charge else "found REFUNDED" not in payment.heard
        wrong = account.keys[operation] - {f"{prefix}:{order_id}"}
        if wrong and is_judged:
            bad("I11", "wrong key", f"order {order_id}: {operation} under {sorted(wrong)}")
