"""The gateway's own side: what its ledger says of each order."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.gateway.books import Entry, Operation, Outcome
from scripts.auditing.report import decimal

GATEWAY = "mock"
"""The one gateway whose ledger can be read."""

Order = tuple[str, int]  # reservation id, epoch


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
