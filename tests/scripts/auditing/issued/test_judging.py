"""I26: what is paid for is issued once, and nothing else is; each fault is found by its name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.carts.cart_logs import log_with_payments, paid
from support.carts.carting import PARTITIONS
from support.issuing.after_the_money import After
from support.payments.shop import WIRE, whole_sale

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED, Topic
from scripts.auditing.checks import audit
from scripts.auditing.issued.judging import is_unissued
from scripts.auditing.issued.reading import Word
from scripts.auditing.log import Log
from scripts.auditing.report import Report, as_text
from scripts.auditing.topics import LogRecord
from serdes.wire import HEADER_BYTES


def whole_log() -> tuple[Log, After]:
    shop, after = whole_sale(), After()
    after.hears(shop.driver.log("purchase-confirmed", 0))
    return after.lay(shop.log()), after


def anomalies(report: Report) -> set[str]:
    return {one.anomaly for one in report.violations if one.invariant == "I26"}


def changed(record: LogRecord, topic: Topic, **fields: object) -> LogRecord:
    """Return a record that says something else, in the bytes of its schema."""
    name, said = WIRE.decode(record.value or b"", topic)
    body = WIRE.avro.encode(name, said | fields)
    return replace(record, value=(record.value or b"")[:HEADER_BYTES] + body)


def test_a_sale_of_which_all_is_issued_is_exact_and_counted() -> None:
    log, after = whole_log()
    report = audit(log)
    assert report.violations == []
    active = [one for one in after.purchases() if one.is_active]
    assert report.purchases == report.allocations == len(active) > 0
    assert report.tickets == sum(len(list(one.tickets())) for one in active)
    assert (report.unissued, report.unallocated, report.issued_twice) == (0, 0, 0)
    assert f"{len(active)} purchases with" in "\n".join(as_text(report))


def test_carts_that_were_paid_as_one_are_issued_as_they_were_sold() -> None:
    world, after = paid(), After(PARTITIONS)
    for number in range(PARTITIONS):
        after.hears(world.driver.log("purchase-confirmed", number))
    report = audit(after.lay(log_with_payments(world)))
    assert anomalies(report) == set()
    assert (report.purchases, report.tickets, report.unissued) == (1, 3, 0)


def test_what_nobody_issues_is_counted_and_no_fault() -> None:
    log = whole_sale().log()
    report = audit(log)
    assert report.violations == []
    assert report.unissued > 0
    assert (report.purchases, report.issued_twice) == (0, 0)


def test_an_order_that_was_revoked_before_it_was_issued_waits_for_nobody() -> None:
    said = {"turns": 4, "seats": []}
    revoked, confirmed = (Word(0, 1, is_valid, said, ("ann", 7)) for is_valid in (False, True))
    assert not is_unissued(revoked, None)
    assert is_unissued(confirmed, None)
    before = Word(0, 0, True, {"turns": 3}, ("ann", 7))
    assert is_unissued(revoked, before)
    assert not is_unissued(revoked, revoked)


def lose_a_word(log: Log) -> None:
    del log.confirmed[0][0]


def revoke_a_word(log: Log) -> None:
    """Say that what is paid for and sold is not."""
    words = [WIRE.decode(one.value or b"", PURCHASE_CONFIRMED) for one in log.confirmed[0]]
    revoked = {said["orderId"] for name, said in words if name == "PurchaseRevoked"}
    header = next(
        (one.value or b"")[:HEADER_BYTES]
        for one, (name, _) in zip(log.confirmed[0], words, strict=True)
        if name == "PurchaseRevoked"
    )
    at = next(at for at, (_, said) in enumerate(words) if said["orderId"] not in revoked)
    one = log.confirmed[0][at]
    log.confirmed[0][at] = replace(one, value=header + (one.value or b"")[HEADER_BYTES:])


def change_its_seats(log: Log) -> None:
    seats = [{"section": "A", "row": 40, "first": 0, "count": 1}]
    log.confirmed[0][0] = changed(log.confirmed[0][0], PURCHASE_CONFIRMED, seats=seats)


def tell_twice(log: Log) -> None:
    log.issued[0].append(replace(first_of(log, PURCHASE_CREATED), offset=99))


def give_another_purchase(log: Log) -> None:
    own_id = "a" * 26 + "-0"
    one = changed(first_of(log, PURCHASE_CREATED), PURCHASE_CREATED, purchaseId=own_id)
    log.issued[0].append(replace(one, offset=99))


def issue_what_nobody_told(log: Log) -> None:
    _, said = WIRE.decode(first_of(log, PURCHASE_CREATED).value or b"", PURCHASE_CREATED)
    order = said["order"] | {"orderId": "other.1.0"}
    one = changed(first_of(log, PURCHASE_CREATED), PURCHASE_CREATED, order=order)
    log.issued[0].append(replace(one, offset=99))


def allocate_again(log: Log) -> None:
    [one, *_] = log.allocated[0]
    again = changed(one, SEATS_ALLOCATED, allocationId="another")
    log.allocated[0].append(replace(again, offset=99))


def first_of(log: Log, topic: Topic) -> LogRecord:
    assert topic is PURCHASE_CREATED
    return next(one for one in log.issued[0] if not (one.key or b"").startswith(b"\0"))


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (lose_a_word, {"lost word", "phantom ticket"}),
        (revoke_a_word, {"lost word", "phantom ticket"}),
        (change_its_seats, {"lost word", "phantom ticket"}),
        (tell_twice, {"issued twice"}),
        (give_another_purchase, {"issued twice"}),
        (issue_what_nobody_told, {"phantom ticket", "issued twice", "seat on two tickets"}),
        (allocate_again, {"allocated twice"}),
    ],
)
def test_i26_a_fault_is_found_by_its_name(fault: Callable[[Log], None], found: set[str]) -> None:
    log, _ = whole_log()
    fault(log)
    report = audit(log)
    assert anomalies(report) == found
    assert report.verdict == "wrong"
    assert bool(report.issued_twice) == bool(found & {"issued twice", "allocated twice"})
