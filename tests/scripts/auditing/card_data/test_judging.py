"""I24: the number of a card is found wherever a record may have one, and ids are none."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.logs.audit_logs import AVRO, sealed, value_of
from support.payments.shop import ID_BY_NAME, WIRE, Shop, whole_sale

from scripts.auditing.card_data.judging import (
    fields_of,
    has_many_digits,
    have_card,
    may_have_none,
    where_card_is,
)
from scripts.auditing.checks import audit
from scripts.auditing.issued.reading import OF_WORKERS
from scripts.auditing.log import Log
from scripts.auditing.report import as_text
from scripts.auditing.topics import LogRecord

MANY_DIGITS = re.compile(rb"[0-9]{4}(?:[ -]?[0-9]){9}")
CARD = "4111 1111 1111 1111"
FOUND = "I24 card number"
Spoil = Callable[[LogRecord], LogRecord]


@pytest.fixture(scope="module")
def whole() -> Log:
    return whole_sale().log()


def with_record(log: Log, topic: str, record: LogRecord) -> Log:
    """Return a log with one more record."""
    [name] = [
        one.name for one in fields(log) if dict(log.by_topic())[topic] is getattr(log, one.name)
    ]
    records = {0: [*getattr(log, name).get(0, []), record]}
    return replace(log, **{name: records})  # type: ignore[arg-type]


TOPICS = [topic for topic, _ in Log(WIRE, 1).by_topic()]


def test_i24_every_topic_of_a_log_is_looked_through() -> None:
    log = Log(WIRE, 1)
    looked_at = {id(records) for _, records in log.by_topic()}
    others = {one.name for one in fields(log) if id(getattr(log, one.name)) not in looked_at}
    assert others == {
        *("wire", "partitions", "committed", "ends", "moved", "turns_before", "is_paid"),
        # What the gateway has decided: order ids, amounts and keys of idempotency.
        *("ledger", "locks", "locks_read_ms", "rooms", "rooms_read_ms"),
        *("booked", "queues", "lines", "lines_moved"),
    }


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    "record",
    [
        LogRecord(9_000, 0, b"k", b'{"pan":"4111111111111111"}'),
        LogRecord(9_000, 0, b"k", b"\x00\x00\x00\x30\x39" + b"0" + CARD.encode()),
        LogRecord(9_000, 0, b"k", None, (("note", CARD.encode()),)),
    ],
)
def test_i24_a_number_in_bytes_that_nobody_reads_or_in_a_header_is_found(
    whole: Log, topic: str, record: LogRecord
) -> None:
    report = audit(with_record(whole, topic, record))
    found = report.first_by_invariant()[FOUND]
    assert f"{topic} at offset 9000" in found.message
    # It is told where the number stands, and never the number.
    assert not any("1111" in line for line in as_text(report))


def in_field(log: Log, topic: str, name: str, **changes: object) -> Log:
    """Return a log with a copy of one record in which fields are changed."""
    for record in dict(log.by_topic())[topic][0]:
        value = record.value or b""
        if topic.endswith("-changelog"):
            if not (record.key or b"").startswith(name.encode()):
                continue
            called = {"u": "Purchase", "l": "SectionLayout"}[name[0]]
            told = fields_of(log.wire, topic, record.key or b"", value)
            changed = sealed(AVRO.encode(called, told | changes))
            return with_record(log, topic, replace(record, offset=9_000, value=changed))
        called, told = WIRE.decode(value)
        if called == name:
            changed = value_of(name, told | changes, ID_BY_NAME)
            return with_record(log, topic, replace(record, offset=9_000, value=changed))
    raise AssertionError(f"no {name} in {topic}")


ROW = {
    "label": CARD,
    "seatCount": 3,
    "firstNumber": 1,
    "numberStep": 1,
    "seatLabels": [],
    "aisles": [],
    "category": "",
    "seatCategories": [],
}


@pytest.mark.parametrize(
    ("topic", "name", "changes"),
    [
        ("section-commands", "StartPayment", {"parameters": CARD.encode()}),
        ("section-commands", "StartPayment", {"method": "m4111111111111111"}),
        ("section-commands", "OpenSection", {"rows": [ROW]}),
        ("payment-commands", "PaymentRequested", {"parameters": b'{"a":"4111-1111-1111-1111"}'}),
        ("payment-commands", "GatewayAnswered", {"detail": f"no money on {CARD}"}),
        ("payment-events", "PaymentChanged", {"detail": CARD}),
        ("purchases-changelog", "upaid", {"parameters": CARD.encode()}),
        ("purchases-changelog", "upaid", {"detail": CARD}),
        ("seats-changelog", "l", {"rows": [ROW]}),
    ],
)
def test_i24_a_number_in_a_text_of_a_record_is_found(
    whole: Log, topic: str, name: str, changes: dict[str, object]
) -> None:
    report = audit(in_field(whole, topic, name, **changes))
    assert f"{topic} at offset 9000, {next(iter(changes))}".replace("rows", "label") in (
        report.first_by_invariant()[FOUND].message
    )


def test_i24_a_dead_letter_of_a_record_that_can_be_read_is_looked_through_by_its_fields(
    whole: Log,
) -> None:
    started = next(
        one.value
        for one in whole.commands[0]
        if WIRE.decode(one.value or b"")[0] == "StartPayment"
    )
    letter = LogRecord(9_000, 0, b"k", started, (("dead-letter-cause", b"WRONG_PARTITION"),))
    assert FOUND not in audit(with_record(whole, "dead-letter-queue", letter)).first_by_invariant()
    name, told = WIRE.decode(started or b"")
    spoilt = value_of(name, told | {"parameters": CARD.encode()}, ID_BY_NAME)
    letter = replace(letter, value=spoilt)
    assert FOUND in audit(with_record(whole, "dead-letter-queue", letter)).first_by_invariant()


def test_i24_ids_of_anybodys_choice_are_no_card_numbers() -> None:
    shop = Shop()
    # Each of them has the form and the check digit of a card's number.
    for seat, number in enumerate(("4111111111111111", "5105105105105100", "3530111333300000")):
        (shop.paid, shop.declined, shop.refunded)[seat](number, seat)
    report = audit(shop.log())
    assert (report.is_exact, report.payments) == (True, 3)
    ids = (("correlation-id", b"4111111111111111"), ("traceparent", b"4111111111111111"))
    record = LogRecord(9_000, 0, b"4111111111111111", None, ids)
    assert audit(with_record(shop.log(), "payment-events", record)).is_exact


@pytest.mark.parametrize(
    ("value", "has_one"),
    [
        (b"\x004111111111111111\x00", True),
        # The length of a text of 24 bytes looks like a digit.
        (b"04111111111111111 is it", True),
        (b"1700000000004", False),
        # Digests in hexadecimal digits.
        (b"cab31d4111111111111111f547a9", False),
        (b"4111111111111111f547a9c4", False),
        (b'"cab31d0a1b2c3de94111111111111111"', False),
        (b"\xff\xfe" * 1_000, False),
        (b"", False),
    ],
)
def test_i24_bytes_of_no_known_form_are_read_as_they_are(value: bytes, *, has_one: bool) -> None:
    assert have_card(value) == has_one


def answer(payload: bytes) -> LogRecord:
    """Return an answer as a worker seals it; its seal and ids have digits that begin a card."""
    said = [
        *("allocate_purchases:4111111111111111a0b1c2d3e4f5a6b7:82", "key:3", 1, "ANSWERED"),
        *(base64.b64encode(payload).decode(), "", 0, True),
    ]
    seal = b"c" + b"4111111111111111" + b"f" * 47
    value = seal + b" " + json.dumps(said).encode()
    return LogRecord(9_000, 0, b"\0answer:allocate_purchases", value)


def test_i24_of_an_answer_what_was_said_is_looked_through_and_not_its_seal(whole: Log) -> None:
    approved = answer(b'{"status": "approved"}')
    assert audit(with_record(whole, "purchase-created", approved)).is_exact
    spoilt = audit(
        with_record(whole, "purchase-created", answer(b'{"note": "%s"}' % CARD.encode()))
    )
    assert "its answer" in spoilt.first_by_invariant()[FOUND].message


@given(st.text("0019 -x\xff", max_size=40).map(lambda text: text.encode("latin-1")))
@example(b"x4111-1111-1111-1x")
@example(b"411-11111111111")
def test_the_quick_search_finds_what_the_readable_one_does(value: bytes) -> None:
    assert has_many_digits(value) == (MANY_DIGITS.search(value) is not None)


CARDS = (b"", CARD.encode(), b'"' + CARD.encode() + b'"', base64.b64encode(CARD.encode()))


@given(
    st.sampled_from(TOPICS),
    st.sampled_from((None, b"k", OF_WORKERS + b"x")),
    st.sampled_from(CARDS),
    st.none() | st.sampled_from(CARDS),
)
def test_a_record_that_is_passed_over_has_no_number_anywhere(
    topic: str, key: bytes | None, value: bytes, header: bytes | None
) -> None:
    headers = () if header is None else (("note", header),)
    record = LogRecord(0, 0, key, value, headers)
    assert not (may_have_none(record) and where_card_is(WIRE, topic, record))
    assert may_have_none(LogRecord(0, 0, b"k", b"{}"))
