"""A payment is under way from its begin to its end, and a sale is given back once."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from scripts.sale import payments as module
from scripts.sale.payments import STATUS, UNDER_WAY, Payments
from serdes.registry.ids import counted_ids
from state.domain.purchases.statuses import PurchaseStatus


class Message(NamedTuple):
    """A record as a consumer hands it out."""

    told_key: bytes
    told: bytes

    def key(self) -> bytes:
        return self.told_key

    def value(self) -> bytes:
        return self.told


class Reader:
    """Hands out what a test has put into it, once: the number of a status for the record."""

    def __init__(self, *_: object) -> None:
        self.messages: list[Message] = []

    def read(self, _: float) -> Iterator[Message]:
        messages, self.messages = self.messages, []
        yield from messages

    def fields_of(self, value: bytes) -> tuple[int, ...]:
        return (*[0] * STATUS, *value)

    def close(self) -> None:
        pass


@pytest.fixture
def payments(monkeypatch: pytest.MonkeyPatch) -> Payments:
    monkeypatch.setattr(module, "OutcomeReader", Reader)
    return Payments(counted_ids(), "nowhere:1")


def tell(payments: Payments, *path: PurchaseStatus, payment: bytes = b"r1") -> None:
    """Let a payment go this way."""
    reader: Reader = payments._reader  # type: ignore[assignment]
    reader.messages += [Message(payment, bytes([status])) for status in path]
    payments.read()


@pytest.mark.parametrize("status", list(PurchaseStatus)[1:])
def test_what_has_not_ended_is_under_way(payments: Payments, status: PurchaseStatus) -> None:
    tell(payments, PurchaseStatus.PENDING)
    assert payments.under_way == 1
    tell(payments, status)
    assert payments.under_way == (status in UNDER_WAY)
    tell(payments, PurchaseStatus.PENDING, payment=b"r2")
    assert payments.under_way == 1 + (status in UNDER_WAY)


def test_a_sale_is_given_back_once_and_what_was_never_sold_is_not(payments: Payments) -> None:
    captured, due, back = (
        PurchaseStatus.CAPTURED,
        PurchaseStatus.REFUND_DUE,
        PurchaseStatus.REFUNDED,
    )
    tell(payments, captured, due, back, payment=b"lost")
    assert payments.returned == 0
    # Whoever asks again is told again.
    tell(payments, captured, PurchaseStatus.DONE, due, back, back, payment=b"sold")
    assert payments.returned == 1
