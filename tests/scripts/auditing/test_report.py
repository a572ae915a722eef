"""A report says what is wrong first, by invariant, for people and for machines."""

import json

import pytest
from support.logs.audit_logs import sound_log

from scripts.auditing.report import (
    Notes,
    Report,
    Violation,
    as_json,
    as_text,
    decimal,
    differences,
    excerpt,
    offset_of,
)

# What scripts and runbooks read: a figure that goes is missed by somebody.
KEYS = {
    "carts", "carts_half_held", "held_over_limit", "locks", "locks_left", "locks_waiting",
    "carts_under_way", "rooms", "waiting", "queues", "queued", "queues_moving",
    "purchases", "tickets", "allocations", "slots", "unissued", "unallocated", "issued_twice",
    "captured", "charged_twice", "compensations", "declined", "money_mismatch", "open_intents",
    "payments", "price_of_sold", "refunded", "sold_elsewhere", "under_way",
    "ahead", "blocked", "commands", "dead_letters", "digest", "distinct_outcomes",
    "duplicate_commands", "exact", "excerpts", "first", "foreign", "free", "held", "ignored",
    "lapses", "lost", "outcomes", "pending", "reasons", "repeated", "seats", "sections",
    "set_aside", "sold", "sold_twice", "status_mismatches", "superseded", "ticks", "verdict",
    "violations",
}  # fmt: skip


def wrong(*places: tuple[int, int]) -> Report:
    report = Report()
    for partition, offset in places:
        Notes(partition, report).bad("I3", "sold twice", offset, f"at {partition}:{offset}")
    report.excerpts = {name: [] for name in report.first_by_invariant()}
    return report


def test_a_verdict_is_exact_only_at_rest_and_wrong_before_all_else() -> None:
    assert Report().verdict == "exact"
    assert Report(pending=1).verdict == "not at rest"
    assert Report(ahead=1).verdict == "not at rest"
    both = wrong((0, 1))
    both.pending = 1
    assert both.verdict == "wrong"
    assert not both.is_exact


def test_the_first_of_each_kind_is_the_first_in_the_log() -> None:
    first = wrong((1, 2), (0, 9), (0, 4)).first_by_invariant()
    assert {name: each.message for name, each in first.items()} == {"I3 sold twice": "at 0:4"}


def test_machines_get_every_figure_and_the_first_violation_of_each_kind() -> None:
    document = json.loads(json.dumps(as_json(wrong((0, 1), (0, 2)))))
    assert document.keys() == KEYS
    assert document["violations"] == 2
    assert document["first"]["I3 sold twice"]["offset"] == 1


def test_reasons_are_counted_by_their_names() -> None:
    report = Report()
    report.reasons["SOLD_OUT"] += 2
    assert as_json(report)["reasons"] == {"SOLD_OUT": 2}


def test_people_read_where_it_is_wrong_and_what_to_do_when_it_is_not_at_rest() -> None:
    lines = as_text(wrong((0, 1), (0, 2)))
    assert "I3 sold twice: partition 0, offset 1: at 0:1" in lines
    assert lines[-1].startswith("verdict: WRONG, 2 violations (")
    assert "let the workers finish" in as_text(Report(pending=3))[-1]


def test_remarks_count_and_keep_the_first_place() -> None:
    report = Report()
    for offset in (5, 6):
        Notes(2, report).foreign("section-status", offset, "no header")
    assert "foreign records in section-status: 2, first at partition 2, offset 5: no header" in (
        as_text(report)
    )


@pytest.mark.parametrize(
    ("outcome_id", "offset"),
    [
        ("section-commands:3:41:0", 41),
        ("section-commands:3:41", -1),
        ("section-commands:3:-1:0", -1),
        ("section-commands:3:٣:0", -1),
        ("", -1),
    ],
)
def test_an_outcome_id_names_the_offset_of_its_command(outcome_id: str, offset: int) -> None:
    assert offset_of(outcome_id) == offset


def test_only_plain_digits_that_an_offset_can_have_are_one() -> None:
    assert decimal("0") == 0
    assert decimal("9" * 19) == 10**19 - 1
    for text in ("9" * 20, "+1", "1 ", "1_0", "²"):
        assert decimal(text) == -1


def test_differences_are_told_field_by_field() -> None:
    assert differences("A", {}, "B", {}) == "B instead of A"
    assert differences("A", {"x": 1, "y": 2}, "A", {"x": 1, "y": 3}) == "y is 3 instead of 2"
    assert differences("A", {"x": 1}, "A", {"x": 1}) == "equal fields in other bytes"


def test_an_excerpt_is_about_one_reservation_around_the_bad_offset() -> None:
    log = sound_log(3, 80, partitions=1)
    lines = list(excerpt(log, Violation("I3", "x", 0, 40, "", reservation_id="r10")))
    assert lines
    assert len(lines) <= 12
    assert all(line.startswith(("command 0:", "outcome 0:")) for line in lines)
    assert list(excerpt(log, Violation("I3", "x", 0, 40, ""))) == []


def test_i24_what_a_gateway_needs_of_a_buyer_is_shown_to_nobody() -> None:
    told = {"amount": 2, "parameters": b"tok-secret"}
    said = differences(
        "PaymentRequested", told, "PaymentRequested", {"amount": 1, "parameters": b""}
    )
    assert said == "amount is 1 instead of 2; parameters differ"
    log = sound_log(1, 250)
    violation = Violation("I7", "illegal transition", 0, 0, "", reservation_id="p")
    lines = list(excerpt(log, violation))
    assert any("StartPayment" in line for line in lines)
    assert not any("token" in line for line in lines)
