"""Claims of other shops: seats are kept for them, or not, and payments are told of each."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from support.seats.section_commands import (
    CODECS,
    B,
    Pair,
    Partition,
    claim_payment,
    confirm,
    fail_payment,
    hold,
    logs,
    opened,
    refund_seats,
    release,
    sale_window,
    start_payment,
    told,
)

from state.domain.reasons import Reason
from state.domain.reservation import Status
from streams.change_sections import refuse_poison
from streams.driver import PipedRecord

PRICE = 9_000
PAYMENT_MS = 900_000


def priced(*pairs: Pair) -> Partition:
    partition = opened("....", currency="EUR", amounts=(4_500,), hold_ms=600_000)
    partition.send(*pairs)
    return partition


def test_a_claim_of_the_right_price_keeps_the_seats_and_payments_ask_only_whether_it_is_true() -> (
    None
):
    partition = priced(hold("r1", 2))
    [asked] = partition.told_to_payments(claim_payment("r1", PRICE, payment_id="pi_1"))
    assert (asked.name, asked.method, asked.parameters) == (
        "PaymentRequested", b"COMPLETED", b"pi_1",
    )  # fmt: skip
    assert (asked.amount, asked.currency, asked.gateway) == (PRICE, b"EUR", b"mock")
    assert asked.deadlineMs == partition.now_ms + PAYMENT_MS
    # It lapses no more, and its buyer can neither give it back nor pay for it elsewhere.
    assert partition.pass_ms(700_000) == []
    assert partition.send(release("r1"))[0].reason is Reason.PAYMENT_IN_PROGRESS
    [sold] = partition.send(confirm("r1"))
    assert sold.name == "ReservationConfirmed"


def test_a_claim_after_the_end_of_the_sale_is_for_what_was_held_before() -> None:
    partition = priced(hold("r1", 2))
    partition.send(sale_window(0, 1))
    assert partition.send(start_payment("r1"))[0].reason is Reason.SALE_CLOSED
    assert partition.send(claim_payment("r1", PRICE))[0].name == "PaymentStarted"


REFUSED: dict[str, tuple[Sequence[Pair], Pair, Reason, int]] = {
    "unknown": ((), claim_payment("r1", PRICE), Reason.UNKNOWN_RESERVATION, 0),
    "rejected": ((hold("r1", 9),), claim_payment("r1", PRICE), Reason.NOT_HELD, 0),
    "of another buyer": (
        (hold("r1", 2),), claim_payment("r1", PRICE, user="eve"), Reason.FORBIDDEN, 0,
    ),
    "of another section": (
        (hold("r1", 2),), claim_payment("r1", PRICE, section=B), Reason.CONFLICT, 0,
    ),
    "of another epoch": ((hold("r1", 2),), claim_payment("r1", PRICE, 2), Reason.STALE_EPOCH, 0),
    "too little": ((hold("r1", 2),), claim_payment("r1", PRICE - 1), Reason.WRONG_AMOUNT, PRICE),
    "too much": ((hold("r1", 2),), claim_payment("r1", PRICE + 1), Reason.WRONG_AMOUNT, PRICE),
    "another currency": (
        (hold("r1", 2),), claim_payment("r1", PRICE, currency="USD"), Reason.WRONG_CURRENCY, PRICE,
    ),
    "cancelled": (
        (hold("r1", 2), release("r1")), claim_payment("r1", PRICE), Reason.CANCELLED, PRICE,
    ),
    "paid elsewhere": (
        (hold("r1", 2), start_payment("r1", gateway="other")),
        claim_payment("r1", PRICE), Reason.PAYMENT_IN_PROGRESS, PRICE,
    ),
    "sold": (
        (hold("r1", 2), confirm("r1")), claim_payment("r1", PRICE), Reason.ALREADY_SOLD, PRICE,
    ),
    "refunded": (
        (hold("r1", 2), confirm("r1"), refund_seats("r1")),
        claim_payment("r1", PRICE), Reason.ALREADY_REFUNDED, PRICE,
    ),
    "failed": (
        (hold("r1", 2), start_payment("r1"), fail_payment("r1")),
        claim_payment("r1", PRICE), Reason.PAYMENT_FAILED, PRICE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_b73_a_claim_is_refused_by_name_changes_nothing_and_is_told_to_payments_all_the_same(
    case: str,
) -> None:
    before, claim, reason, price = REFUSED[case]
    partition = priced(*before)
    stored = {key: value for key, value in partition.stored().items() if key[:1] == b"r"}
    news = partition.told_to_payments(claim)
    assert told(partition.outcomes[-1]).reason is reason
    assert stored == {k: v for k, v in partition.stored().items() if k[:1] == b"r"}
    [asked] = news
    assert (asked.method, asked.deadlineMs, asked.amount) == (b"COMPLETED", 0, price)
    assert partition.dead == []


def test_a_claim_after_the_hold_has_lapsed_is_refused_and_its_price_is_told() -> None:
    partition = priced(hold("r1", 2))
    assert [one.name for one in partition.pass_ms(600_000)] == ["ReservationReleased"]
    [asked] = partition.told_to_payments(claim_payment("r1", PRICE))
    assert told(partition.outcomes[-1]).reason is Reason.LAPSED
    assert (asked.amount, asked.deadlineMs) == (PRICE, 0)


def test_b71_a_claim_that_comes_again_is_told_again_and_changes_nothing() -> None:
    partition = priced(hold("r1", 2), claim_payment("r1", PRICE))
    before, outcome = partition.stored(), partition.outcomes[-1]
    again = partition.told_to_payments(claim_payment("r1", PRICE))
    assert partition.outcomes[-1] == outcome
    assert again[0].deadlineMs == told(outcome).deadlineMs
    assert {k: v for k, v in partition.stored().items() if k[:1] == b"r"} == {
        k: v for k, v in before.items() if k[:1] == b"r"
    }


def test_a_rewind_tells_payments_of_a_claim_and_locks_of_an_end_once_more_in_the_same_bytes() -> (
    None
):
    partition = priced(hold("r1", 2))
    partition.send(claim_payment("r1", PRICE))
    partition.send(confirm("r1"))
    payments, unlocks = list(partition.payments), list(partition.unlocks)
    partition.forget()
    partition.fold(partition.log)
    assert partition.payments[len(payments) :] == payments
    assert partition.unlocks[len(unlocks) :] == unlocks


def test_a_poisonous_claim_sends_its_money_back() -> None:
    partition = priced(hold("r1", 2))
    [record] = partition.append(claim_payment("r1", PRICE))
    effects = refuse_poison(CODECS)(partition.batch_of([record]), partition.state, record, 0)
    ((_, value),) = [one[:2] for one in effects.outgoing["payment-commands"]]
    assert (told(value).amount, told(value).deadlineMs) == (0, 0)


@given(logs())
def test_every_end_of_a_reservation_with_seats_is_told_once_to_whoever_locks_them(
    log: list[PipedRecord],
) -> None:
    partition = Partition(log=list(log))
    partition.fold(log)
    causes = {
        "ReservationConfirmed": Status.SOLD.name,
        "ReservationReleased": Status.RELEASED.name,
        "ReservationRefunded": Status.REFUNDED.name,
    }
    # Outcomes are told again to repeats; ends are told once.
    ends = {
        one.outcomeId: (causes[one.name], one.seats)
        for one in map(told, partition.outcomes)
        if one.name in causes and one.seats
    }
    unlocks = [told(value) for value in partition.unlocks]
    names = ("UNSPECIFIED", "SOLD", "RELEASED", "REFUNDED")
    assert {one.outcomeId: (names[one.cause], one.seats) for one in unlocks} == ends
    assert len(unlocks) == len(ends)
