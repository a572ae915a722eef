"""Tables are told what records say, and never what contradicts its place or fits no table."""

from datetime import date, time
from typing import Any

import pytest
from hypothesis import given
from support.issuing.orders import CODECS
from support.tables.words import (
    ANN,
    EVENT,
    PARTITIONS,
    created,
    histories,
    nothing_of,
    words_of,
)

from schemas.topics import PERFORMANCE_SLOTS, PURCHASE_CREATED, SEATS_ALLOCATED
from serdes.avro.codegen import Encode
from serdes.decoding import TopicDecoder
from state.domain.issued.purchase import TICKETS_MAX, IssuedPurchase, purchase_id
from state.domain.keys import buyer_key, partition_of
from state.tables.rows import AllocationRow, SlotRow, Word
from streams.batch import Batch, Effects
from streams.driver import PipedRecord
from streams.fill_tables.handler import fill_tables

Pair = tuple[bytes | None, bytes | None]
IDS = (("correlation-id", b"c-1"), ("event-type", b"TOLD"), ("event-id", b"i:1"))


def handled(
    topic: str, decoder: TopicDecoder, *pairs: Pair, partition: int | None = None
) -> Effects:
    """Return what becomes of records that lie together on a partition."""
    key = pairs[0][0]
    where = partition_of(key or b"", PARTITIONS) if partition is None else partition
    records = [PipedRecord(topic, where, at, 1_000, *pair, IDS) for at, pair in enumerate(pairs)]
    # Nothing is remembered: no state is looked into.
    return fill_tables(decoder)(Batch(topic, where, PARTITIONS, records), None, 0)  # type: ignore[arg-type]


def of_purchases(*pairs: Pair, partition: int | None = None) -> Effects:
    return handled(PURCHASE_CREATED.name, CODECS.told, *pairs, partition=partition)


def of_allocations(*pairs: Pair) -> Effects:
    return handled(SEATS_ALLOCATED.name, CODECS.heard, *pairs)


def told(effects: Effects) -> list[Word]:
    return [word for _, word in effects.projected]


@given(histories())
def test_every_change_of_a_purchase_is_told_as_its_row_and_the_row_of_its_order(
    history: list[IssuedPurchase],
) -> None:
    before: dict[bytes, IssuedPurchase] = {}
    found = []
    for purchase in history:
        was = before.get(purchase.purchase_id, purchase._replace(orders=()))
        before[purchase.purchase_id] = purchase
        [order] = set(purchase.orders) - set(was.orders)
        key, value = created(purchase, order)
        if not purchase.is_active or was.is_active:
            head = purchase.purchase_id, purchase.user_id, purchase.event_id, purchase.revision
            value = CODECS.changed(*head, purchase.is_active, order)
        effects = of_purchases((key, value))
        assert effects.dead_letters == []
        found += told(effects)
    expected = [word for word in words_of(history) if word.topic == PURCHASE_CREATED.name]
    assert [word.rows for word in found] == [word.rows for word in expected]
    assert [word.mark for word in found] == [word.mark for word in expected]


def test_a_word_carries_the_ids_of_its_record_and_is_known_by_purchase_and_revision() -> None:
    [word] = told(of_purchases(created(ANN, ANN.orders[0])))
    assert word.mark == ("purchase-created", f"{ANN.purchase_id.decode()}:1")
    assert (word.event_type, word.correlation_id) == ("TOLD", "c-1")
    assert word.partition == int(ANN.purchase_id.rpartition(b"-")[2])


def test_an_allocation_is_told_before_anything_is_known_of_its_purchase() -> None:
    key = buyer_key(EVENT, b"ann")
    head = ANN.purchase_id, b"ann", EVENT, 1
    [word] = told(of_allocations((key, CODECS.allocated(*head, b"al-1", b"approved"))))
    assert word.rows == (
        AllocationRow(ANN.purchase_id.decode(), "ann", EVENT, 1, "al-1", "approved"),
    )


def with_order(**changed: Any) -> Pair:
    return created(ANN, ANN.orders[0]._replace(**changed))


KEY = buyer_key(EVENT, b"ann")
WRONG: list[tuple[Pair, str]] = [
    ((b"7-bob", created(ANN, ANN.orders[0])[1]), "KEY_MISMATCH"),
    ((KEY, b"rubbish"), "BAD_WIRE_HEADER"),
    (created(ANN._replace(purchase_id=b"a" * 26 + b"-0"), ANN.orders[0]), "BAD_PURCHASE"),
    (with_order(order_id=b"other.1.0"), "BAD_ORDER"),
    (with_order(seats=((b"A", 0, 0, TICKETS_MAX + 1),)), "BAD_COUNT"),
    (with_order(seats=((b"A", 0, 0, 2**31 - 1),) * 9), "BAD_COUNT"),
    (with_order(seats=((b"A", 0, 2**31 - 1, 2),)), "BAD_COUNT"),
    (with_order(seats=((b"A", 0, 0, 0),)), "BAD_COUNT"),
    (with_order(seats=((b"A", -1, 0, 1),)), "BAD_COUNT"),
    (with_order(seats=((b"A", 0, 0, 2), (b"A", 0, 1, 1))), "BAD_COUNT"),
    (with_order(booking_number=b"BK\0"), "NOT_STORABLE"),
]


@pytest.mark.parametrize(("pair", "reason"), WRONG)
def test_what_contradicts_its_place_or_fits_no_table_is_a_dead_letter_alone(
    pair: Pair, reason: str
) -> None:
    partition = partition_of(KEY, PARTITIONS)
    effects = of_purchases(created(ANN, ANN.orders[0]), pair, partition=partition)
    assert [letter.reason for letter in effects.dead_letters] == [reason]
    assert len(effects.projected) == 1
    assert effects.decisions == {"TOLD": 1}


def test_a_purchase_on_another_partition_than_its_keys_is_a_dead_letter() -> None:
    partition = (partition_of(KEY, PARTITIONS) + 1) % PARTITIONS
    effects = of_purchases(created(ANN, ANN.orders[0]), partition=partition)
    assert [letter.reason for letter in effects.dead_letters] == ["WRONG_PARTITION"]


def slots(made: Encode, allocation: bytes, date: bytes, time: bytes) -> Effects:
    head = ANN.purchase_id, b"ann", EVENT, 3, allocation
    return handled(PERFORMANCE_SLOTS.name, CODECS.planned, (KEY, made(*head, date, time, 5_000)))


def test_a_slot_is_told_as_its_row_and_known_by_its_day_and_time() -> None:
    [planned] = told(slots(CODECS.scheduled, b"al-1", b"2126-01-02", b"16:30"))
    [ended] = told(slots(CODECS.cancelled, b"al-1", b"2126-01-02", b"16:30"))
    own_id = ANN.purchase_id.decode()
    row = SlotRow(
        *(f"{own_id}.al-1.2126-01-02T16:30", own_id, "ann", EVENT, 3, "al-1"),
        *(date(2126, 1, 2), time(16, 30), 5_000),
        is_cancelled=False,
    )
    assert planned.rows == (row,)
    assert ended.rows == (row._replace(is_cancelled=True),)
    assert planned.mark == ("performance-slots", f"{row.slot_id}:3")


@pytest.mark.parametrize(
    ("allocation", "day", "at", "reason"),
    [
        (b"al-1", b"2126-02-30", b"16:30", "BAD_SLOT"),
        (b"al-1", b"2126-02-03", b"24:01", "BAD_SLOT"),
        (b"al\0", b"2126-02-03", b"16:30", "NOT_STORABLE"),
    ],
)
def test_a_slot_at_no_time_is_a_dead_letter(
    allocation: bytes, day: bytes, at: bytes, reason: str
) -> None:
    [letter] = slots(CODECS.scheduled, allocation, day, at).dead_letters
    assert letter.reason == reason


def test_ids_with_zero_bytes_are_dead_letters_since_no_database_has_such_a_text() -> None:
    zero = nothing_of("ann")._replace(user_id=b"x\0y")
    number = partition_of(buyer_key(EVENT, b"x\0y"), PARTITIONS)
    from_it = zero._replace(purchase_id=purchase_id(b"x\0y", EVENT, number).encode())
    effects = of_purchases(created(from_it, ANN.orders[0]))
    assert [letter.reason for letter in effects.dead_letters] == ["NOT_STORABLE"]
    key = buyer_key(EVENT, b"ann")
    value = CODECS.allocated(ANN.purchase_id, b"ann", EVENT, 1, b"al\0", b"approved")
    [letter] = of_allocations((key, value)).dead_letters
    assert letter.reason == "NOT_STORABLE"
