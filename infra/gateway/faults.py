"""What the gateway does wrong, by order: for the next requests that match, or by a seeded rate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from infra.gateway.books import Operation


class Fault(StrEnum):
    """Of what is decided, before it, and of how the answer comes back."""

    DECLINE = "decline"
    PENDING = "pending"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    # Nothing is done.
    ERROR = "error"
    TOO_MANY = "too_many"
    HANG = "hang"
    RESET = "reset"
    # It is done, and the answer is late, lost or no answer.
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

    operation, order_id: None for any. times: so many requests.
    """

    fault: Fault
    operation: Operation | None = None
    order_id: str | None = None
    times: int = 1

    def matches(self, operation: Operation, order_id: str) -> bool:
        return self.operation in {None, operation} and self.order_id in {None, order_id}


class FaultPlan:
    """Which fault a request meets. What was ordered comes before what the rates give."""

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
        """Go without faults from now on."""
        self._orders.clear()
        self.rates.clear()

    def next(self, operation: Operation, order_id: str) -> Fault | None:
        """Return the fault of a request and count it.

        What the rates give depends on seed, operation, order and how often it was asked, and not
        on what else is asked at the same time.
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
