"""Every way of a payment, through the real handler: its section and its gateway are played."""

from typing import Any

import pytest
from support.payments.paying import (
    CODECS,
    COMMANDS_READ,
    PARTITION,
    PARTITIONS,
    PAYMENT_MS,
    PODS,
    PRICE,
    Paying,
    check,
    names,
    route_of,
    sold,
    statuses,
)

from schemas.topics import PAYMENT_COMMANDS, PAYMENT_EVENTS, SECTION_COMMANDS
from serdes.decoding import Decoded
from state.domain.keys import COMPENSATION, PAYMENT_OF_GATEWAY, partition_of, section_key
from state.domain.purchases.questions import LAST_LOOK_MS, REFUND_RETRIES
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding, Heard, Question, Say
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure, SaleDecision
from streams.batch import Batch
from streams.driver import PipedRecord
from streams.intents import Answer, Result
from streams.patience import TELL_AGAIN_MS
from streams.take_payments.decide import HINTS_MAX, HINTS_MS
from streams.take_payments.handler import counts, progress
from streams.take_payments.questions import Word, told_answers

P = PurchaseStatus


def test_a_payment_that_is_captured_sells_its_seats_and_has_a_booking_number() -> None:
    paying = Paying()
    paying.start()
    pending, asked = paying.asked()
    assert pending.intent.destination == "mock"
    assert pending.intent.idempotency_key == f"pay:r1.1.{PARTITION}"
    charge = asked.charge()
    assert (charge.order_id, charge.amount, charge.currency) == (f"r1.1.{PARTITION}", PRICE, "EUR")
    assert charge.idempotency_key == pending.intent.idempotency_key
    assert (charge.method, dict(charge.parameters)) == ("card", {"token": "t1"})
    paying.captures()
    [confirm] = paying.commands()
    assert (confirm.name, confirm.fields["epoch"]) == ("ConfirmReservation", 1)
    assert confirm.fields["request"] == paying.identity("r1")
    assert paying.status() == P.CAPTURED
    # Nobody keeps what only a charge needs.
    record = paying.record()
    assert record is not None
    assert (record.method, record.parameters) == (b"", b"")
    paying.sold()
    events = paying.events()
    assert [P(told.fields["status"]).name for told in events] == ["PENDING", "CAPTURED", "DONE"]
    done = events[-1].fields
    assert (done["amount"], done["currency"], done["paymentId"]) == (PRICE, b"EUR", b"ch_1")
    prefix, time, digits = done["bookingNumber"].decode().split("-")
    assert (prefix, int(time, 36), len(digits)) == ("BK", done["changedAtMs"], 8)
    assert paying.question() is None
    check(paying)


def test_f52_a_request_that_comes_again_charges_nobody_again() -> None:
    paying = Paying()
    request = paying.request()
    for _ in range(3):
        paying.send("r1", request)
    assert len(paying.driver.intents(PAYMENT_COMMANDS.name)) == 1
    assert statuses(paying) == ["PENDING", "PENDING", "PENDING"]
    paying.captures()
    paying.sold()
    paying.send("r1", request)
    assert paying.question() is None
    assert paying.status() == P.DONE
    check(paying)


def test_a_declined_payment_gives_its_seats_back() -> None:
    paying = Paying()
    paying.start()
    paying.says(Heard.DECLINED)
    [failed] = paying.commands()
    assert (failed.name, failed.fields["cause"]) == ("FailPayment", PaymentFailure.DECLINED)
    assert statuses(paying) == ["PENDING", "FAILED"]
    check(paying)


@pytest.mark.parametrize(
    "changed",
    [
        {"gateway": b"_mock"},
        {"parameters": b"token"},
        {"parameters": b'{"token": 1}'},
        {"parameters": b"\xff"},
        {"parameters": b'["t1"]'},
        {"method": b"A Card"},
        {"method": b"\xc3\xa9"},
        {"currency": b"XXX"},
        {"amount": 0},
    ],
)
def test_what_no_gateway_may_be_asked_for_fails_before_any_call(
    changed: dict[str, Any],
) -> None:
    paying = Paying()
    paying.start(**changed)
    assert paying.question() is None
    [failed] = paying.commands()
    assert (failed.name, failed.fields["cause"]) == ("FailPayment", PaymentFailure.DECLINED)
    told = paying.events()[-1].fields
    assert told["status"] == P.FAILED
    assert told["detail"]
    # Nothing that a buyer sent is told.
    assert b"token" not in told["detail"]
    check(paying)


def test_a_payment_that_begins_too_late_gives_its_seats_back_and_calls_nobody() -> None:
    paying = Paying()
    paying.start(deadline_ms=paying.now_ms)
    [failed] = paying.commands()
    assert (failed.name, failed.fields["cause"]) == ("FailPayment", PaymentFailure.EXPIRED)
    assert paying.question() is None
    check(paying)


@pytest.mark.parametrize("result", [Result.FAILED, Result.TIMED_OUT])
def test_f53_a_charge_of_which_nobody_knows_is_looked_up_and_asked_for_with_the_same_key(
    result: Result,
) -> None:
    paying = Paying()
    paying.start()
    first, _ = paying.asked()
    paying.ends(result, detail="told so")
    assert (paying.status(), paying.question()) == (P.PROCESSING, Question.VERIFY)
    paying.says(Heard.NOT_FOUND)
    again, _ = paying.asked()
    assert paying.question() == Question.CHARGE
    assert again.intent.idempotency_key == first.intent.idempotency_key
    assert names(paying) == []
    paying.captures()
    assert names(paying) == ["ConfirmReservation"]
    check(paying)


@pytest.mark.parametrize("result", [Result.NOT_DONE, Result.NOT_TRIED])
@pytest.mark.parametrize(
    ("may_have_run", "question", "status"),
    [(False, Question.CHARGE, P.PENDING), (True, Question.VERIFY, P.PROCESSING)],
)
def test_f54_f60_what_was_not_done_is_asked_again_and_looked_up_where_a_former_owner_may_have(
    result: Result, may_have_run: bool, question: Question, status: PurchaseStatus
) -> None:
    paying = Paying()
    paying.start()
    paying.ends(result, may_have_run=may_have_run, wait_ms=20_000)
    assert (paying.question(), paying.status()) == (question, status)
    record = paying.record()
    assert record is not None
    assert record.due_ms == paying.now_ms + 20_000


def test_f53_nothing_is_given_back_before_a_gateway_has_said_that_it_has_no_money() -> None:
    paying = Paying()
    paying.start()
    paying.ends(Result.TIMED_OUT)
    deadline_ms = paying.now_ms + PAYMENT_MS
    while paying.now_ms < deadline_ms:
        paying.ends(Result.FAILED)
    assert names(paying) == []
    paying.says(Heard.NOT_FOUND)
    [failed] = paying.commands()
    assert (failed.name, failed.fields["cause"]) == ("FailPayment", PaymentFailure.EXPIRED)
    # Once more later: the charge may have been on its way all the time.
    record = paying.record()
    assert record is not None
    assert paying.question() == Question.VERIFY
    assert record.due_ms >= deadline_ms + LAST_LOOK_MS
    paying.decided(Say.RELEASE_SEATS, SaleDecision.RELEASED)
    paying.captures()
    assert names(paying) == ["ConfirmReservation"]
    check(paying)


def test_f53_a_gateway_that_never_answers_is_left_to_a_person_who_finds_no_money() -> None:
    paying = Paying()
    paying.start()
    while paying.status() != P.COMPENSATION_REQUIRED:
        paying.ends(Result.FAILED)
    assert names(paying) == []
    state = paying.driver.state(PAYMENT_COMMANDS.name, PARTITION)
    assert state.keys(COMPENSATION) == [COMPENSATION + b"r1"]
    assert counts(CODECS)(state)["COMPENSATION_REQUIRED"] == 1
    check(paying)
    # Of another section: nobody knows what was meant.
    paying.resolve(Finding.FOUND_UNPAID, section="B-1")
    assert paying.status() == P.COMPENSATION_REQUIRED
    paying.resolve(Finding.FOUND_UNPAID)
    [failed] = paying.commands()
    assert failed.name == "FailPayment"
    assert state.keys(COMPENSATION) == []
    assert paying.status() == P.FAILED
    check(paying)


def test_money_without_seats_goes_back() -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    paying.decided(Say.SELL_SEATS, SaleDecision.REFUSED, reason=Reason.REFUND_DUE)
    pending, asked = paying.asked()
    assert paying.question() == Question.REFUND
    assert pending.intent.idempotency_key == f"refund:r1.1.{PARTITION}"
    assert (asked.amount, asked.currency, asked.payment_id) == (PRICE, "EUR", "ch_1")
    paying.says(Heard.REFUNDED)
    assert statuses(paying) == ["PENDING", "CAPTURED", "REFUND_DUE", "REFUNDED"]
    # The section has no seats that it could give back.
    assert names(paying) == ["ConfirmReservation"]
    check(paying)


@pytest.mark.parametrize(("amount", "currency"), [(PRICE - 1, "EUR"), (PRICE, "USD")])
def test_f59_another_amount_or_currency_sells_nothing_and_goes_back_as_it_came(
    amount: int, currency: str
) -> None:
    paying = Paying()
    paying.start()
    paying.captures(amount=amount, currency=currency)
    [failed] = paying.commands()
    assert (failed.name, failed.fields["cause"]) == ("FailPayment", PaymentFailure.DIFFERED)
    _, asked = paying.asked()
    assert (asked.question, asked.amount, asked.currency) == (Question.REFUND, amount, currency)
    paying.decided(Say.RELEASE_SEATS, SaleDecision.RELEASED)
    paying.says(Heard.REFUNDED)
    assert paying.status() == P.REFUNDED
    assert names(paying) == []
    check(paying)


def test_a_capture_that_another_payment_has_sells_nothing() -> None:
    paying = sold()
    paying.commands()
    paying.start("r2")
    paying.captures("r2", id_="ch_1")
    assert names(paying) == []
    assert paying.status("r2") == P.COMPENSATION_REQUIRED
    assert paying.status("r1") == P.DONE
    check(paying)
    state = paying.driver.state(PAYMENT_COMMANDS.name, PARTITION)
    assert state.keys(PAYMENT_OF_GATEWAY) == [PAYMENT_OF_GATEWAY + b"mock:ch_1"]


def test_a_refund_of_a_sale_gives_its_seats_back_after_the_money() -> None:
    paying = sold()
    paying.commands()
    paying.refund(user="eve")
    paying.refund(section="B-1")
    assert paying.status() == P.DONE
    paying.events()
    paying.refund()
    # Asked again it is answered, and nothing more.
    paying.refund()
    assert statuses(paying) == ["REFUND_DUE", "REFUND_DUE"]
    assert names(paying) == []
    paying.says(Heard.REFUNDED)
    assert names(paying) == ["RefundSeats"]
    paying.decided(Say.TAKE_SEATS_BACK, SaleDecision.REFUNDED)
    assert statuses(paying) == ["REFUNDED"]
    paying.pass_to(paying.now_ms + 3 * TELL_AGAIN_MS)
    assert names(paying) == []
    check(paying)


def test_f61_a_refund_that_fails_is_repeated_under_its_key_and_then_a_persons() -> None:
    paying = sold()
    paying.refund()
    keys = set()
    for _ in range(REFUND_RETRIES.most):
        assert paying.status() == P.REFUND_DUE
        keys.add(paying.asked()[0].intent.idempotency_key)
        paying.ends(Result.FAILED)
    assert keys == {f"refund:r1.1.{PARTITION}"}
    assert paying.status() == P.COMPENSATION_REQUIRED
    paying.commands()
    paying.resolve(Finding.FOUND_UNPAID)
    assert paying.status() == P.COMPENSATION_REQUIRED
    paying.resolve(Finding.REFUNDED)
    assert names(paying) == ["RefundSeats"]
    assert paying.status() == P.REFUNDED
    check(paying)


@pytest.mark.parametrize("result", [Result.NOT_DONE, Result.NOT_TRIED])
@pytest.mark.parametrize("may_have_run", [False, True])
def test_f60_f61_an_outage_leaves_refunds_to_the_gateway_that_comes_back(
    result: Result, may_have_run: bool
) -> None:
    paying = sold()
    paying.refund()
    for _ in range(REFUND_RETRIES.most + 3):
        paying.ends(result, may_have_run=may_have_run)
        assert paying.status() == P.REFUND_DUE
    paying.says(Heard.REFUNDED)
    assert paying.status() == P.REFUNDED
    check(paying)


def test_f58_a_hint_has_the_gateway_asked_at_once_and_a_foreign_one_nothing() -> None:
    paying = Paying()
    paying.hint("r9")
    paying.start()
    paying.ends(Result.TIMED_OUT)
    for _ in range(4):
        paying.ends(Result.FAILED)
    before = paying.record()
    paying.hint(gateway="other")
    paying.hint(epoch=2)
    assert paying.record() == before
    paying.hint()
    assert paying.question() == Question.VERIFY
    after = paying.record()
    assert before is not None
    assert after is not None
    assert (after.due_ms, after.number) == (paying.now_ms, before.number + 1)
    paying.captures()
    paying.sold()
    # B71: whatever comes again has no effect any more.
    for _ in range(100):
        paying.hint()
    assert paying.question() is None
    assert statuses(paying) == ["PENDING", "PROCESSING", "CAPTURED", "DONE"]
    check(paying)


def test_f58_hints_by_the_hundred_lead_to_one_look_at_a_time_and_drop_no_answer() -> None:
    paying = Paying()
    paying.start()
    paying.ends(Result.TIMED_OUT)
    for _ in range(200):
        paying.hint()
    look, _ = paying.asked()
    # What a look says is heard, and one more follows: it may have been said before the hints.
    for _ in range(2):
        paying.says(Heard.NOT_FOUND)
        after, _ = paying.asked()
        assert after.intent.id == look.intent.id[:-1] + str(int(look.intent.id[-1]) + 1)
        look = after
    assert paying.question() == Question.CHARGE
    # Those that come while a charge is under way are not forgotten.
    for _ in range(200):
        paying.hint()
    paying.says(Heard.DECLINED)
    assert (paying.status(), paying.question()) == (P.FAILED, Question.VERIFY)
    paying.says(Heard.DECLINED)
    assert paying.question() is None
    check(paying)


def test_f58_a_webhook_that_comes_again_is_no_hint_for_ten_minutes() -> None:
    paying = Paying()
    paying.start()
    paying.says(Heard.DECLINED)
    for _ in range(3):
        paying.hint(event="evt_a")
        paying.hint(event="evt_b")
        if paying.question() is not None:
            paying.says(Heard.DECLINED)
            paying.says(Heard.DECLINED)
        assert paying.question() is None
    record = paying.record()
    assert record is not None
    # Of the second one nothing was kept: a look more was wanted already.
    assert record.hints == (b"evt_a", b"evt_b")
    # Sent again by a person, say, who knows of money that nobody looks for.
    paying.pass_to(paying.now_ms + HINTS_MS)
    paying.hint(event="evt_a")
    assert paying.question() == Question.VERIFY
    paying.captures()
    assert names(paying)[-1] == "ConfirmReservation"
    record = paying.record()
    assert record is not None
    assert record.hints == ()


def test_f58_no_more_ids_of_webhooks_are_kept_than_fit() -> None:
    paying = Paying()
    paying.start()
    paying.says(Heard.DECLINED)
    for _ in range(3 * HINTS_MAX):
        paying.hint()
        paying.says(Heard.DECLINED)
    record = paying.record()
    assert record is not None
    assert len(record.hints) == HINTS_MAX
    check(paying)


def test_an_answer_to_another_question_changes_nothing() -> None:
    paying = Paying()
    paying.start()
    first, _ = paying.asked()
    paying.ends(Result.TIMED_OUT)
    before = paying.record()
    for result in Result:
        paying.driver.answer(first, Answer(result=result, payload=b'[1, "", 1, "EUR", "x"]'))
    assert paying.record() == before
    check(paying)


def test_f29_rewound_records_change_nothing_and_tell_how_payments_stand() -> None:
    paying = sold()
    paying.start("r2")
    paying.captures("r2", id_="ch_2")
    paying.events()
    paying.commands()
    before = paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)
    log = paying.driver.log(PAYMENT_COMMANDS.name, PARTITION)
    paying.driver.replay(PAYMENT_COMMANDS.name, PARTITION, log)
    assert paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION) == before
    assert statuses(paying) == ["DONE", "CAPTURED"]
    # The section is told what it has not answered, and only that.
    assert names(paying) == ["ConfirmReservation"]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_where_a_batch_ends_decides_nothing(size: int) -> None:
    paying = sold()
    paying.start("r2")
    paying.ends(Result.TIMED_OUT, "r2")
    paying.hint("r2")
    paying.captures("r2", amount=1, id_="ch_2")
    log = paying.driver.log(PAYMENT_COMMANDS.name, PARTITION)
    other = Paying()
    for begin in range(0, len(log), size):
        other.driver.replay(PAYMENT_COMMANDS.name, PARTITION, log[begin : begin + size])
    stored = paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)
    assert other.driver.stored(PAYMENT_COMMANDS.name, PARTITION) == stored


class Poisoned(Paying):
    """Has a record set aside as the runtime does after it killed the worker again and again."""

    def set_aside(self, value: bytes) -> None:
        log = self.driver.log(PAYMENT_COMMANDS.name, PARTITION)
        record = PipedRecord(PAYMENT_COMMANDS.name, PARTITION, len(log), self.now_ms, b"r1", value)
        state = self.driver.state(PAYMENT_COMMANDS.name, PARTITION)
        batch = Batch(PAYMENT_COMMANDS.name, PARTITION, PARTITIONS, [record])
        refuse = route_of().refuse
        assert refuse is not None
        self.effects = refuse(batch, state, record, self.now_ms)
        state.write(state.seal(), None)
        assert progress(state).next_offset == len(log) + 1
        # The driver's log lacks it: a tick takes its place.
        self.tick()


def test_f17_a_request_that_kills_workers_gives_its_seats_back_and_charges_nobody() -> None:
    paying = Poisoned()
    request = paying.request()
    paying.set_aside(request)
    [(key, value, *_)] = paying.effects.outgoing[SECTION_COMMANDS.name]
    assert key == b"7-A-1"
    verdict = COMMANDS_READ.decode(value)
    assert isinstance(verdict, Decoded)
    assert verdict.name.endswith("FailPayment")
    assert len(paying.effects.outgoing[PAYMENT_EVENTS.name]) == 1
    # What was refused is state: a repeat that lies behind it in the log charges nobody.
    assert paying.status() == P.FAILED
    paying.send("r1", request)
    assert paying.question() is None
    record = paying.record()
    assert record is not None
    assert (record.method, record.parameters) == (b"", b"")
    check(paying)
    # Money that came in all the same is found.
    paying.hint()
    paying.captures()
    assert names(paying) == ["ConfirmReservation"]


@pytest.mark.parametrize("changed", [{"epoch": 0}, {"identity": "elsewhere"}])
def test_f17_a_request_that_has_no_place_here_leaves_nothing_behind(
    changed: dict[str, Any],
) -> None:
    paying = Poisoned()
    if "identity" in changed:
        section = "elsewhere"
        assert partition_of(section_key(7, section), PARTITIONS) != PARTITION
        changed = {"identity": paying.identity("r1", section=section)}
    paying.set_aside(paying.request(**changed))
    assert paying.effects.outgoing == {}
    assert paying.record() is None
    check(paying)


def test_f17_an_answer_that_kills_workers_is_none() -> None:
    paying = Poisoned()
    paying.start()
    pending, _ = paying.asked()
    word = Word(Heard.CAPTURED, "", PRICE, "EUR", "ch_1")
    answer = Answer(result=Result.ANSWERED, payload=word.payload())
    _, value = told_answers(CODECS)(pending.intent, answer)
    paying.set_aside(value)
    # Nobody knows what the charge did: it is looked up.
    assert (paying.status(), paying.question()) == (P.PROCESSING, Question.VERIFY)
    check(paying)


def test_f17_of_other_records_that_kill_workers_nothing_follows() -> None:
    paying = Poisoned()
    paying.start()
    before = paying.record()
    for value in (b"", PODS.hint("mock", "evt", "r1.1.0"), CODECS.tick(1), CODECS.tick(0)):
        paying.set_aside(value)
        assert paying.effects.outgoing == {}
    assert paying.record() == before
