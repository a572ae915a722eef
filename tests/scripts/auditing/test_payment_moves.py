"""A payment moves as the table of purchases says, and for a reason that lies in the log."""

from typing import Any

import pytest

from scripts.auditing.payment_moves import MOVES, STATUSES, judge_moves
from scripts.auditing.purchases import Payment
from state.domain.purchases.statuses import TRANSITIONS, PurchaseStatus


def test_the_moves_are_those_of_the_table() -> None:
    for status, turns in TRANSITIONS.items():
        ways = {after.name for after in turns.values()} - {status.name}
        assert set(MOVES.get(status.name, {})) - {status.name} == ways
    assert [status.name for status in PurchaseStatus] == list(STATUSES)


def told(*standings: str, heard: tuple[str, ...] = (), **stored: Any) -> list[tuple[str, str]]:
    """Return the faults of a payment that was told as standing so, one after the other."""
    common = {"epoch": 1, "amount": 5, "currency": "EUR", "gateway": "mock", "paymentId": "p"}
    found: list[tuple[str, str]] = []
    last = standings[-1] if standings else "PENDING"
    payment = Payment(
        stored={**common, "status": last, **stored},
        told=[{**common, "status": status} for status in standings],
        heard=set(heard),
    )
    judge_moves(payment, lambda invariant, anomaly, _: found.append((invariant, anomaly)))
    return found


def test_a_payment_that_moves_by_what_was_heard_is_sound() -> None:
    assert (
        told("PENDING", "PROCESSING", "CAPTURED", "DONE", heard=("OPEN", "captured", "sold")) == []
    )


@pytest.mark.parametrize(
    ("standings", "heard", "fault"),
    [
        ((), (), ("I8", "lost write")),
        (("CAPTURED",), (), ("I7", "illegal transition")),
        (("PENDING", "DONE"), ("sold",), ("I7", "illegal transition")),
        (("PENDING", "CAPTURED"), (), ("I7", "groundless transition")),
    ],
)
def test_every_other_move_is_a_fault(
    standings: tuple[str, ...], heard: tuple[str, ...], fault: tuple[str, str]
) -> None:
    assert told(*standings, heard=heard) == [fault]


def test_what_is_stored_is_what_was_told_last() -> None:
    assert told("PENDING", amount=6) == [("I14", "wrong state")]
