"""Claims of other shops beside our own payments: money is looked for, and in nobody's way."""

from collections.abc import Callable
from typing import Any

import pytest
from support.payments.paying import PAYMENT_MS, PRICE, Paying, check, names, statuses

from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding, Heard, Question, Say
from state.domain.reasons import Reason
from state.domain.reservation import SaleDecision
from state.records.payments import COMPLETED
from streams.intents import Answer, Result
from streams.take_payments.claims import OTHERS_MAX
from streams.take_payments.questions import Word

KEPT: dict[str, Any] = {"method": COMPLETED, "parameters": b"ch_1"}
REFUSED: dict[str, Any] = KEPT | {"deadline_ms": 0}
OF_NOBODY: dict[str, Any] = REFUSED | {"amount": 0, "currency": b""}


def claimed(**terms: Any) -> Paying:
    paying = Paying()
    paying.start(**(KEPT | terms))
    return paying


def test_s000_1_what_another_shop_was_paid_is_confirmed_and_sold_and_nobody_is_charged() -> None:
    paying = claimed()
    assert paying.question() is Question.VERIFY
    paying.captures(id_="ch_1")
    assert names(paying) == ["ConfirmReservation"]
    paying.sold()
    assert statuses(paying) == ["PENDING", "CAPTURED", "DONE"]
    check(paying)


def test_an_order_that_the_gateway_does_not_know_is_looked_up_and_not_charged() -> None:
    paying = claimed()
    for _ in range(60):
        if paying.status() is not PurchaseStatus.PENDING:
            break
        assert paying.question() is Question.VERIFY
        paying.says(Heard.NOT_FOUND)
    assert statuses(paying) == ["PENDING", "EXPIRED"]
    assert names(paying) == ["FailPayment"]


@pytest.mark.parametrize("unheard", [Heard.OPEN, Heard.NOT_DONE, Heard.REFUSED])
def test_f53_a_claim_that_nobody_answers_is_asked_again_and_never_charged(unheard: Heard) -> None:
    paying = claimed()
    for _ in range(3):
        paying.says(unheard)
        assert paying.question() is Question.VERIFY
    paying.captures()
    assert names(paying) == ["ConfirmReservation"]


@pytest.mark.parametrize(("amount", "currency"), [(PRICE - 1, "EUR"), (PRICE, "USD")])
def test_f59_b73_another_amount_or_currency_sells_nothing_and_goes_back(
    amount: int, currency: str
) -> None:
    paying = claimed()
    paying.captures(amount=amount, currency=currency)
    assert names(paying) == ["FailPayment"]
    assert paying.question() is Question.REFUND
    paying.says(Heard.REFUNDED)
    paying.decided(Say.RELEASE_SEATS, SaleDecision.RELEASED)
    assert paying.status() is PurchaseStatus.REFUNDED
    check(paying)


def test_f57_money_of_a_hold_that_has_lapsed_buys_its_seats_or_goes_back() -> None:
    for decision in (SaleDecision.SOLD, SaleDecision.REFUSED):
        paying = claimed(**REFUSED)
        paying.captures()
        assert names(paying) == ["ConfirmReservation"]
        paying.decided(Say.SELL_SEATS, decision)
        is_sold = decision is SaleDecision.SOLD
        assert paying.status() is (PurchaseStatus.DONE if is_sold else PurchaseStatus.REFUND_DUE)
        check(paying)


def test_money_of_a_hold_that_nobody_has_goes_back_whatever_it_is() -> None:
    paying = claimed(**OF_NOBODY)
    paying.captures()
    paying.decided(Say.RELEASE_SEATS, SaleDecision.REFUSED, reason=Reason.UNKNOWN_RESERVATION)
    paying.says(Heard.REFUNDED)
    assert statuses(paying) == ["EXPIRED", "REFUND_DUE", "REFUNDED"]
    assert "ConfirmReservation" not in names(paying)
    check(paying)


def test_a_refund_that_the_gateway_refuses_is_listed_for_a_person() -> None:
    paying = claimed(**OF_NOBODY)
    paying.captures()
    paying.says(Heard.REFUSED)
    assert paying.status() is PurchaseStatus.COMPENSATION_REQUIRED
    paying.resolve(Finding.REFUNDED)
    assert paying.status() is PurchaseStatus.REFUNDED


@pytest.mark.parametrize("refused", [REFUSED, OF_NOBODY])
@pytest.mark.parametrize("looks", [0, 1])
@pytest.mark.parametrize("own", [{}, KEPT])
def test_a_claim_without_money_is_in_nobodys_way(
    refused: dict[str, Any], looks: int, own: dict[str, Any]
) -> None:
    paying = claimed(**refused, identity=Paying().identity("r1", "eve"))
    for _ in range(looks):
        paying.says(Heard.NOT_FOUND)
    paying.start(**own)
    assert paying.question() is (Question.VERIFY if own else Question.CHARGE)
    paying.captures()
    paying.sold()
    assert paying.status() is PurchaseStatus.DONE
    check(paying)


def test_an_answer_to_what_stood_there_before_changes_nothing() -> None:
    paying = claimed(**OF_NOBODY)
    late, _ = paying.asked()
    paying.start()
    word = Word(Heard.CAPTURED, "", PRICE, "EUR", "ch_1")
    paying.driver.answer(late, Answer(result=Result.ANSWERED, payload=word.payload()))
    assert paying.status() is PurchaseStatus.PENDING
    check(paying)


def test_seats_of_an_order_that_was_used_up_are_let_go_until_the_section_has_heard() -> None:
    paying = claimed(**OF_NOBODY)
    paying.captures()
    paying.decided(Say.RELEASE_SEATS, SaleDecision.REFUSED, reason=Reason.UNKNOWN_RESERVATION)
    names(paying)
    paying.start()
    assert names(paying) == ["FailPayment"]
    paying.pass_to(paying.now_ms + 120_000)
    assert "FailPayment" in names(paying)
    paying.decided(Say.RELEASE_SEATS, SaleDecision.RELEASED)
    paying.says(Heard.REFUNDED)
    assert paying.status() is PurchaseStatus.REFUNDED
    check(paying)


def test_seats_of_another_epochs_order_are_let_go_too() -> None:
    paying = claimed(**OF_NOBODY, epoch=7)
    paying.captures()
    names(paying)
    paying.start()
    [told] = paying.commands()
    assert (told.name, told.fields["epoch"]) == ("FailPayment", 1)
    assert paying.question() is Question.REFUND


def test_b71_a_claim_that_comes_again_has_one_effect() -> None:
    paying = claimed()
    paying.captures(id_="ch_1")
    paying.sold()
    before = paying.record()
    paying.start(**KEPT)
    paying.start(**REFUSED)
    assert paying.record() == before
    assert names(paying) == ["ConfirmReservation"]
    check(paying)


def test_a_claim_beside_our_own_charge_asks_what_became_of_the_order() -> None:
    paying = Paying()
    paying.start()
    paying.says(Heard.OPEN)
    paying.start(**KEPT)
    pending, asked = paying.asked()
    assert (asked.question, pending.intent.due_ms) == (Question.VERIFY, paying.now_ms)


def test_a_claim_of_which_the_section_knows_no_price_has_a_known_order_looked_up() -> None:
    """As where somebody sold the seats again, under the next epoch, and the buyer paid here."""
    paying = Paying()
    paying.start()
    paying.says(Heard.DECLINED)
    paying.start(**OF_NOBODY)
    assert paying.question() is Question.VERIFY
    paying.captures()
    assert names(paying) == ["FailPayment", "ConfirmReservation"]


SAME_MONEY: dict[str, tuple[dict[str, Any], str]] = {
    "another buyer": ({"identity": Paying().identity("r1", "eve")}, "OTHER_PAYMENT"),
    "another epoch": ({"epoch": 2}, "OTHER_EPOCH"),
}
OTHER_MONEY: dict[str, dict[str, Any]] = {
    "another payment id": {"parameters": b"ch_2"},
    "another gateway": {"gateway": b"other"},
    "another payment id and epoch": {"parameters": b"ch_2", "epoch": 2},
    "another payment id and buyer": {
        "parameters": b"ch_2",
        "identity": Paying().identity("r1", "eve"),
    },
}


def claimed_and_sold() -> Paying:
    paying = claimed()
    paying.captures(id_="ch_1")
    paying.sold()
    return paying


@pytest.mark.parametrize("first", [claimed, claimed_and_sold])
@pytest.mark.parametrize("case", SAME_MONEY)
def test_a_second_claim_of_the_same_money_is_a_dead_letter_and_changes_nothing(
    case: str, first: Callable[[], Paying]
) -> None:
    changed, reason = SAME_MONEY[case]
    paying = first()
    before = paying.record()
    paying.start(**(REFUSED | changed))
    [letter] = paying.driver.dead_letters
    assert (letter.reason, letter.is_strangers) == (reason, True)
    assert paying.record() == before


@pytest.mark.parametrize("first", [claimed, claimed_and_sold])
@pytest.mark.parametrize("case", OTHER_MONEY)
def test_a_claim_of_other_money_is_listed_once_for_a_person_and_moves_nothing(
    case: str, first: Callable[[], Paying]
) -> None:
    paying = first()
    before = paying.record()
    assert before is not None
    terms = REFUSED | OTHER_MONEY[case]
    for _ in range(3):
        paying.start(**terms)
        check(paying)
    record = paying.record()
    assert record is not None
    assert record._replace(others=()) == before
    [other] = record.others
    about = terms.get("gateway", b"mock"), terms["parameters"]
    assert (other[:2], other.epoch) == (about, terms.get("epoch", 1))
    assert paying.needs_person()
    beside = (about[0].decode(), about[1].decode())
    # To look again at what nobody has looked at ends nothing, nor does a word about another.
    paying.resolve(Finding.LOOK_AGAIN, beside=beside)
    paying.resolve(Finding.REFUNDED, beside=("elsewhere", beside[1]))
    paying.resolve(Finding.REFUNDED)
    assert paying.needs_person()
    paying.resolve(Finding.REFUNDED, beside=beside)
    assert not paying.needs_person()
    # What was found stays found.
    paying.start(**terms)
    assert not paying.needs_person()
    check(paying)


def test_both_a_payment_and_one_beside_it_may_need_a_person() -> None:
    paying = claimed(**OF_NOBODY)
    paying.start(**(REFUSED | {"gateway": b"other"}))
    paying.captures()
    paying.says(Heard.REFUSED)
    paying.resolve(Finding.REFUNDED)
    assert (paying.status(), paying.needs_person()) == (PurchaseStatus.REFUNDED, True)
    check(paying)
    paying.resolve(Finding.FOUND_UNPAID, beside=("other", "ch_1"))
    assert not paying.needs_person()
    check(paying)


def test_more_claims_than_anybody_looks_at_are_dead_letters() -> None:
    paying = claimed_and_sold()
    for number in range(OTHERS_MAX + 2):
        paying.start(**(REFUSED | {"parameters": b"other_%d" % number}))
    record = paying.record()
    assert record is not None
    assert len(record.others) == OTHERS_MAX
    assert [letter.reason for letter in paying.driver.dead_letters] == ["OTHER_PAYMENT"] * 2


@pytest.mark.parametrize("first", [Paying, claimed_and_sold])
@pytest.mark.parametrize(
    "payment_id", [b"", b"\xff", "ch_\u00e9".encode(), b"ch 1", b"x" * 129, b"x" * 4_000]
)
def test_a_claim_whose_payment_id_no_gateway_makes_is_a_dead_letter_and_never_stored(
    first: Callable[[], Paying], payment_id: bytes
) -> None:
    paying = first()
    before = paying.record()
    paying.start(**(REFUSED | {"parameters": payment_id}))
    assert [letter.reason for letter in paying.driver.dead_letters] == ["BAD_PAYMENT_ID"]
    assert paying.record() == before
    # What is stored of it would be read at the next record of this payment.
    paying.start(**KEPT)
    assert paying.record() is not None


def test_what_turns_out_to_be_the_payments_own_money_needs_nobody() -> None:
    paying = claimed()
    paying.start(**(KEPT | {"parameters": b"ch_2"}))
    assert paying.needs_person()
    paying.captures(id_="ch_2")
    assert not paying.needs_person()
    paying.sold()
    check(paying)


@pytest.mark.parametrize("is_own", [False, True])
def test_a_claim_whose_money_the_gateway_calls_otherwise_is_the_same_one_when_it_comes_again(
    *, is_own: bool
) -> None:
    paying = Paying() if is_own else claimed()
    if is_own:
        paying.start()
        paying.says(Heard.OPEN)
        paying.start(**KEPT)
    paying.captures(id_="ch_9")
    paying.sold()
    before = paying.record()
    for terms in (KEPT, REFUSED, REFUSED | {"parameters": b"ch_9"}):
        paying.start(**terms)
    assert paying.record() == before
    assert names(paying) == ["ConfirmReservation"]
    paying.refund()
    paying.says(Heard.REFUNDED)
    paying.decided(Say.TAKE_SEATS_BACK, SaleDecision.REFUNDED)
    before = paying.record()
    paying.start(**REFUSED)
    assert (paying.record(), paying.question()) == (before, None)
    check(paying)


def test_what_a_shop_says_of_the_payment_id_is_forgotten_with_what_it_was_asked_for() -> None:
    for terms in (KEPT, REFUSED):
        paying = claimed(**terms)
        paying.captures(id_="ch_9")
        record = paying.record()
        assert record is not None
        assert (record.method, record.parameters, record.payment_id) == (b"", b"", b"ch_9")


BESIDE: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "a payment at another gateway": ({"gateway": b"other"}, ["FailPayment"], []),
    "a payment under another epoch": ({"epoch": 2}, ["FailPayment"], []),
    "a kept claim at another gateway": (
        KEPT | {"gateway": b"other"},
        ["FailPayment"],
        [],
    ),
    "a refused claim at another gateway": (REFUSED | {"gateway": b"other"}, [], []),
    "a refused claim under another epoch": (REFUSED | {"epoch": 2}, [], ["OTHER_EPOCH"]),
}


@pytest.mark.parametrize("case", BESIDE)
def test_money_of_a_refused_claim_is_looked_for_whatever_begins_beside_it(case: str) -> None:
    changed, told, letters = BESIDE[case]
    paying = claimed(**REFUSED)
    looked_for, _ = paying.asked()
    paying.start(**changed)
    assert paying.asked()[0] == looked_for
    assert names(paying) == told
    assert [letter.reason for letter in paying.driver.dead_letters] == letters
    assert paying.needs_person() == ("claim at another gateway" in case)
    paying.captures(id_="ch_1")
    assert paying.status() is PurchaseStatus.CAPTURED


def test_copies_of_a_refused_claim_do_not_put_off_its_answer() -> None:
    paying = claimed(**REFUSED)
    looked_for, _ = paying.asked()
    for _ in range(3):
        paying.start(**REFUSED)
    assert paying.asked()[0] == looked_for
    paying.captures(id_="ch_1")
    assert paying.status() is PurchaseStatus.CAPTURED


@pytest.mark.parametrize("is_own", [False, True])
def test_copies_of_a_claim_keep_no_seats_past_the_deadline(*, is_own: bool) -> None:
    paying = Paying()
    deadline_ms = paying.now_ms + PAYMENT_MS
    claim = KEPT | {"deadline_ms": deadline_ms}
    paying.start(**({"deadline_ms": deadline_ms} if is_own else claim))
    if is_own:
        paying.says(Heard.OPEN)
    while paying.now_ms < deadline_ms + PAYMENT_MS and paying.question() is not None:
        paying.start(**claim)
        paying.says(Heard.NOT_FOUND)
        paying.pass_to(paying.now_ms + PAYMENT_MS // 10)
    assert paying.status() is PurchaseStatus.EXPIRED
    assert set(names(paying)) == {"FailPayment"}
