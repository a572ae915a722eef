"""Records that should not come, or not there."""

from typing import Any

import pytest
from support.payments.paying import (
    CODECS,
    PARTITION,
    PARTITIONS,
    PRICE,
    Paying,
    check,
    statuses,
)

from schemas.topics import PAYMENT_COMMANDS
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding, Heard

P = PurchaseStatus


def test_records_in_a_wrong_place_are_dead_letters() -> None:
    paying = Paying()
    request = paying.request()
    elsewhere = (PARTITION + 1) % PARTITIONS
    paying.driver.pipe(PAYMENT_COMMANDS.name, b"r1", request, partition=elsewhere)
    paying.driver.pipe(PAYMENT_COMMANDS.name, b"r2", request, partition=PARTITION)
    paying.start()
    paying.start(epoch=2)
    reasons = [letter.reason for letter in paying.driver.dead_letters]
    assert reasons == ["WRONG_PARTITION", "KEY_MISMATCH", "OTHER_EPOCH"]
    assert statuses(paying) == ["PENDING"]


@pytest.mark.parametrize(
    "changed", [{"amount": 1}, {"currency": b"USD"}, {"gateway": b"other"}, {"user": "eve"}]
)
def test_another_request_under_the_same_epoch_is_a_dead_letter_and_no_repeat(
    changed: dict[str, Any],
) -> None:
    paying = Paying()
    paying.start()
    before = paying.record()
    paying.events()
    if user := changed.pop("user", ""):
        changed["identity"] = paying.identity("r1", user)
    paying.start(**changed)
    [letter] = paying.driver.dead_letters
    assert letter.reason == "OTHER_PAYMENT"
    assert paying.events() == []
    assert paying.record() == before
    # What asks for the same is told how the payment stands, and no more.
    paying.start(outcome_id=b"section-commands:0:5:0", parameters=b"")
    assert statuses(paying) == ["PENDING"]
    assert paying.record() == before


@pytest.mark.parametrize("epoch", [0, -1])
def test_a_request_that_no_order_can_be_named_after_is_a_dead_letter_and_calls_nobody(
    epoch: int,
) -> None:
    paying = Paying()
    paying.start(epoch=epoch)
    [letter] = paying.driver.dead_letters
    assert letter.reason == "BAD_EPOCH"
    assert paying.record() is None
    assert paying.driver.intents(PAYMENT_COMMANDS.name) == []


def test_an_answer_with_an_id_that_no_gateway_may_give_is_a_dead_letter() -> None:
    paying = Paying()
    paying.start()
    record = paying.record()
    assert record is not None
    fields = (b"r1", 1, record.number, Heard.CAPTURED, PRICE, b"EUR")
    for bad in ("чек 1".encode(), b"a b", b"x" * 129):
        paying.send("r1", CODECS.answered(*fields, bad, 0, b""))
    assert [letter.reason for letter in paying.driver.dead_letters] == ["BAD_BODY"] * 3
    assert paying.record() == record
    paying.captures()
    assert paying.status() == P.CAPTURED


def test_what_no_payment_is_known_for_changes_nothing() -> None:
    paying = Paying()
    before = paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)
    paying.sold()
    paying.hint()
    paying.refund()
    paying.resolve(Finding.REFUNDED)
    after = paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)
    assert {key for key in after if after[key] != before.get(key)} == {b"p"}
    assert paying.events() == paying.commands() == []
    check(paying)
