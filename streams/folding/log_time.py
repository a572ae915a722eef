"""The time of a partition's log, which follows no clock that jumps. All times are Unix ms.

Append times come from the broker's clock, ticks bring the clock of the worker that owns the
partition. Append times that go on in small steps are believed. After a leap of more than `JUMP_MS`
between two records nobody can say from the log alone whether nothing happened for so long or the
broker's clock jumped: time stands still, and all that it decides with it, until a tick's clock
has come as far. A clock that jumped can then neither end a hold nor open or close a sale.

Owners tick more often than `JUMP_MS` as long as they live, so that a leap is rare.
"""

from typing import Final

JUMP_MS: Final = 60_000

# How far the timer's clock may run behind the broker's before deadlines wait for it. Log time
# alone would let a broker with a fast clock end every deadline; the timer alone a fast timer.
CLOCK_SKEW_MS: Final = 5_000


def moved(log_time_ms: int, appended_ms: int) -> int:
    """Return the log's time after a record; 0 before the first one."""
    if log_time_ms and appended_ms > log_time_ms + JUMP_MS:
        return log_time_ms
    return max(log_time_ms, appended_ms)


def ticked(log_time_ms: int, timer_ms: int, appended_ms: int, clock_ms: int) -> tuple[int, int]:
    """Return the log's time and the timers' after a tick.

    timer_ms: time up to which the timers agree that it has passed.
    clock_ms: what the tick's sender read on its own clock.
    """
    time_ms = moved(log_time_ms, appended_ms)
    if time_ms < appended_ms:
        # A leap: true as far as both clocks have come.
        both_ms = min(appended_ms, clock_ms)
        return max(time_ms, both_ms), max(timer_ms, both_ms)
    if appended_ms - clock_ms > JUMP_MS:
        # The log came here in small steps: this timer is slow, and no hold waits for it.
        return time_ms, max(timer_ms, appended_ms)
    # A timer that is fast is not believed beyond the broker's clock.
    return time_ms, max(timer_ms, min(appended_ms, clock_ms))


def horizon_ms(log_time_ms: int, timer_ms: int) -> int:
    """Return the time up to which deadlines have passed by both clocks.

    timer_ms: highest clock of a tick in the log; 0 where there was none, so nothing is due.
    """
    return min(log_time_ms, timer_ms + CLOCK_SKEW_MS)
