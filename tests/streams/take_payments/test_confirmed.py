"""Whoever issues is told once a purchase is done, and when its seats are the buyer's no more."""

from typing import Any

from support.payments.paying import (
    CODECS,
    EVENT,
    IDS,
    PARTITION,
    PARTITIONS,
    PRICE,
    SEATS,
    SECTION,
    Paying,
    check,
    sold,
)

from schemas.topics import PAYMENT_COMMANDS, PURCHASE_CONFIRMED
from serdes.avro.field_names import field_names
from serdes.decoding import Decoded, TopicDecoder
from serdes.wire import HEADER_BYTES
from state.domain.keys import partition_of
from state.domain.purchases.values import Finding, Heard, Say
from state.domain.reservation import SaleDecision
from streams.driver import PipedRecord

READ = TopicDecoder(PURCHASE_CONFIRMED, IDS)
ORDER = f"r1.1.{PARTITION}"
KEY = b"%d-ann" % EVENT


def told(paying: Paying) -> list[PipedRecord]:
    return paying.driver.read(PURCHASE_CONFIRMED.name)


def fields(record: PipedRecord) -> tuple[str, dict[str, Any]]:
    """Return the short name of what a record says, and its fields by theirs."""
    verdict = READ.decode(record.value, record.headers)
    assert isinstance(verdict, Decoded), verdict
    names = field_names(verdict.name)
    return verdict.name.rpartition(".")[2], dict(zip(names, verdict.fields, strict=True))


def test_a_purchase_is_confirmed_when_its_seats_are_sold_and_not_before() -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    assert told(paying) == []
    paying.sold()
    [record] = told(paying)
    name, said = fields(record)
    assert name == "PurchaseConfirmed"
    assert (said["orderId"], said["turns"], said["seats"]) == (ORDER.encode(), 3, SEATS)
    assert (said["amount"], said["currency"], said["changedAtMs"]) == (
        *(PRICE, b"EUR"),
        paying.now_ms,
    )
    stored = paying.record()
    assert stored is not None
    assert said["bookingNumber"] == stored.booking_number != b""
    headers = dict(record.headers)
    assert headers["event-id"] == f"{ORDER}:3".encode()
    assert (headers["event-type"], headers["source"]) == (b"PURCHASE_CONFIRMED", b"payments")
    check(paying)


def test_all_that_somebody_buys_of_an_event_comes_to_one_partition() -> None:
    """It is not that of the section: the sections of an event have many."""
    [record] = told(sold())
    assert record.key == KEY
    assert record.partition == partition_of(KEY, PARTITIONS)


def test_the_ids_of_the_sale_go_on() -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    value = sold_word(paying)
    ids = (("correlation-id", b"c1"),)
    paying.driver.pipe(PAYMENT_COMMANDS.name, b"r1", value, partition=PARTITION, headers=ids)
    [record] = told(paying)
    assert dict(record.headers)["correlation-id"] == b"c1"


def sold_word(paying: Paying) -> bytes:
    """Return what a section says when it has sold the seats."""
    other = Paying()
    other.sold()
    return other.driver.log(PAYMENT_COMMANDS.name, PARTITION)[-1].value or b""


def test_r23_a_rewind_tells_it_again_under_the_same_id_and_in_the_same_words() -> None:
    paying = sold()
    [first] = told(paying)
    log = paying.driver.log(PAYMENT_COMMANDS.name, PARTITION)
    paying.driver.replay(PAYMENT_COMMANDS.name, PARTITION, log)
    [again] = told(paying)
    assert (again.key, again.value, again.headers) == (first.key, first.value, first.headers)


def test_a_second_word_of_the_sale_confirms_nothing_anew() -> None:
    paying = sold()
    told(paying)
    paying.sold()
    assert told(paying) == []


def test_a_refund_revokes_it_as_soon_as_the_money_is_due_back() -> None:
    paying = sold()
    told(paying)
    paying.refund()
    [record] = told(paying)
    name, said = fields(record)
    assert (name, said["turns"], said["seats"]) == ("PurchaseRevoked", 4, SEATS)
    assert dict(record.headers)["event-type"] == b"PURCHASE_REVOKED"
    paying.says(Heard.REFUNDED)
    assert told(paying) == []
    # Told again, it is a newer word of the same.
    log = paying.driver.log(PAYMENT_COMMANDS.name, PARTITION)
    paying.driver.replay(PAYMENT_COMMANDS.name, PARTITION, log)
    [again] = told(paying)
    assert fields(again)[0] == "PurchaseRevoked"
    assert fields(again)[1]["turns"] > said["turns"]


def test_money_without_seats_and_seats_without_money_confirm_and_revoke_nothing() -> None:
    lost = Paying()
    lost.start()
    lost.captures()
    lost.decided(Say.SELL_SEATS, SaleDecision.REFUSED)
    lost.says(Heard.REFUNDED)
    declined = Paying()
    declined.start()
    declined.says(Heard.DECLINED)
    for paying in (lost, declined):
        log = paying.driver.log(PAYMENT_COMMANDS.name, PARTITION)
        paying.driver.replay(PAYMENT_COMMANDS.name, PARTITION, log)
        assert told(paying) == []


def test_what_a_person_finds_confirms_it_again_under_another_id() -> None:
    """The money of a refund that failed is still there, and so are the seats."""
    paying = sold()
    paying.refund()
    while paying.question() is not None:
        paying.says(Heard.REFUSED)
    paying.resolve(Finding.LOOK_AGAIN)
    paying.captures()
    paying.sold()
    said = [fields(record) for record in told(paying)]
    assert [name for name, _ in said] == [
        *("PurchaseConfirmed", "PurchaseRevoked"),
        "PurchaseConfirmed",
    ]
    turns = [each["turns"] for _, each in said]
    assert turns == sorted(set(turns))
    check(paying)


def test_its_bytes_are_those_that_were_worked_out_by_hand() -> None:
    who = CODECS.commands.identity("r1", "ann", SECTION, EVENT, "t")
    body = CODECS.confirmed(who, b"r1.1.0", 3, 12_500, b"EUR", b"BK-1-a", SEATS, 1_000)
    # Strings behind their length, numbers in zigzag, arrays behind their count and before a zero.
    identity = b"\x04r1\x06ann\x02t\x06A-1\x0e"
    seats = b"\x04" + b"\x06A-1\x04\x0a\x04" + b"\x06A-1\x06\x0a\x02" + b"\0"
    by_hand = identity + b"\x0cr1.1.0\x06" + b"\xa8\xc3\x01\x06EUR\x0cBK-1-a" + seats + b"\xd0\x0f"
    assert body[HEADER_BYTES:] == by_hand
    revoked = CODECS.revoked(who, b"r1.1.0", 3, 12_500, b"EUR", b"BK-1-a", SEATS, 1_000)
    assert (revoked[HEADER_BYTES:], revoked[:HEADER_BYTES]) == (by_hand, revoked[:HEADER_BYTES])
    assert revoked[:HEADER_BYTES] != body[:HEADER_BYTES]
