"""Payments are told what their commands must have led to, once, and of nothing else."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import fastavro
import pytest
from support.logs.audit_logs import AVRO, START_MS, identity, value_of
from support.logs.facts_by_hand import (
    EVENT_ID,
    SECTION,
    Finding,
    expected_as,
    facts_by_hand,
    findings,
    judged,
    seats,
)

from scripts.auditing.facts import Facts, Told
from scripts.auditing.families.payments import check
from scripts.auditing.schemas import WireFormat
from scripts.auditing.topics import LogRecord
from serdes.avro.schema_files import SCHEMA_ROOT, load, parsed

NAME = "io.seatstream.payments.SaleDecided"

FIELDS = {
    "request": identity("r1", "u1", SECTION, EVENT_ID),
    "outcomeId": "section-commands:0:4:0",
    "asked": "SELL_SEATS",
    "epoch": 1,
    "decision": "SOLD",
    "reason": "UNSPECIFIED",
    "newEpoch": 1,
    "seats": [],
}
RECORD = LogRecord(9, START_MS, b"r1", value_of("SaleDecided", FIELDS))


def facts(*records: LogRecord) -> Facts:
    """Return facts with one answer that payments must have, and these that they have."""
    made = facts_by_hand()
    told = Told(RECORD, "SaleDecided", FIELDS, 0)
    made.payments[told.outcome_id] = expected_as(told, 0)
    made.log.payments[0] = list(records)
    return made


def test_one_answer_in_the_bytes_of_the_oracle_is_right() -> None:
    assert findings(check, facts(RECORD)) == []


def test_none_is_a_loss_and_a_second_one_is_only_right_after_a_rewind() -> None:
    assert findings(check, facts()) == [("I8", "lost write", 4)]
    twice = facts(RECORD, RECORD)
    assert findings(check, twice) == [("I8", "duplicate effect", 4)]
    twice.allow_repeats = True
    assert findings(check, twice) == []


@pytest.mark.parametrize(
    "other",
    [
        replace(RECORD, key=b"r2"),
        replace(RECORD, value=value_of("SaleDecided", FIELDS | {"newEpoch": 2})),
        replace(RECORD, value=value_of("SaleDecided", FIELDS | {"decision": "REFUSED"})),
    ],
)
def test_another_answer_is_wrong(other: LogRecord) -> None:
    assert findings(check, facts(other)) == [("I8", "wrong effect", 4)]


def test_an_answer_to_no_command_is_a_phantom_and_one_that_is_ahead_is_waited_for() -> None:
    later = value_of("SaleDecided", FIELDS | {"outcomeId": "section-commands:0:7:0"})
    made = facts(RECORD, replace(RECORD, value=later))
    assert findings(check, made) == [("I8", "phantom effect", 7)]
    made.read_to = 7
    report = judged(check, made)
    assert (report.violations, report.ahead) == ([], 1)


def test_what_strangers_write_is_foreign() -> None:
    report = judged(check, facts(RECORD, replace(RECORD, value=b"rubbish")))
    assert (report.violations, report.foreign["payment-commands"].count) == ([], 1)


def test_an_answer_of_a_release_that_told_no_seats_is_right_without_them() -> None:
    """A log is audited over an update: what was written before it does not become wrong."""
    made = facts()
    present = FIELDS | {"seats": [{"section": "A", **one} for one in seats(0, 0, 1)]}
    record = replace(RECORD, value=value_of("SaleDecided", present))
    told = Told(record, "SaleDecided", present, 0)
    made.payments[told.outcome_id] = expected_as(told, 0)
    former = fastavro.parse_schema(load(SCHEMA_ROOT / "history" / "v3").inlined(NAME))
    made.log.wire = WireFormat(AVRO, {1: ("SaleDecided", None), 2: ("SaleDecided", former)})

    def findings_of(schema_id: int, schema: Any, fields: dict[str, Any]) -> list[Finding]:
        body = BytesIO()
        fastavro.schemaless_writer(body, schema, fields)
        value = b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()
        made.log.payments[0] = [replace(RECORD, value=value)]
        return findings(check, made)

    assert findings_of(2, former, FIELDS) == []
    assert findings_of(2, former, FIELDS | {"newEpoch": 2}) == [("I8", "wrong effect", 4)]
    assert findings_of(1, parsed(NAME), present) == []
    assert findings_of(1, parsed(NAME), FIELDS) == [("I8", "wrong effect", 4)]
