"""Topics of what happens after the money are read once, and what strangers wrote is counted."""

from dataclasses import replace

from support.issuing.after_the_money import After
from support.issuing.orders import CODECS
from support.payments.shop import whole_sale

from scripts.auditing.issued.reading import read_issued
from scripts.auditing.report import Report
from scripts.auditing.topics import LogRecord


def test_the_newest_word_about_each_order_and_purchase_counts() -> None:
    shop, after, report = whole_sale(), After(), Report()
    log = shop.log()
    after.hears(shop.driver.log("purchase-confirmed", 0))
    issued = read_issued(after.lay(log), report)
    assert report.foreign == {}
    assert report.violations == []
    assert issued.newest.keys() == issued.orders.keys()
    for order_id, word in issued.newest.items():
        assert issued.orders[order_id].says_as(word)
    active = {own_id for own_id, (_, is_active) in issued.is_active.items() if is_active}
    assert active == {one.purchase_id.decode() for one in after.purchases() if one.is_active}
    assert {own_id for own_id, some in issued.allocated.items() if some} == active


def test_a_strangers_records_are_counted_and_workers_own_are_passed_over() -> None:
    shop, report = whole_sale(), Report()
    log = shop.log()
    log.confirmed[0] += [LogRecord(90, 0, b"x", b"rubbish"), LogRecord(91, 0, b"\0tick", b"7")]
    log.issued = {0: [LogRecord(0, 0, b"y", None)]}
    log.allocated = {0: [LogRecord(0, 0, b"\0answer:a", b"{}")]}
    before = read_issued(log, report)
    assert {topic: found.count for topic, found in report.foreign.items()} == {
        "purchase-confirmed": 1,
        "purchase-created": 1,
    }
    assert before.orders == {}


def test_two_words_about_one_turn_that_differ_are_a_violation() -> None:
    shop, report = whole_sale(), Report()
    log = shop.log()
    one, *_ = log.confirmed[0]
    # Repeated, it is the same word; with another amount it is another one.
    changed = replace(one, offset=99, value=(one.value or b"").replace(b"EUR", b"USD"))
    log.confirmed[0].append(replace(one, offset=98))
    read_issued(log, report)
    assert report.violations == []
    log.confirmed[0].append(changed)
    read_issued(log, report)
    assert [(each.invariant, each.anomaly, each.offset) for each in report.violations] == [
        ("I26", "two words", 99)
    ]


def test_slots_that_are_planned_and_not_cancelled_are_counted_and_none_is_planned_twice() -> None:
    shop, report = whole_sale(), Report()
    log = shop.log()
    head = b"p" * 28, b"ann", 7, 1, b"al-1"
    days = [(b"2026-11-30", b"16:00", 1), (b"2026-12-01", b"16:00", 2)]
    values = [CODECS.scheduled(*head, *day) for day in days]
    values += [CODECS.cancelled(*head, *days[0]), CODECS.scheduled(*head, *days[0])]
    log.slots = {0: [LogRecord(at, 0, b"7-ann", value) for at, value in enumerate(values)]}
    issued = read_issued(log, report)
    assert issued.slots == {("al-1", "2026-11-30", "16:00"), ("al-1", "2026-12-01", "16:00")}
    assert report.violations == []
    log.slots[0].append(LogRecord(9, 0, b"7-ann", values[1]))
    read_issued(log, report)
    assert [(one.anomaly, one.offset) for one in report.violations] == [("slot twice", 9)]
