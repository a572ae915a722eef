"""The auditor passes locks of holds, waits for those of holds just ended, and flags all others."""

from typing import Any

import pytest
from support.carts.cart_logs import HELD, RELEASED, SOLD, A, C, log_of, sold_out
from support.seats.section_commands import EVENT

from scripts.auditing.checks import audit
from scripts.auditing.locks.judging import PATIENCE_MS
from scripts.auditing.locks.reading import SeenLock
from scripts.auditing.log import Log
from scripts.auditing.report import as_text

NEVER_MS = 1 << 52


def lock_of(
    owner: str | None, section: str = A, *, seat: int = 0, left_ms: int = NEVER_MS
) -> SeenLock:
    key = f"seatstream:lock:{{{EVENT}-{section}}}:0-{seat}"
    return SeenLock(key.encode(), None if owner is None else owner.encode(), left_ms)


def log_with(*locks: SeenLock, is_later: bool = True) -> Log:
    """Return a sound log with these locks, read long after its end, or at once."""
    log = log_of(sold_out())
    log.locks = locks
    newest = max(one.timestamp for records in log.commands.values() for one in records)
    log.locks_read_ms = newest + (10 * PATIENCE_MS if is_later else 0)
    return log


def test_i21_locks_of_holds_may_be_there_and_are_counted() -> None:
    held = lock_of(f"{HELD}_0:1"), lock_of("r1:1", seat=2), lock_of(f"{HELD}_1:1", C)
    report = audit(log_with(*held))
    assert (report.violations, report.verdict) == ([], "exact")
    assert (report.locks, report.locks_left, report.locks_waiting) == (3, 0, 0)
    assert "3 locks, 0 of them of no hold" in "\n".join(as_text(report))


@pytest.mark.parametrize("locks", [None, ()])
def test_i21_where_redis_is_not_named_or_empty_nothing_is_said(locks: Any) -> None:
    log = log_of(sold_out())
    log.locks = locks
    report = audit(log)
    assert (report.verdict, report.locks) == ("exact", 0)
    assert "locks," not in "\n".join(as_text(report))


@pytest.mark.parametrize(
    ("owner", "section"),
    [
        (f"{RELEASED}_0:1", A),
        (f"{SOLD}_0:1", C),
        # An epoch that is over, or that never came.
        (f"{HELD}_0:2", A),
        # Of nobody; and of one who holds, but elsewhere.
        ("nobody:1", A),
        (f"{HELD}_0:1", C),
    ],
)
def test_i21_a_lock_of_no_hold_is_left_behind(owner: str, section: str) -> None:
    report = audit(log_with(lock_of(owner, section)))
    assert (report.verdict, report.locks_left) == ("wrong", 1)
    [found] = report.violations
    assert (found.invariant, found.anomaly) == ("I21", "lock left behind")
    assert found.section == f"{EVENT}-{section}"


def test_i21_a_lock_of_a_hold_that_has_just_ended_is_waited_for() -> None:
    report = audit(log_with(lock_of(f"{SOLD}_0:1", C), is_later=False))
    assert (report.violations, report.verdict) == ([], "not at rest")
    assert (report.locks_left, report.locks_waiting) == (1, 1)
    # So is one of which the log has not heard yet, for no longer than it may last then.
    report = audit(log_with(lock_of("nobody:1", left_ms=PATIENCE_MS)))
    assert report.verdict == "not at rest"
    # What waits hides nothing that does not.
    both = lock_of("nobody:1", left_ms=PATIENCE_MS), lock_of(f"{RELEASED}_0:1", seat=4)
    report = audit(log_with(*both))
    assert [one.anomaly for one in report.violations] == ["lock left behind"]


def test_i21_a_lock_never_lasts_for_ever_and_is_one_of_ours() -> None:
    report = audit(log_with(lock_of(f"{HELD}_0:1", left_ms=-1)))
    assert [one.anomaly for one in report.violations] == ["lock without end"]
    strange = SeenLock(b"seatstream:lock:no place \xff", b"x:1", 5), lock_of(None), lock_of("who?")
    report = audit(log_with(*strange))
    assert [one.anomaly for one in report.violations] == ["no lock of ours"] * 3
    assert (report.locks, report.locks_left) == (3, 3)


def test_i21_before_the_log_is_at_rest_no_lock_is_judged() -> None:
    log = log_with(lock_of(f"{RELEASED}_0:1"))
    log.commands[0].append(log.commands[0][-1].__class__(10_000, 0, b"7-A", b"x"))
    report = audit(log)
    assert not [one for one in report.violations if one.invariant == "I21"]
