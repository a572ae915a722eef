"""State and group are no further than the commands, and what is committed is done."""

from support.logs.audit_logs import START_MS, identity, stored, value_of
from support.logs.facts_by_hand import KEY, facts_by_hand, findings, judged

from scripts.auditing.facts import Facts
from scripts.auditing.families.progress import check
from scripts.auditing.topics import LogRecord

HOLD = value_of("HoldBestAvailable", {"request": identity("r", "u", "A", 7), "seatCount": 1})
TICK = value_of("Tick", {"timerMs": 1})


def standing(next_offset: int, committed: int, commands: int) -> Facts:
    """Return facts of so many commands, of which the state and the group have some."""
    facts = facts_by_hand()
    facts.log.commands[0] = [LogRecord(at, START_MS, KEY, HOLD) for at in range(commands)]
    facts.log.committed[0] = committed
    progress = {"nextOffset": next_offset, "logTimeMs": 1, "timerMs": 1, "logicVersion": 1}
    facts.stored.last[b"p"] = stored("Progress", progress)
    facts.undecided = facts.log.commands[0][next_offset:]
    return facts


def test_at_the_end_of_the_commands_all_is_well() -> None:
    report = judged(check, standing(3, 3, 3))
    assert (report.violations, report.pending, report.lost) == ([], 0, 0)


def test_state_or_group_behind_the_end_are_of_another_timeline() -> None:
    assert findings(check, standing(4, 3, 3)) == [("I14", "other timeline", 3)]
    assert findings(check, standing(3, 4, 3)) == [("I14", "other timeline", 3)]
    without = facts_by_hand()
    without.log.committed[0] = 1
    assert findings(check, without) == [("I14", "other timeline", 0)]


def test_the_end_may_lie_behind_the_last_command() -> None:
    facts = standing(5, 5, 3)
    facts.log.ends[0] = 5
    assert findings(check, facts) == []


def test_what_is_committed_and_not_applied_is_lost_and_the_rest_is_still_to_come() -> None:
    report = judged(check, standing(1, 3, 4))
    assert [(each.anomaly, each.offset) for each in report.violations] == [
        ("lost write", 1),
        ("lost write", 2),
    ]
    assert (report.lost, report.pending) == (2, 1)


def test_a_tick_and_a_record_without_a_value_may_stay_undecided() -> None:
    facts = standing(3, 5, 3)
    facts.undecided = [LogRecord(3, 1, b"tick", TICK), LogRecord(4, 1, None, None)]
    facts.log.ends[0] = 5
    report = judged(check, facts)
    assert (report.violations, report.pending, report.lost) == ([], 0, 0)
