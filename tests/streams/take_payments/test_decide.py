"""Records that should not come, or not there."""

from support.payments.paying import (
    PARTITION,
    PARTITIONS,
    Paying,
    check,
    statuses,
)

from schemas.topics import PAYMENT_COMMANDS
from state.domain.purchase import (
    PurchaseStatus,
    Turn,
)

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


def test_what_no_payment_is_known_for_changes_nothing() -> None:
    paying = Paying()
    before = paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)
    paying.sold()
    paying.hint()
    paying.refund()
    paying.resolve(Turn.REFUNDED)
    after = paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)
    assert {key for key in after if after[key] != before.get(key)} == {b"p"}
    assert paying.events() == paying.commands() == []
    check(paying)
