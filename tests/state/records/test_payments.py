"""Purchases as they are stored, and what pods append about them."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import PAYMENT_COMMANDS
from serdes.avro.field_names import field_names
from serdes.avro.schema_files import current
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Asking, Finding, Purchase, Question, Say
from state.records.commands import CommandEncoders
from state.records.payment_codecs import (
    CompensationResolved,
    PaymentCodecs,
    PaymentHint,
    RefundRequested,
)
from state.records.payments import COMPLETED, PaymentEncoders, PurchaseRecord, purchase_of

IDS = counted_ids()
CODECS = PaymentCodecs.of(IDS)
PODS = PaymentEncoders(IDS)
READ = TopicDecoder(PAYMENT_COMMANDS, IDS)
WHO = CommandEncoders(IDS).identity("r1", "ann", "A-1", 7, "ticket-1")
NUMBERS = st.integers(0, 1 << 40)


def purchases() -> st.SearchStrategy[Purchase]:
    asking = st.builds(Asking, st.sampled_from(Question), st.integers(1, 99), NUMBERS, NUMBERS)
    return st.builds(
        Purchase,
        amount=NUMBERS,
        currency=st.just(b"EUR"),
        deadline_ms=NUMBERS,
        status=st.sampled_from(PurchaseStatus),
        asking=st.none() | asking,
        asked=st.integers(0, 99),
        tries=st.integers(0, 99),
        overtime=st.integers(0, 99),
        payment_id=st.sampled_from([b"", b"ch_1"]),
        is_sold=st.booleans(),
        paid=NUMBERS,
        paid_currency=st.sampled_from([b"", b"USD"]),
        may_charge=st.booleans(),
        is_hinted=st.booleans(),
        is_paid_elsewhere=st.booleans(),
    )


@given(purchases(), st.sampled_from([0, *Say]))
def test_a_purchase_is_stored_and_read_as_it_was(purchase: Purchase, saying: int) -> None:
    method = b"card" if purchase.may_charge else COMPLETED
    new = PurchaseRecord(
        *(b"r1", b"ann", b"ticket-1", b"A-1", 7, WHO, 1, purchase.amount, purchase.currency),
        *(b"mock", method, b"{}"),
        deadline_ms=purchase.deadline_ms,
        saying=saying,
        saying_since_ms=5,
        undecided_since_ms=6,
        hints=(b"evt_1", b"evt_2"),
        hints_since_ms=7,
    )
    record = new.with_purchase(purchase)
    assert purchase_of(CODECS.stored(record)) == record
    assert record.purchase == purchase
    # Beside what the rules know nothing has changed.
    assert (record.saying, record.method, record.gateway) == (saying, method, b"mock")


def test_the_fields_of_a_record_have_the_names_of_its_schema() -> None:
    def snake(name: str) -> str:
        return re.sub("([A-Z])", lambda match: "_" + match[1].lower(), name)

    names = field_names("io.seatstream.state.Purchase")
    assert [snake(name) for name in names] == list(PurchaseRecord._fields)


def read(value: bytes) -> tuple[str, tuple[Any, ...]]:
    verdict = READ.decode(value)
    assert isinstance(verdict, Decoded), verdict
    return verdict.name.rpartition(".")[2], verdict.fields


def test_pods_append_what_workers_read() -> None:
    name, fields = read(PODS.hint("mock", "evt_1", "r-1.2.19"))
    assert (name, PaymentHint._make(fields)) == (
        "PaymentHint",
        PaymentHint(b"r-1", 2, b"mock", b"evt_1"),
    )
    name, fields = read(PODS.refund_requested(WHO))
    assert name == "RefundRequested"
    assert RefundRequested._make(fields).user_id == b"ann"
    for finding in Finding:
        name, fields = read(PODS.compensation_resolved(WHO, finding))
        assert name == "CompensationResolved"
        assert CompensationResolved._make(fields).finding == finding


def test_a_hint_about_no_order_of_ours_is_refused() -> None:
    for order_id in ("", "r1", "r1.0.1", "r 1.1.1"):
        with pytest.raises(ValueError):
            PODS.hint("mock", "evt_1", order_id)


def test_findings_are_those_of_the_schema() -> None:
    symbols = current().by_name["io.seatstream.types.CompensationFinding"]["symbols"]
    assert [finding.name for finding in Finding] == symbols[1:]
    assert [int(finding) for finding in Finding] == list(range(1, len(symbols)))
