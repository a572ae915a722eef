"""What is heard of a payment is read from its records, and what strangers write is passed over."""

from dataclasses import replace

from support.logs.audit_logs import identity
from support.payments.shop import PRICE, SEATS, Shop, whole_sale
from support.seats.section_commands import start_payment

from scripts.auditing.log import Log
from scripts.auditing.purchases import Payment, Purchases, read_purchases, words_of
from scripts.auditing.report import Notes, Report
from scripts.auditing.topics import LogRecord


def read(log: Log, *quarantined: int) -> tuple[Purchases, Report]:
    report = Report()
    return read_purchases(log, Notes(0, report), set(quarantined)), report


def test_a_payment_has_what_was_asked_heard_kept_and_told() -> None:
    purchases, report = read(whole_sale().log())
    paid = purchases.by_id["paid"]
    assert paid.asked is not None
    assert paid.stored is not None
    assert (paid.asked["amount"], paid.status, paid.heard) == (PRICE, "DONE", {"captured", "sold"})
    assert [told["status"] for told in paid.told] == ["PENDING", "CAPTURED", "DONE"]
    assert purchases.by_id["resolved"].heard >= {"captured otherwise", "found REFUNDED"}
    assert purchases.by_id["lost"].heard >= {"captured", "lost", "REFUNDED"}
    assert [name for name, one in purchases.by_id.items() if one.is_listed] == ["unclear"]
    assert (report.pending, report.foreign) == (0, {})


def test_records_that_are_not_decided_yet_wait_and_those_set_aside_are_unclear() -> None:
    shop = Shop()
    shop.paid("r1", 0)
    log = shop.log()
    last = log.payments[0][-1]
    answer = next(one for one in reversed(log.payments[0]) if one.key == b"r1")
    log.payments[0].append(replace(answer, offset=last.offset + 1))
    purchases, report = read(log, answer.offset)
    payment = purchases.by_id["r1"]
    assert (payment.is_waiting, payment.is_unclear, report.pending) == (True, True, 1)


def test_a_capture_without_a_name_is_no_answer() -> None:
    asked = {"request": identity("r1", "ann", "A", 7), "epoch": 1, "amount": 1, "currency": "EUR"}
    answer = {"word": "CAPTURED", "epoch": 1, "amount": 1, "currency": "EUR"}
    payment = Payment(asked)
    assert words_of(payment, "GatewayAnswered", answer | {"paymentId": ""}) == {"OPEN"}
    assert payment.captures == []
    assert words_of(payment, "GatewayAnswered", answer | {"paymentId": "p"}) == {"captured"}
    assert len(payment.captures) == 1


def test_strangers_are_counted_and_change_nothing() -> None:
    log = whole_sale().log()
    usual, _ = read(log)
    value = next(one.value for one in log.purchases[0] if one.key == b"upaid")
    log.purchases[0] += [
        LogRecord(900, 0, b"upaid", None),
        LogRecord(901, 0, b"zoo", value),
        LogRecord(902, 0, b"\xffwriter", b"anything"),
        # Their first letters are those of keys of ours.
        LogRecord(903, 0, b"nobody's key", b"rubbish"),
        LogRecord(904, 0, b"u no id", b"rubbish"),
    ]
    log.told[0].append(LogRecord(900, 0, b"paid", b"rubbish"))
    purchases, report = read(log)
    assert purchases == usual
    counted = {topic: remark.count for topic, remark in report.foreign.items()}
    assert counted == {"purchases-changelog": 4, "payment-events": 1}


def test_the_ids_that_lie_beside_an_open_question_are_nobodys_record() -> None:
    shop = Shop()
    shop.hold("r1", 0)
    ids = (("correlation-id", b"c1"),)
    shop.driver.pipe(SEATS, *start_payment("r1", parameters=b""), headers=ids)
    shop.go_on()
    log = shop.log()
    assert any(one.key == b"\xfdr1.1.0:1" for one in log.purchases[0])
    purchases, report = read(log)
    assert (set(purchases.by_id), report.foreign) == ({"r1"}, {})


def test_a_value_of_another_partition_is_a_strangers() -> None:
    log = whole_sale().log()
    log.partitions = 2
    log.purchases = {1: log.purchases[0]}
    report = Report()
    purchases = read_purchases(log, Notes(1, report), set())
    assert purchases.by_id == {}
    assert report.foreign["purchases-changelog"].count > 0
