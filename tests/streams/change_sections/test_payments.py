"""Payments for reservations: what the section decides, and what it tells payments."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from support.seats.section_commands import (
    CODECS,
    ELSEWHERE,
    START_MS,
    B,
    Pair,
    Partition,
    confirm,
    extend,
    fail_payment,
    guarded_tick,
    hold,
    hold_chosen,
    logs,
    open_section,
    opened,
    refund_seats,
    release,
    sale_window,
    start_payment,
    told,
)

from serdes.decoding import Decoded
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure, ReleaseCause, SaleDecision, Status
from state.records.reservation import read_reservation
from streams.change_sections import refuse_poison
from streams.driver import PipedRecord

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PAY_MS = 900_000
DECLINED, EXPIRED, DIFFERED = (
    PaymentFailure.DECLINED,
    PaymentFailure.EXPIRED,
    PaymentFailure.DIFFERED,
)


def priced(text: str = "....", amounts: tuple[int, ...] = (4_500,), **rules: Any) -> Partition:
    return opened(text, currency="EUR", amounts=amounts, **rules)


def paying(**rules: Any) -> Partition:
    """Return a partition in which two seats of four wait for the payment of r1."""
    partition = priced(**rules)
    partition.send(hold("r1", 2), start_payment("r1", correlation="key"))
    return partition


def decided(partition: Partition, *pairs: Pair) -> list[tuple[Any, ...]]:
    """Return what payments were told of commands: asked, epoch, decision, reason, new epoch."""
    return [
        (
            Say(one.asked),
            one.epoch,
            SaleDecision(one.decision),
            one.reason,
            one.newEpoch,
        )
        for one in partition.told_to_payments(*pairs)
    ]


def test_a_payment_that_is_started_is_asked_for_at_its_gateway_once() -> None:
    partition = priced()
    (held,) = partition.send(hold("r1", 2))
    partition.now_ms += 1_000
    (started,) = partition.send(start_payment("r1", parameters=b"\0tok"))
    assert (started.name, started.epoch, started.seats) == ("PaymentStarted", 1, ((0, 0, 2),))
    assert (started.amount, started.currency, started.gateway) == (9_000, b"EUR", b"mock")
    assert started.deadlineMs == START_MS + 1_000 + PAY_MS
    # No seat has moved.
    assert started.version == held.version
    assert (partition.status().heldCount, partition.status().availableCount) == (2, 2)
    again = [start_payment("r1"), start_payment("r1", correlation="another key")]
    assert partition.send(*again) == [started, started]
    # What payments did not take in, a repeat asks for again: the same payment, of the first start.
    first, *repeats = [told(value).fields for value in partition.payments]
    assert len(repeats) == 2
    for repeat in repeats:
        assert repeat | {"outcomeId": b"", "parameters": b""} == (
            first | {"outcomeId": b"", "parameters": b""}
        )
    (requested,) = partition.told_to_payments(
        hold("r2", 1), start_payment("r2", parameters=b"\0tok")
    )
    assert (requested.name, requested.reservation, requested.epoch) == (
        "PaymentRequested",
        "r2",
        1,
    )
    assert (requested.amount, requested.currency) == (4_500, b"EUR")
    assert (requested.gateway, requested.method, requested.parameters) == (
        b"mock",
        b"card",
        b"\0tok",
    )
    assert requested.deadlineMs == partition.now_ms + PAY_MS
    assert requested.outcomeId == b"section-commands:0:6:0"
    assert len(partition.payments) == 4


def test_a_start_whose_payment_has_ended_asks_for_no_payment_again() -> None:
    for end in (confirm("r1"), fail_payment("r1")):
        partition = paying()
        partition.send(end)
        before = list(partition.payments)
        partition.send(start_payment("r1", correlation="key"), start_payment("r1"))
        assert partition.payments == before


def test_s000_17_the_time_to_pay_is_the_sections_own_rule() -> None:
    partition = priced(payment_ms=60_000)
    (_, started) = partition.send(hold("r1", 1), start_payment("r1"))
    assert started.deadlineMs == START_MS + 60_000


@pytest.mark.parametrize(
    ("away_ms", "counted_ms"), [(1_000, 1_000), (DAY_MS, DAY_MS), (30 * DAY_MS, DAY_MS)]
)
def test_the_time_to_pay_runs_from_the_start_also_where_the_logs_time_stands_still(
    away_ms: int, counted_ms: int
) -> None:
    partition = priced()
    partition.send(guarded_tick(START_MS), hold("r1", 1))
    partition.now_ms += away_ms
    (started,) = partition.send(start_payment("r1"))
    # A broker's clock that jumped keeps seats for a day at most.
    assert started.deadlineMs == START_MS + counted_ms + PAY_MS


def test_nothing_that_a_gateway_needs_of_the_buyer_is_stored() -> None:
    partition = priced()
    partition.send(hold("r1", 2), start_payment("r1", parameters=b"SECRET-OF-THE-BUYER"))
    assert all(b"SECRET" not in payload for payload in partition.stored().values())
    assert all(b"SECRET" not in value for value in partition.outcomes)


def test_c6_f57_no_time_of_the_section_ends_a_payment() -> None:
    partition = paying(hold_ms=60_000, max_hold_ms=60_000)
    partition.send(hold("r2", 1))
    assert [lapsed.reservation for lapsed in partition.pass_ms(HOUR_MS)] == ["r2"]
    assert partition.pass_ms(24 * HOUR_MS) == []
    assert (partition.status().heldCount, partition.status().availableCount) == (2, 2)
    assert partition.send(confirm("r1"))[0].name == "ReservationConfirmed"


@pytest.mark.parametrize(
    "pair", [release("r1"), release("r1", 1), extend("r1"), start_payment("r1", gateway="other")]
)
def test_while_it_is_paid_for_a_hold_is_neither_released_nor_extended_nor_paid_otherwise(
    pair: Pair,
) -> None:
    partition = paying()
    before = partition.stored()[b"rr1"]
    assert partition.send(pair)[0].reason is Reason.PAYMENT_IN_PROGRESS
    assert partition.stored()[b"rr1"] == before


def test_b48_a_payment_that_came_in_sells_the_seats_and_payments_hear_of_it_each_time() -> None:
    partition = paying()
    assert (
        decided(partition, confirm("r1"), confirm("r1"))
        == [(Say.SELL_SEATS, 1, SaleDecision.SOLD, Reason.UNSPECIFIED, 1)] * 2
    )
    sold, again = partition.outcomes[-2:]
    assert sold == again
    assert (partition.status().heldCount, partition.status().availableCount) == (0, 2)


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (DECLINED, ReleaseCause.DECLINED),
        (EXPIRED, ReleaseCause.EXPIRED),
        (DIFFERED, ReleaseCause.DIFFERED),
        (PaymentFailure.UNSPECIFIED, ReleaseCause.DECLINED),
    ],
)
def test_d24_a_payment_that_failed_gives_the_seats_back_once(
    failure: PaymentFailure, cause: ReleaseCause
) -> None:
    partition = paying()
    (released,) = partition.send(fail_payment("r1", failure))
    assert (released.name, released.cause) == ("ReservationReleased", cause)
    assert (released.seats, released.epoch, released.version) == (((0, 0, 2),), 1, 3)
    assert partition.status().availableCount == 4
    answer = (Say.RELEASE_SEATS, 1, SaleDecision.RELEASED, Reason.UNSPECIFIED, 1)
    # However often, and whyever: it has failed.
    assert (
        decided(partition, fail_payment("r1", failure), fail_payment("r1", EXPIRED))
        == [answer] * 2
    )
    assert partition.send(fail_payment("r1"), release("r1")) == [released, released]
    assert partition.status().availableCount == 4


def test_f57_money_that_comes_after_the_payment_had_failed_takes_the_same_seats_again() -> None:
    partition = paying()
    partition.send(fail_payment("r1", EXPIRED))
    assert (
        decided(partition, confirm("r1"), confirm("r1"))
        == [(Say.SELL_SEATS, 1, SaleDecision.SOLD, Reason.UNSPECIFIED, 2)] * 2
    )
    (sold,) = partition.send(confirm("r1", 2))
    assert (sold.reacquired, sold.epoch, sold.seats) == (True, 2, ((0, 0, 2),))
    # A word of before, that comes late, changes nothing, and says nothing of the sale.
    assert decided(partition, fail_payment("r1", EXPIRED)) == [
        (Say.RELEASE_SEATS, 1, SaleDecision.REFUSED, Reason.ALREADY_SOLD, 2)
    ]
    assert decided(partition, refund_seats("r1", 1)) == [
        (Say.TAKE_SEATS_BACK, 1, SaleDecision.REFUNDED, Reason.UNSPECIFIED, 2)
    ]


def test_f57_money_that_comes_too_late_for_the_same_seats_never_gets_others() -> None:
    partition = paying()
    partition.send(fail_payment("r1"), hold_chosen("r2", [(0, 1)]))
    assert decided(partition, confirm("r1")) == [
        (Say.SELL_SEATS, 1, SaleDecision.REFUSED, Reason.REFUND_DUE, 1)
    ]
    assert partition.status().availableCount == 3


def test_money_that_went_back_gives_the_seats_of_a_sale_back_once() -> None:
    partition = paying()
    partition.send(confirm("r1"))
    answer = (Say.TAKE_SEATS_BACK, 1, SaleDecision.REFUNDED, Reason.UNSPECIFIED, 1)
    assert decided(partition, refund_seats("r1"), refund_seats("r1")) == [answer, answer]
    refunded, again = partition.send(refund_seats("r1"), refund_seats("r1", correlation="x"))
    assert refunded == again
    assert (refunded.name, refunded.seats, refunded.version) == (
        "ReservationRefunded",
        ((0, 0, 2),),
        4,
    )
    assert (refunded.amount, refunded.currency, refunded.epoch) == (9_000, b"EUR", 1)
    assert (partition.status().availableCount, partition.status().heldCount) == (4, 0)
    for pair in (
        confirm("r1"),
        release("r1"),
        extend("r1"),
        start_payment("r1"),
        fail_payment("r1"),
    ):
        assert partition.send(pair)[0].reason is Reason.ALREADY_REFUNDED
    assert partition.send(hold("r2", 4))[0].name == "SeatsHeld"


def test_what_is_free_of_charge_is_sold_at_once_and_no_gateway_is_asked() -> None:
    partition = priced("..\n..", amounts=(0, 4_500))
    partition.send(hold("r1", 2))
    (sold,) = partition.send(start_payment("r1"))
    assert (sold.name, sold.amount, sold.currency) == ("ReservationConfirmed", 0, b"EUR")
    assert partition.send(start_payment("r1")) == [sold]
    assert partition.send(start_payment("r1", 2))[0].reason is Reason.STALE_EPOCH
    assert partition.payments == []
    assert partition.send(confirm("r1")) == [sold]
    assert partition.send(refund_seats("r1"))[0].name == "ReservationRefunded"
    # Who asked is told the same for ever.
    again, other = start_payment("r1"), start_payment("r1", correlation="other")
    assert partition.send(again) == [sold]
    assert partition.send(other)[0].reason is Reason.ALREADY_REFUNDED


def test_who_started_a_payment_is_told_so_whatever_has_become_of_it() -> None:
    partition = paying()
    (started,) = partition.send(start_payment("r1", correlation="key"))
    partition.send(confirm("r1"))
    assert partition.send(start_payment("r1", correlation="key")) == [started]
    assert partition.send(start_payment("r1", correlation="new"))[0].reason is Reason.ALREADY_SOLD
    other = start_payment("r1", correlation="key", gateway="other")
    assert partition.send(other)[0].reason is Reason.ALREADY_SOLD


@pytest.mark.parametrize("starting", [start_payment, confirm, fail_payment, refund_seats])
def test_nobody_decides_about_the_payment_of_somebody_else_or_of_nothing(starting: Any) -> None:
    partition = paying()
    partition.send(open_section("....", section=B))
    before = partition.stored()[b"rr1"]
    for pair, reason in (
        (starting("nobody"), Reason.UNKNOWN_RESERVATION),
        (starting("r1", user="bob"), Reason.FORBIDDEN),
        (starting("r1", section=B), Reason.CONFLICT),
        (starting("r1", epoch=2), Reason.STALE_EPOCH),
    ):
        assert partition.send(pair)[0].reason is reason
    assert partition.stored()[b"rr1"] == before


def test_a_payment_is_started_within_the_sale_and_answered_for_ever() -> None:
    partition = priced()
    partition.send(hold("r1", 1), hold("r2", 1))
    (started,) = partition.send(start_payment("r1"))
    partition.send(sale_window(0, partition.now_ms))
    assert partition.send(start_payment("r2"))[0].reason is Reason.SALE_CLOSED
    assert partition.send(start_payment("r1")) == [started]
    assert partition.send(confirm("r1"))[0].name == "ReservationConfirmed"
    partition.send(sale_window(partition.now_ms + 1, 0))
    assert partition.send(start_payment("r2"))[0].reason is Reason.NOT_OPEN


def test_what_has_no_price_is_not_paid_for() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    assert partition.send(start_payment("r1"))[0].reason is Reason.NOT_PRICED
    assert partition.payments == []


def test_a_sale_without_payments_tells_them_nothing() -> None:
    partition = priced()
    partition.send(hold("r1", 2), confirm("r1"))
    assert partition.payments == []
    # Whoever asks again, or for what only payments ask, may be payments.
    assert decided(partition, confirm("r1"), refund_seats("r1")) == [
        (Say.SELL_SEATS, 1, SaleDecision.SOLD, Reason.UNSPECIFIED, 1),
        (Say.TAKE_SEATS_BACK, 1, SaleDecision.REFUNDED, Reason.UNSPECIFIED, 1),
    ]


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (confirm, Say.SELL_SEATS),
        (fail_payment, Say.RELEASE_SEATS),
        (refund_seats, Say.TAKE_SEATS_BACK),
    ],
)
def test_b46_b47_payments_are_answered_by_whoever_knows_of_no_payment(
    command: Any, asked: Say
) -> None:
    partition = priced()
    partition.send(hold("r1", 2), release("r1"), hold("r2", 1, user="bob"))
    reason = Reason.CANCELLED if asked is Say.RELEASE_SEATS else Reason.NOT_PAID
    cancelled = Reason.REFUND_DUE if asked is Say.SELL_SEATS else reason
    _, right = command("r1")
    assert decided(
        partition,
        command("nobody"),
        command("r1"),
        command("r2"),
        (b"7-elsewhere", right),
        command("r1", section=ELSEWHERE),
    ) == [
        (asked, 1, SaleDecision.REFUSED, Reason.UNKNOWN_RESERVATION, 0),
        (asked, 1, SaleDecision.REFUSED, cancelled, 1),
        (asked, 1, SaleDecision.REFUSED, Reason.FORBIDDEN, 1),
        (asked, 1, SaleDecision.REFUSED, Reason.KEY_MISMATCH, 0),
        (asked, 1, SaleDecision.REFUSED, Reason.WRONG_PARTITION, 0),
    ]


def test_a_cancellation_before_its_hold_leaves_nothing_to_pay() -> None:
    partition = Partition()
    partition.send(release("r1"))
    for pair in (start_payment("r1", 0), fail_payment("r1", epoch=0)):
        assert partition.send(pair)[0].reason is Reason.CANCELLED
    assert partition.send(refund_seats("r1", 0))[0].reason is Reason.NOT_PAID


def test_f28_a_command_that_no_worker_survived_is_refused_to_payments_too() -> None:
    partition = paying()
    (record,) = partition.append(confirm("r1"))
    refuse = refuse_poison(CODECS)
    effects = refuse(partition.batch_of([record]), partition.state, record, 0)
    ((key, value),) = [record[:2] for record in effects.outgoing["payment-commands"]]
    answer = told(value)
    assert (key, answer.asked, answer.decision) == (b"r1", Say.SELL_SEATS, SaleDecision.REFUSED)
    assert (answer.reason, answer.newEpoch) == (Reason.INTERNAL, 0)


OF_MONEY = {"ConfirmReservation", "FailPayment", "RefundSeats"}
STANDS = {
    SaleDecision.SOLD: Status.SOLD,
    SaleDecision.RELEASED: Status.RELEASED,
    SaleDecision.REFUNDED: Status.REFUNDED,
}


@given(logs())
def test_payments_are_told_of_each_start_and_of_each_word_about_money_how_seats_stand(
    log: list[PipedRecord],
) -> None:
    partition = Partition(log=list(log))
    started: set[str] = set()
    for record in log:
        verdict = CODECS.commands.decode(record.value)
        kind = verdict.name.rpartition(".")[2] if isinstance(verdict, Decoded) else ""
        before = len(partition.payments)
        # A command's own outcome is the last one.
        outcomes = [told(value) for value in partition.fold([record])]
        news = [told(value) for value in partition.payments[before:]]
        if not outcomes or kind not in {*OF_MONEY, "StartPayment", "ClaimPayment"}:
            assert news == []
            continue
        own = outcomes[-1]
        if kind == "ClaimPayment":
            is_astray = own.fields.get("reason") in {Reason.KEY_MISMATCH, Reason.WRONG_PARTITION}
            assert [one.name for one in news] == ["PaymentRequested"] * (not is_astray)
            for one in news:
                # Told in any case; a deadline says that the seats are kept.
                is_kept = own.name == "PaymentStarted"
                assert one.deadlineMs == (own.deadlineMs if is_kept else 0)
                assert one.method == b"COMPLETED"
                started |= {one.reservation} if is_kept else set()
            continue
        stored = partition.stored().get(b"r" + own.reservation.encode())
        if kind == "StartPayment":
            assert stored is not None or not news
            is_paying = stored and read_reservation(CODECS, stored).status == Status.PAYING
            is_asked = own.name == "PaymentStarted" and bool(is_paying)
            assert [one.name for one in news] == ["PaymentRequested"] * is_asked
            started |= {one.reservation for one in news}
            for one in news:
                fields = one.amount, one.currency, one.deadlineMs, one.gateway, one.epoch
                assert fields == (
                    own.amount, own.currency, own.deadlineMs, own.gateway, own.epoch,
                )  # fmt: skip
            continue
        is_refused = own.name == "CommandRefused"
        offset = own.outcomeId.split(b":")[2]
        is_plain = kind == "ConfirmReservation" and own.reservation not in started
        is_again = int(offset) != record.offset
        assert len(news) == (not is_plain or is_refused or is_again)
        is_astray = own.fields.get("reason") in {Reason.KEY_MISMATCH, Reason.WRONG_PARTITION}
        for one in news:
            if stored is None or is_astray:
                assert (one.decision, one.newEpoch) == (SaleDecision.REFUSED, 0)
                continue
            held = read_reservation(CODECS, stored)
            assert (one.decision == SaleDecision.REFUSED) is is_refused
            assert one.reason is (own.reason if is_refused else Reason.UNSPECIFIED)
            assert one.newEpoch == held.epoch
            assert is_refused or held.status == STANDS[SaleDecision(one.decision)]


# Every status with every command of it: what it leads to, or why it is refused.
STANDING: dict[str, tuple[Pair, ...]] = {
    "HELD": (hold("r1", 2),),
    "PAYING": (hold("r1", 2), start_payment("r1", correlation="k")),
    "SOLD": (hold("r1", 2), start_payment("r1", correlation="k"), confirm("r1")),
    "REJECTED": (hold("r1", 9),),
    "CANCELLED": (hold("r1", 2), release("r1")),
    "FAILED": (hold("r1", 2), start_payment("r1", correlation="k"), fail_payment("r1")),
    "REFUNDED": (
        hold("r1", 2),
        start_payment("r1", correlation="k"),
        confirm("r1"),
        refund_seats("r1"),
    ),
    "LAPSED": (hold("r1", 2),),
}
ASKED = {
    "confirm": confirm("r1"),
    "release": release("r1"),
    "extend": extend("r1"),
    "start": start_payment("r1"),
    "fail": fail_payment("r1"),
    "refund": refund_seats("r1"),
}
LEGAL = {
    ("HELD", "confirm"): Status.SOLD,
    ("HELD", "release"): Status.RELEASED,
    ("HELD", "extend"): Status.HELD,
    ("HELD", "start"): Status.PAYING,
    ("PAYING", "confirm"): Status.SOLD,
    ("PAYING", "fail"): Status.RELEASED,
    ("SOLD", "refund"): Status.REFUNDED,
    ("FAILED", "confirm"): Status.SOLD,
    ("LAPSED", "confirm"): Status.SOLD,
}
REPEATED = {
    ("PAYING", "start"),
    ("SOLD", "confirm"),
    ("CANCELLED", "release"),
    ("LAPSED", "release"),
    ("FAILED", "release"),
    ("FAILED", "fail"),
    ("REFUNDED", "refund"),
}


@pytest.mark.parametrize(("status", "asked"), list(itertools.product(STANDING, ASKED)))
def test_i7_every_pair_outside_the_tables_is_refused_and_leaves_everything_as_it_was(
    status: str, asked: str
) -> None:
    partition = priced(hold_ms=60_000)
    for pair in STANDING[status]:
        partition.send(pair)
    if status == "LAPSED":
        partition.pass_ms(60_000)
    partition.now_ms += 1
    before, version = partition.stored().get(b"rr1"), partition.status().version
    (outcome,) = partition.send(ASKED[asked])
    after = partition.stored()[b"rr1"]
    if (status, asked) in LEGAL:
        assert read_reservation(CODECS, after).status == LEGAL[status, asked]
        assert outcome.name != "CommandRefused"
        return
    assert after == before
    assert partition.status().version == version
    is_repeat = (status, asked) in REPEATED
    assert (outcome.name == "CommandRefused") is not is_repeat
    if not is_repeat:
        assert outcome.reason is not Reason.UNSPECIFIED
