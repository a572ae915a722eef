"""What was wrong while the changelog was read is noted at its offset there."""

from support.logs.facts_by_hand import facts_by_hand, findings

from scripts.auditing.families.changelog import check


def test_a_changelog_that_was_read_well_is_fine() -> None:
    assert findings(check, facts_by_hand()) == []


def test_a_state_written_back_and_a_last_value_that_nobody_can_read_are_noted() -> None:
    facts = facts_by_hand()
    facts.stored.written_back.append((12, "goes back"))
    facts.stored.unreadable[b"s7-A"] = 15, "checksum mismatch"
    assert findings(check, facts) == [
        ("I14", "stale restore", 12),
        ("I14", "corrupt value", 15),
    ]
