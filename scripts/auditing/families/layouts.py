"""I2: every seat that an outcome names is one of its section's layout."""

from scripts.auditing.facts import Facts
from scripts.auditing.oracle.seats import places_of
from scripts.auditing.report import Notes


def check(facts: Facts, notes: Notes) -> None:
    """Note seats that no layout has. The oracle is asked for nothing but which seats there are."""
    for told in facts.countless:
        message = "more seats than a section has"
        notes.bad("I2", "unknown seat", told.at, message, **told.where)
    for told in facts.followed:
        parts = told.fields.get("seats")
        if not parts:
            continue
        request = told.fields["request"]
        section = facts.oracle.sections.get((request["eventId"], request["section"]))
        if section is not None and all(section.has(part) for part in parts):
            continue
        for row, seat in dict.fromkeys(places_of(parts)):
            if section is None or not section.exists((row, seat)):
                message = f"row {row}, seat {seat} of {told.section_key}"
                notes.bad("I2", "unknown seat", told.at, message, **told.where)
