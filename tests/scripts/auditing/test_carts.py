"""The auditor reads what carts leave in their topics, and counts what is none of theirs."""

from dataclasses import replace

from support.carts.cart_logs import HELD, SOLD, log_of, sold_out

from scripts.auditing.carts import read_carts, section_partition
from scripts.auditing.report import Report
from scripts.auditing.topics import LogRecord
from state.domain.keys import CART

# With the first letters of keys of ours.
STRANGE = (b"k no cart", b"p more")


def test_every_cart_is_read_where_it_is_kept() -> None:
    report = Report()
    carts = read_carts(log_of(sold_out()), report)
    assert {HELD, SOLD} <= carts.stored.keys()
    assert carts.stored[HELD].fields["status"] == "HELD"
    assert report.carts == len(carts.stored) == 6
    assert report.pending == 0


def test_words_of_sections_are_found_by_the_section_that_said_them() -> None:
    carts = read_carts(log_of(sold_out()), Report())
    assert sum(map(len, carts.told.values())) > 10
    for partition, told in carts.told.items():
        assert all(section_partition(one.fields) == partition for one in told)
        assert all(one.is_home for one in told)
    assert section_partition({"outcomeId": "somebody's"}) == -1


def test_strangers_are_counted_and_what_waits_is_pending() -> None:
    log = log_of(sold_out())
    listed = next(listed for listed in log.carts.values() if len(listed) > 3)
    listed[-1] = replace(listed[-1], value=b"?", offset=listed[-1].offset)
    report = Report()
    read_carts(log, report)
    assert report.foreign["cart-commands"].count == 1
    said = next(one for one in listed if log.wire.name_of(one.value or b"") != "CartTick")
    listed.append(replace(said, offset=10**6))
    report = Report()
    read_carts(log, report)
    assert report.pending == 1


def test_what_lies_under_no_key_of_a_cart_is_a_strangers() -> None:
    log = log_of(sold_out())
    strange = [LogRecord(10**6 + at, 0, key, b"?") for at, key in enumerate(STRANGE)]
    log.carts_state.setdefault(0, []).extend(strange)
    report = Report()
    read_carts(log, report)
    assert report.violations == []
    assert report.foreign["carts-changelog"].count == len(STRANGE)


def test_a_damaged_cart_is_a_violation() -> None:
    log = log_of(sold_out())
    for listed in log.carts_state.values():
        for at, record in enumerate(listed):
            if record.key == CART + HELD.encode():
                listed[at] = replace(record, value=(record.value or b"")[:-1] + b"?")
    report = Report()
    read_carts(log, report)
    assert [one.anomaly for one in report.violations] == ["corrupt value"]
