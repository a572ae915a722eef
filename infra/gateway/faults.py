"""What the gateway does wrong on demand: at the next requests that match, or by a seeded rate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from infra.gateway.books import Operation


class Fault(StrEnum):
    """What goes wrong: in the decision, before it, or with the answer."""

    # The gateway decides otherwise than it should.
    DECLINE = "decline"
    PENDING = "pending"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    # The gateway decides nothing.
    ERROR = "error"
    TOO_MANY = "too_many"
    HANG = "hang"
    RESET = "reset"
    # The gateway decides, but its answer is late, lost or unreadable.
    LATE = "late"
    DONE_THEN_ERROR = "done_then_error"
    DONE_THEN_HANG = "done_then_hang"
    DONE_THEN_RESET = "done_then_reset"
    GARBAGE = "garbage"
    OVERSIZED = "oversized"
    WRONG_TYPES = "wrong_types"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A fault for the next requests that match.

    operation, order_id: None for any. times: how many requests have the fault.
    """

    fault: Fault
    operation: Operation | None = None
    order_id: str | None = None
    times: int = 1

    def matches(self, operation: Operation, order_id: str) -> bool:
        return self.operation in {None, operation} and self.order_id in {None, order_id}


class FaultPlan:
    """Decides which fault a request has. Faults that were demanded come before those by rate."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.rates: dict[Operation, dict[Fault, float]] = {}
        self._orders: list[Order] = []
        self._asked: dict[tuple[Operation, str], int] = {}

    def order(self, order: Order) -> None:
        self._orders.append(order)

    def set_rates(self, operation: Operation, rates: Mapping[Fault, float]) -> None:
        """Set shares of requests, 0 to 1 and no more than 1 together; ValueError otherwise."""
        if any(not 0 <= share <= 1 for share in rates.values()) or sum(rates.values()) > 1:
            raise ValueError("rates are shares of 1")
        self.rates[operation] = dict(rates)

    def clear(self) -> None:
        """Forget all faults and rates."""
        self._orders.clear()
        self.rates.clear()

    def next(self, operation: Operation, order_id: str) -> Fault | None:
        """Count a request, and return its fault.

        A fault by rate depends on the seed, the operation, the order and how often that was asked,
        but not on requests about other orders.
        """
        asked = self._asked.get((operation, order_id), 0)
        self._asked[operation, order_id] = asked + 1
        for place, order in enumerate(self._orders):
            if order.matches(operation, order_id):
                if order.times > 1:
                    self._orders[place] = replace(order, times=order.times - 1)
                else:
                    del self._orders[place]
                return order.fault
        draw = Random(f"{self.seed}/{operation}/{order_id}/{asked}").random()  # noqa: S311
        for fault, share in self.rates.get(operation, {}).items():
            if draw < share:
                return fault
            draw -= share
        return None
