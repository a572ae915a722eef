"""What the table of a purchase allows, written out by hand."""

import itertools

import pytest

from state.domain.purchases.statuses import (
    ENDED_UNPAID,
    GOES_ON,
    HINTS_MATTER,
    MONEY_GOES_BACK,
    TRANSITIONS,
    UNSETTLED,
    PurchaseStatus,
    Turn,
)
from state.domain.transitions import IllegalTransition, advance

P, T = PurchaseStatus, Turn

CALLED = {
    T.LEFT_OPEN: P.PROCESSING,
    T.CAPTURED: P.CAPTURED,
    T.DIFFERED: P.REFUND_DUE,
    T.DECLINED: P.FAILED,
    T.EXPIRED: P.EXPIRED,
    T.GAVE_UP: P.COMPENSATION_REQUIRED,
}
LEGAL = {
    **{(status, turn): to for status in (P.PENDING, P.PROCESSING) for turn, to in CALLED.items()},
    (P.CAPTURED, T.SEATS_SOLD): P.DONE,
    (P.CAPTURED, T.SEATS_LOST): P.REFUND_DUE,
    (P.CAPTURED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.DONE, T.REFUND_ASKED): P.REFUND_DUE,
    (P.FAILED, T.CAPTURED): P.CAPTURED,
    (P.FAILED, T.DIFFERED): P.REFUND_DUE,
    (P.FAILED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.EXPIRED, T.CAPTURED): P.CAPTURED,
    (P.EXPIRED, T.DIFFERED): P.REFUND_DUE,
    (P.EXPIRED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.REFUND_DUE, T.REFUNDED): P.REFUNDED,
    (P.REFUND_DUE, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.REFUNDED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.COMPENSATION_REQUIRED, T.CAPTURED): P.CAPTURED,
    (P.COMPENSATION_REQUIRED, T.DIFFERED): P.REFUND_DUE,
    (P.COMPENSATION_REQUIRED, T.REFUNDED): P.REFUNDED,
    (P.COMPENSATION_REQUIRED, T.FOUND_UNPAID): P.FAILED,
}


@pytest.mark.parametrize(("status", "turn"), list(itertools.product(P, T)))
def test_only_what_the_table_allows_may_follow(status: PurchaseStatus, turn: Turn) -> None:
    if (status, turn) in LEGAL:
        assert advance(TRANSITIONS, status, turn) is LEGAL[status, turn]
    else:
        with pytest.raises(IllegalTransition, match=f"{status.name} x {turn.name}"):
            advance(TRANSITIONS, status, turn)


def test_every_status_has_a_row_in_the_table() -> None:
    assert list(TRANSITIONS) == list(P)


def test_what_a_capture_may_still_end_counts_every_hint() -> None:
    takes_money = {status for status, turns in TRANSITIONS.items() if T.CAPTURED in turns}
    assert takes_money == HINTS_MATTER
    assert UNSETTLED | ENDED_UNPAID | {P.COMPENSATION_REQUIRED} == HINTS_MATTER


def test_a_purchase_that_goes_on_by_itself_is_left_to_a_person_only_by_giving_up() -> None:
    assert GOES_ON - UNSETTLED == {P.REFUND_DUE}
    assert all(T.GAVE_UP in TRANSITIONS[status] for status in GOES_ON)
    assert MONEY_GOES_BACK & UNSETTLED == set()
