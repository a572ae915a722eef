"""The time of a partition's log, which follows no clock that jumps. All times are Unix ms.

Append times come from the broker's clock; ticks carry the clock of the worker that owns the
partition. Append times that rise in small steps are believed. A leap of more than `JUMP_MS`
between two records has two possible causes, a quiet time or a jump of the broker's clock, and the
log alone does not tell which. So the log's time stands still after a leap until a tick's clock has
come as far. Hence a clock that jumped can neither end a hold nor open or close a sale.

An owner ticks more often than `JUMP_MS` as long as it lives, so leaps are rare.
"""

from typing import Final

JUMP_MS: Final = 60_000

# How far the ticks' clock may be behind the broker's before deadlines wait for the ticks. By log
# time alone a broker's fast clock would end every deadline, by ticks alone a worker's fast clock.
CLOCK_SKEW_MS: Final = 5_000


def moved(log_time_ms: int, appended_ms: int) -> int:
    """Return the log's time after a record.

    log_time_ms: the log's time before that record; 0 before the first one.
    """
    if log_time_ms and appended_ms > log_time_ms + JUMP_MS:
        return log_time_ms
    return max(log_time_ms, appended_ms)


def ticked(log_time_ms: int, timer_ms: int, appended_ms: int, clock_ms: int) -> tuple[int, int]:
    """Return the log's time and the timer's after a tick.

    timer_ms: the timer's time before the tick: as far as the owners' clocks have come.
    clock_ms: the clock of the owner that sent the tick.
    """
    time_ms = moved(log_time_ms, appended_ms)
    if time_ms < appended_ms:
        # A leap: it is believed as far as both clocks have come.
        both_ms = min(appended_ms, clock_ms)
        return max(time_ms, both_ms), max(timer_ms, both_ms)
    if appended_ms - clock_ms > JUMP_MS:
        # The log came here in small steps, so it is the owner's clock that is slow: no hold waits.
        return time_ms, max(timer_ms, appended_ms)
    # An owner's clock that is fast is not believed beyond the broker's.
    return time_ms, max(timer_ms, min(appended_ms, clock_ms))


def horizon_ms(log_time_ms: int, timer_ms: int) -> int:
    """Return the time up to which deadlines have passed by both clocks.

    timer_ms: as `ticked` returned it; 0 where the log has no tick yet, so nothing is due.
    """
    return min(log_time_ms, timer_ms + CLOCK_SKEW_MS)
