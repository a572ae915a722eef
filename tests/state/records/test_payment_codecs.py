"""Codecs of payments write what their names promise, and name fields in the schemas' order."""

import re
from typing import Any

import pytest
from support.payments.paying import CODECS, IDS, Paying

from schemas.topics import PAYMENT_COMMANDS, PAYMENT_EVENTS, PURCHASES_CHANGELOG, subject
from serdes.avro.field_names import field_names
from serdes.avro.schema_files import inlined
from serdes.wire import schema_id_of
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Heard, Question, Say
from state.records import payment_codecs
from state.records.payments import PAYMENTS


@pytest.mark.parametrize(
    "name", ["GatewayAnswered", "PaymentHint", "RefundRequested", "CompensationResolved"]
)
def test_each_record_has_its_fields_named_in_order(name: str) -> None:
    kind: Any = getattr(payment_codecs, name)
    snake = [
        re.sub("([A-Z])", lambda match: "_" + match[1].lower(), field)
        for field in field_names(PAYMENTS + name)
    ]
    assert snake == list(kind._fields)


def _symbols(record: str, field: str) -> list[str]:
    [found] = [one["type"] for one in inlined(record)["fields"] if one["name"] == field]
    symbols: list[str] = found["symbols"]
    return symbols


def test_numbers_of_the_domain_are_those_of_the_schemas() -> None:
    state = "io.seatstream.state.Purchase"
    assert _symbols(state, "status") == [one.name for one in PurchaseStatus]
    assert _symbols(state, "question") == ["UNSPECIFIED", *(one.name for one in Question)]
    assert _symbols(state, "saying") == ["UNSPECIFIED", *(one.name for one in Say)]
    told = [one.name for one in Heard if one != Heard.ANOTHERS]
    assert _symbols(PAYMENTS + "GatewayAnswered", "word") == ["UNSPECIFIED", *told]


def test_what_is_told_has_the_id_of_its_subject() -> None:
    paying = Paying()
    paying.start()
    record = paying.record()
    assert record is not None
    told = CODECS.told(record)
    wanted = IDS.id_by_subject[subject(PAYMENT_EVENTS, PAYMENTS + "PaymentChanged")]
    assert schema_id_of(told) == wanted
    wanted = IDS.id_by_subject[subject(PAYMENT_COMMANDS, PAYMENTS + "PaymentTick")]
    assert schema_id_of(CODECS.tick(5)) == wanted


def test_every_record_of_the_store_is_written_and_read() -> None:
    assert CODECS.read_counts(CODECS.counts((1, 2)), 0) == ((1, 2),)
    assert CODECS.read_compensation(CODECS.compensation(5), 0) == (5,)
    assert CODECS.read_of_gateway(CODECS.of_gateway(b"r1", 1), 0) == (b"r1", 1)
    assert len(PURCHASES_CHANGELOG.records) == 4
