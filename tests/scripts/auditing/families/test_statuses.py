"""Each status is its section as it once was, in order, and the last as it is."""

from dataclasses import replace

from support.logs.audit_logs import START_MS, identity, status_of, value_of
from support.logs.facts_by_hand import KEY, facts_by_hand, findings, judged, with_section

from scripts.auditing.facts import Facts
from scripts.auditing.families.statuses import check
from scripts.auditing.topics import LogRecord


def facts_with(*versions: int) -> Facts:
    """Return facts of a section with the versions 1 to 3, of which these were published."""
    facts = with_section(facts_by_hand(), 6)
    [section] = facts.oracle.sections.values()
    published = {1: status_of(section)}
    for version in (2, 3):
        hold = {"request": identity(f"r{version}", "u", "A", 7), "seatCount": 1}
        facts.oracle.apply(version, START_MS + version, KEY, ("HoldBestAvailable", hold))
        published[version] = status_of(section)
    facts.log.statuses[0] = [
        LogRecord(at, START_MS, KEY, value_of("SectionStatusEvent", published[version]))
        for at, version in enumerate(versions)
    ]
    return facts


def test_versions_may_be_left_out_and_repeated_but_the_last() -> None:
    for versions in ((1, 2, 3), (3,), (1, 1, 3, 3)):
        assert findings(check, facts_with(*versions)) == []


def test_a_version_that_comes_after_a_later_one_was_read_backwards() -> None:
    assert findings(check, facts_with(2, 1, 3)) == [("I16", "non-monotonic read", 1)]


def test_the_last_one_must_be_there_and_be_the_state() -> None:
    assert findings(check, facts_with(1, 2)) == [("I18", "status is not the state", 3)]
    assert findings(check, facts_with()) == [("I18", "missing status", 3)]


def test_counts_that_never_were_are_wrong_and_counted() -> None:
    facts = facts_with(1, 3)
    first = facts.log.statuses[0][0]
    _, fields = facts.log.wire.decode(first.value or b"")
    value = value_of("SectionStatusEvent", fields | {"availableCount": 5})
    facts.log.statuses[0][0] = replace(first, value=value)
    report = judged(check, facts)
    assert [each.anomaly for each in report.violations] == ["wrong status"]
    assert report.status_mismatches == 1


def test_a_status_is_published_under_the_key_of_its_section() -> None:
    facts = facts_with(3)
    facts.log.statuses[0][0] = replace(facts.log.statuses[0][0], key=b"7-B")
    assert findings(check, facts) == [("I18", "wrong key", 0)]


def test_a_section_that_nobody_opened_has_no_status() -> None:
    facts = facts_with(3)
    facts.oracle.sections.clear()
    assert findings(check, facts) == [("I18", "phantom status", 0)]


def test_bytes_of_nobody_are_foreign() -> None:
    facts = facts_with(3)
    facts.log.statuses[0].append(LogRecord(9, 1, KEY, b"?"))
    report = judged(check, facts)
    assert (report.violations, report.foreign["section-status"].offset) == ([], 9)


def test_what_is_newer_than_a_state_that_moved_is_ahead() -> None:
    facts = facts_with(1, 2, 3)
    last = facts.log.statuses[0][2]
    _, fields = facts.log.wire.decode(last.value or b"")
    value = value_of("SectionStatusEvent", fields | {"version": 4, "availableCount": 3})
    facts.log.statuses[0][2] = replace(last, value=value)
    facts.read_to = 4
    report = judged(check, facts)
    assert (report.violations, report.ahead) == ([], 1)
