"""I1: in every section the seats of each kind add up to all of them, after every command."""

from scripts.auditing.facts import Facts
from scripts.auditing.report import Notes


def check(facts: Facts, notes: Notes) -> None:
    """Note where counts do not add up; add what the sections have to the figures."""
    for offset in facts.miscounted:
        notes.bad("I1", "lost write", offset, "the oracle's own counts do not add up")
    report = notes.report
    for section in facts.oracle.sections.values():
        report.sections += 1
        report.seats += section.seat_count
        report.free += section.free
        report.held += section.held
        report.sold += section.sold
        report.blocked += section.blocked
