import itertools
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

from serdes.avro.schema_files import enum_symbols
from state.domain.layout import OrphanRule
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import (
    EXTENSIONS_KEPT,
    FAILED_BY,
    RELEASED_BY,
    TRANSITIONS,
    Later,
    LaterOutcome,
    PaymentFailure,
    ReleaseCause,
    Reservation,
    SaleDecision,
    Status,
    epoch_meant,
    extended_deadline_ms,
    refusal_to_confirm,
    refusal_to_extend,
    refusal_to_fail,
    refusal_to_pay,
    refusal_to_refund,
    refusal_to_release,
)
from state.domain.transitions import IllegalTransition, advance

LEGAL = {
    (Status.HELD, Later.EXTENDED): Status.HELD,
    (Status.HELD, Later.CONFIRMED): Status.SOLD,
    (Status.HELD, Later.CANCELLED): Status.RELEASED,
    (Status.HELD, Later.LAPSED): Status.RELEASED,
    (Status.HELD, Later.PAYMENT_STARTED): Status.PAYING,
    (Status.PAYING, Later.CONFIRMED): Status.SOLD,
    (Status.PAYING, Later.DECLINED): Status.RELEASED,
    (Status.PAYING, Later.EXPIRED): Status.RELEASED,
    (Status.PAYING, Later.DIFFERED): Status.RELEASED,
    (Status.SOLD, Later.REFUNDED): Status.REFUNDED,
    (Status.RELEASED, Later.REACQUIRED): Status.SOLD,
}
Refusal = Callable[[Reservation, int], Reason | None]


def reservation(status: Status, *kinds: Later, epoch: int = 1, **fields: Any) -> Reservation:
    """Return a reservation of which these later decisions are remembered."""
    later = tuple(
        LaterOutcome(kind, b"", at, 0, at, 100 + at, epoch, 900 + at)
        for at, kind in enumerate(kinds, 1)
    )
    held = Reservation(
        b"r1", b"ann", b"c", b"A", 7, b"", 2, (), status, epoch, 100, 500, 0, 0, (), 0, None, later
    )
    return held._replace(**fields)


@pytest.mark.parametrize(("status", "later"), list(itertools.product(Status, Later)))
def test_only_what_the_table_allows_may_follow(status: Status, later: Later) -> None:
    if (status, later) in LEGAL:
        assert advance(TRANSITIONS, status, later) is LEGAL[status, later]
    else:
        with pytest.raises(IllegalTransition, match=f"{status.name} x {later.name}"):
            advance(TRANSITIONS, status, later)


def test_every_status_has_a_row_in_the_table() -> None:
    assert list(TRANSITIONS) == list(Status)


@pytest.mark.parametrize(
    ("enum", "name"),
    [
        (Status, "ReservationStatus"),
        (Later, "LaterKind"),
        (ReleaseCause, "ReleaseCause"),
        (PaymentFailure, "PaymentFailure"),
        (SaleDecision, "SaleDecision"),
        (OrphanRule, "OrphanRule"),
    ],
)
def test_numbers_are_the_indexes_of_the_avro_symbols(enum: type[IntEnum], name: str) -> None:
    symbols = enum_symbols(f"io.seatstream.types.{name}")
    assert [(member.name, member.value) for member in enum] == [
        (symbol, index) for index, symbol in enumerate(symbols)
    ]


def test_what_payments_say_is_numbered_as_what_sections_are_asked() -> None:
    symbols = enum_symbols("io.seatstream.types.SaleQuestion")
    assert {say.name: say.value for say in Say} == {
        symbol: index for index, symbol in enumerate(symbols) if index
    }


def test_whatever_releases_a_reservation_is_its_cause_by_the_same_name() -> None:
    for status, row in TRANSITIONS.items():
        for later, after in row.items():
            assert (later in RELEASED_BY) == (after == Status.RELEASED), (status, later)
    for later, cause in RELEASED_BY.items():
        assert later.name == cause.name
        assert reservation(Status.RELEASED, Later.EXTENDED, later).cause is cause
    assert reservation(Status.RELEASED, epoch=0).cause is ReleaseCause.CANCELLED
    assert reservation(Status.SOLD, Later.CONFIRMED).cause is ReleaseCause.UNSPECIFIED


def test_a_payment_may_end_a_hold_by_each_failure() -> None:
    assert FAILED_BY.keys() == set(PaymentFailure)
    assert all(
        advance(TRANSITIONS, Status.PAYING, later) == Status.RELEASED
        for later in FAILED_BY.values()
    )


def test_the_deadline_is_that_of_the_hold_and_then_that_of_its_payment() -> None:
    assert reservation(Status.HELD).deadline_ms == 500
    assert reservation(Status.HELD, Later.EXTENDED).deadline_ms == 901
    paying = reservation(Status.PAYING, Later.EXTENDED, Later.PAYMENT_STARTED, gateway=b"mock")
    assert (paying.deadline_ms, paying.has_payment) == (902, True)


def test_who_paid_for_an_epoch_that_had_ended_speaks_of_it_for_ever() -> None:
    again = reservation(Status.SOLD, Later.EXPIRED, Later.REACQUIRED, epoch=2)
    assert [epoch_meant(again, epoch) for epoch in (0, 1, 2, 3)] == [0, 2, 2, 3]
    refunded = reservation(
        Status.REFUNDED, Later.LAPSED, Later.REACQUIRED, Later.REFUNDED, epoch=2
    )
    assert epoch_meant(refunded, 1) == 2
    assert epoch_meant(reservation(Status.SOLD, Later.CONFIRMED), 0) == 0


NOT_HELD, STALE = Reason.NOT_HELD, Reason.STALE_EPOCH
PAYING, SOLD = Reason.PAYMENT_IN_PROGRESS, Reason.ALREADY_SOLD
REFUNDED, NOT_PAID = Reason.ALREADY_REFUNDED, Reason.NOT_PAID
# Where a reservation may stand, and what released it.
STANDINGS = (
    reservation(Status.HELD),
    reservation(Status.PAYING, Later.PAYMENT_STARTED),
    reservation(Status.SOLD, Later.CONFIRMED),
    reservation(Status.REFUNDED, Later.CONFIRMED, Later.REFUNDED),
    reservation(Status.RELEASED, Later.CANCELLED),
    reservation(Status.RELEASED, Later.LAPSED),
    reservation(Status.RELEASED, Later.PAYMENT_STARTED, Later.DECLINED),
    reservation(Status.RELEASED, Later.PAYMENT_STARTED, Later.EXPIRED),
    reservation(Status.RELEASED, Later.PAYMENT_STARTED, Later.DIFFERED),
)
FAILED = Reason.PAYMENT_FAILED
REFUSALS: dict[Refusal, tuple[Reason | None, ...]] = {
    refusal_to_confirm: (
        None, None, None, REFUNDED, Reason.REFUND_DUE, None, None, None, None,
    ),
    refusal_to_release: (None, PAYING, SOLD, REFUNDED, None, None, None, None, None),
    refusal_to_extend: (
        None, PAYING, SOLD, REFUNDED, NOT_HELD, NOT_HELD, NOT_HELD, NOT_HELD, NOT_HELD,
    ),
    refusal_to_pay: (
        None, PAYING, SOLD, REFUNDED, Reason.CANCELLED, Reason.LAPSED, FAILED, FAILED, FAILED,
    ),
    refusal_to_fail: (
        NOT_PAID, None, SOLD, REFUNDED, Reason.CANCELLED, Reason.LAPSED, None, None, None,
    ),
    refusal_to_refund: (
        NOT_PAID, PAYING, None, None, NOT_PAID, NOT_PAID, NOT_PAID, NOT_PAID, NOT_PAID,
    ),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: one.__name__)
def test_i7_what_may_be_asked_of_a_reservation_follows_from_where_it_stands(
    refusal: Refusal,
) -> None:
    for standing, reason in zip(STANDINGS, REFUSALS[refusal], strict=True):
        held = standing._replace(currency=b"EUR")
        assert refusal(held, 1) is reason, standing
        assert refusal(held, 2) is STALE
    assert refusal(reservation(Status.REJECTED, epoch=0), 0) is NOT_HELD


def test_what_has_no_price_is_not_paid_for() -> None:
    assert refusal_to_pay(reservation(Status.HELD), 1) is Reason.NOT_PRICED
    free = reservation(Status.HELD, currency=b"EUR", amount=0)
    assert (refusal_to_pay(free, 1), free.is_free_of_charge) == (None, True)
    assert not reservation(Status.HELD).is_free_of_charge
    assert not reservation(Status.HELD, currency=b"EUR", amount=1).is_free_of_charge


def test_a_reservation_remembers_no_more_than_its_last_extensions_and_its_ends() -> None:
    held = reservation(Status.HELD)
    for at in range(EXTENSIONS_KEPT + 5):
        held = held.with_later(LaterOutcome(Later.EXTENDED, b"", at, 0, 1, 1, 1, at))
    life = Later.PAYMENT_STARTED, Later.EXPIRED, Later.REACQUIRED, Later.REFUNDED
    for kind in life:
        held = held.with_later(LaterOutcome(kind, b"", 99, 0, 1, 1, 1, 0))
    assert [one.kind for one in held.later] == [Later.EXTENDED] * EXTENSIONS_KEPT + list(life)


def test_an_extension_is_a_full_hold_from_now_up_to_the_cap() -> None:
    assert extended_deadline_ms(1_500, 1_000, 600, 1_800) == 2_100
    assert extended_deadline_ms(2_500, 1_000, 600, 1_800) == 2_800
