"""Counts add up after every command, and what the sections have is in the figures."""

from support.logs.audit_logs import START_MS, identity
from support.logs.facts_by_hand import KEY, facts_by_hand, findings, judged, with_section

from scripts.auditing.facts import adds_up
from scripts.auditing.families.seats import check


def test_a_command_after_which_counts_do_not_add_up_is_noted() -> None:
    facts = facts_by_hand()
    facts.miscounted = [3, 8]
    assert findings(check, facts) == [("I1", "lost write", 3), ("I1", "lost write", 8)]


def test_counts_add_up_only_to_the_seats_and_without_debts() -> None:
    [section] = with_section(facts_by_hand(), 3, 2).oracle.sections.values()
    assert adds_up(section)
    section.held = 1
    assert not adds_up(section)
    section.free, section.held = 6, -1
    assert not adds_up(section)


def test_the_figures_are_those_of_the_sections() -> None:
    facts = with_section(facts_by_hand(), 3, 2)
    hold = {"request": identity("r1", "u1", "A", 7), "seatCount": 2}
    facts.oracle.apply(1, START_MS, KEY, ("HoldBestAvailable", hold))
    report = judged(check, facts)
    assert (report.sections, report.seats, report.free, report.held) == (1, 5, 3, 2)
    assert (report.sold, report.blocked) == (0, 0)
