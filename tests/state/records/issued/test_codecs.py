"""Purchases and allocations are written under their own ids and read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.issuing.orders import CODECS, IDS, word

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED, subject
from serdes.avro.codegen import decoder
from serdes.avro.refused import Refused
from serdes.decoding import Decoded
from serdes.wire import HEADER_BYTES, schema_id_of
from state.domain.issued.purchase import IssuedOrder, IssuedPurchase
from state.records.issued.codecs import (
    PURCHASES,
    Allocation,
    Changed,
    Created,
    OrderWord,
    allocation_of,
    issued_purchase,
    stored_allocation,
    stored_purchase,
)

PURCHASE_ID = b"a" * 26 + b"-0"
ORDER = IssuedOrder(
    b"r1.1.0", b"r1", 3, True, 9_000, b"EUR", b"BK-1-0", ((b"A-1", 2, 5, 2),), 3_000
)


def test_what_payments_say_of_an_order_is_what_a_purchase_keeps() -> None:
    _, value = word(also=((b"B", 3, 1, 1),))
    said = CODECS.confirmed.decode(value)
    assert isinstance(said, Decoded)
    read = OrderWord(*said.fields)
    assert (read.user_id, read.event_id, read.turns) == (b"ann", 7, 3)
    kept = read.order(is_valid=True)
    assert (kept.order_id, kept.reservation_id) == (b"r1.1.0", b"r1")
    assert (kept.seats, kept.changed_at_ms) == (((b"A-1", 2, 5, 2), (b"B", 3, 1, 1)), 3_000)


def test_records_have_the_ids_of_their_topics() -> None:
    head = PURCHASE_ID, b"ann", 7, 3
    written = {
        (PURCHASE_CREATED, "PurchaseCreated"): CODECS.created(*head, ORDER),
        (PURCHASE_CREATED, "PurchaseChanged"): CODECS.changed(*head, False, ORDER),
        (SEATS_ALLOCATED, "SeatsAllocated"): CODECS.allocated(*head, b"al-1", b"approved"),
    }
    for (topic, name), value in written.items():
        full = PURCHASES + name
        assert schema_id_of(value) == IDS.id_by_subject[subject(topic, full)]
        assert decoder(full)(value, HEADER_BYTES)[:4] == head
    created = decoder(PURCHASES + "PurchaseCreated")(
        written[PURCHASE_CREATED, "PurchaseCreated"], HEADER_BYTES
    )
    changed = decoder(PURCHASES + "PurchaseChanged")(
        written[PURCHASE_CREATED, "PurchaseChanged"], HEADER_BYTES
    )
    assert Created(*created).order == tuple(ORDER)
    assert (Changed(*changed).is_active, Changed(*changed).order) == (False, tuple(ORDER))
    assert set(PURCHASE_CONFIRMED.records) == {
        name for name, _ in CODECS.confirmed.by_header.values()
    }


@given(st.lists(st.integers(0, 1 << 30), max_size=4), st.booleans())
def test_a_purchase_is_stored_and_read_back(turns: list[int], is_valid: bool) -> None:
    orders = tuple(
        ORDER._replace(order_id=b"r%d.1.0" % at, turns=turn, is_valid=is_valid)
        for at, turn in enumerate(turns)
    )
    purchase = IssuedPurchase(PURCHASE_ID, b"ann", 7, orders)
    assert issued_purchase(stored_purchase(purchase)) == purchase


def test_an_allocation_is_stored_and_read_back() -> None:
    for allocation in (Allocation(3), Allocation(4, b"al-1", b"approved")):
        assert allocation_of(stored_allocation(allocation)) == allocation


@pytest.mark.parametrize("read", [issued_purchase, allocation_of])
def test_other_bytes_are_refused(read: object) -> None:
    assert callable(read)
    with pytest.raises(Refused):
        read(b"\xff" * 30)
