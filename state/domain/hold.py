"""When a hold lapses. All times are Unix ms of the log, never of a worker's clock."""

from typing import Final

# How far the timer's clock may run behind the broker's before lapses wait for it. Log time alone
# would let a broker with a fast clock end every hold; the timer alone a fast timer.
CLOCK_SKEW_MS: Final = 5_000

# Most holds that end at one record of the log. After an outage a million may be overdue at once;
# the records that follow, ticks among them, end the rest.
LAPSES_PER_RECORD: Final = 1_000


def extended_deadline_ms(log_time_ms: int, held_at_ms: int, hold_ms: int, max_hold_ms: int) -> int:
    """Return the deadline that an extension asks for: a full hold from now, capped.

    held_at_ms:  log time of the first decision, from which the cap runs.
    max_hold_ms: longest life of a hold with all its extensions.
    """
    return min(log_time_ms + hold_ms, held_at_ms + max_hold_ms)


def horizon_ms(log_time_ms: int, timer_ms: int) -> int:
    """Return the time up to which deadlines have passed by both clocks.

    timer_ms: highest clock of a tick in the log; 0 where there was none, so nothing lapses.
    """
    return min(log_time_ms, timer_ms + CLOCK_SKEW_MS)
