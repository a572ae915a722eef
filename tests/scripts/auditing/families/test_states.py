"""The state ends as the oracle's does, and every section's was so on the way."""

import pytest
from support.logs.audit_logs import sound_log, stored
from support.logs.facts_by_hand import judged

from scripts.auditing.facts import Facts, facts_of
from scripts.auditing.families.states import check, expected_states, free_bits
from scripts.auditing.report import Notes, Report
from scripts.auditing.stored import STATE_BY_TAG


@pytest.fixture
def facts() -> Facts:
    return facts_of(sound_log(7, 120, partitions=1), Notes(0, Report()))


def key_of(facts: Facts, tag: bytes) -> bytes:
    return next(key for key in facts.stored.last if key[:1] == tag)


def test_a_sound_state_is_what_is_expected_key_by_key(facts: Facts) -> None:
    assert {key for key, _, _ in expected_states(facts)} == facts.stored.last.keys()
    assert {key[:1] for key in facts.stored.last} == STATE_BY_TAG.keys()
    assert judged(check, facts).violations == []


@pytest.mark.parametrize("tag", STATE_BY_TAG)
def test_a_state_that_is_missing_is_a_loss(facts: Facts, tag: bytes) -> None:
    del facts.stored.last[key_of(facts, tag)]
    [violation] = judged(check, facts).violations
    assert (violation.invariant, violation.anomaly) == ("I13", "lost write")


def test_a_loss_of_a_reservation_names_it(facts: Facts) -> None:
    key = key_of(facts, b"r")
    del facts.stored.last[key]
    assert judged(check, facts).violations[0].reservation_id == key[1:].decode()


def test_a_field_that_differs_is_told_with_what_it_should_be(facts: Facts) -> None:
    key = key_of(facts, b"s")
    fields = facts.stored.state_of(key, facts.stored.last[key])
    del fields["due_ms"]
    wrong = fields | {"heldCount": fields["heldCount"] + 1}
    facts.stored.last[key] = stored("SectionState", wrong)
    [violation] = judged(check, facts).violations
    told = f"heldCount is {wrong['heldCount']} instead of {fields['heldCount']}"
    assert (violation.invariant, violation.anomaly) == ("I14", "wrong state")
    assert violation.message.endswith(told)


def test_a_reservation_that_nobody_made_is_a_phantom(facts: Facts) -> None:
    facts.stored.last[b"rnobody"] = facts.stored.last[key_of(facts, b"r")]
    [violation] = judged(check, facts).violations
    assert (violation.anomaly, violation.reservation_id) == ("phantom state", "nobody")


def test_what_no_schema_can_read_is_a_strangers(facts: Facts) -> None:
    facts.stored.last[b"rnobody"] = stored("Tick", {"timerMs": 1})
    report = judged(check, facts)
    assert (report.violations, report.foreign["seats-changelog"].count) == ([], 1)


def test_a_section_state_on_the_way_that_never_was_is_noted(facts: Facts) -> None:
    record, fields = facts.stored.section_states[0]
    facts.stored.section_states[0] = record, fields | {"heldCount": 99}
    [violation] = judged(check, facts).violations
    assert (violation.invariant, violation.offset) == ("I13", fields["appliedOffset"])


def test_free_seats_are_the_ones_of_the_bitmap() -> None:
    assert [free_bits(bits) for bits in (b"", b"\0", b"\x01\xff", b"\x80\x01")] == [0, 0, 9, 2]
