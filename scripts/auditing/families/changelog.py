"""I14: the state was never written back, and every value that it ends with can be read."""

from scripts.auditing.facts import Facts
from scripts.auditing.report import Notes


def check(facts: Facts, notes: Notes) -> None:
    """Note what was found wrong while the changelog was read."""
    for offset, message in facts.stored.written_back:
        notes.bad("I14", "stale restore", offset, message)
    for key, (offset, why) in facts.stored.unreadable.items():
        notes.bad("I14", "corrupt value", offset, f"{key!r}: {why}")
